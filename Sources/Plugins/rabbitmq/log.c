#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "connection.h"
#include "plugin.h"
#include "publisher.h"
#include "reader.h"

enum { BACKOFF_MIN = 100, BACKOFF_MAX = 10000 };

int backoff_next(struct backoff *backoff) {
    bool has_lasted = backoff->since && milliseconds_now() - backoff->since >= BACKOFF_MAX / 2;
    int pause = has_lasted || !backoff->milliseconds ? BACKOFF_MIN : 2 * backoff->milliseconds;
    backoff->since = 0;
    backoff->milliseconds = pause < BACKOFF_MAX ? pause : BACKOFF_MAX;
    unsigned random = 0;
    if (getrandom(&random, sizeof random, 0) < 0) random = 0;
    return backoff->milliseconds / 2 + (int)(random % (unsigned)(backoff->milliseconds / 2 + 1));
}

void condition_init(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct timespec time_after(uint32_t milliseconds) {
    enum { GRACE = 500 };
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t end = (int64_t)time.tv_nsec / 1000000 + milliseconds + GRACE;
    time.tv_sec += end / 1000;
    time.tv_nsec = end % 1000 * 1000000;
    return time;
}

/* Says to wsd how it is, if that is new. The caller has the lock. */
static void tell(struct wsd_log *log, bool is_fresh) {
    const char *reason = NULL;
    for (int i = HALF_COUNT - 1; i >= 0; i--)
        if (!log->halves[i].is_up) reason = log->halves[i].reason;
    /* A connection that has not been tried yet is no reason to be told. */
    if (reason && !*reason) return;
    if (!reason && log->is_told_up && !is_fresh) return;
    if (reason && !log->is_told_up && strcmp(reason, log->told) == 0) return;
    log->is_told_up = !reason;
    snprintf(log->told, sizeof log->told, "%s", reason ? reason : "");
    plugin_events_put(log->events,
        &(struct wsd_event){.kind = reason ? WSD_EVENT_DOWN : WSD_EVENT_UP, .timestamp = -1,
            .partition = reason ? 0 : log->partition_count, .text = reason ? reason : *log->note ? log->note : NULL});
}

void log_up(struct wsd_log *log, enum half half, uint32_t partition_count, const char *note) {
    pthread_mutex_lock(&log->lock);
    log->halves[half].is_up = true;
    bool has_grown = partition_count > log->partition_count;
    if (has_grown) log->partition_count = partition_count;
    if (half == APPENDING) snprintf(log->note, sizeof log->note, "%s", note);
    tell(log, has_grown);
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void log_down(struct wsd_log *log, enum half half, const char *reason) {
    pthread_mutex_lock(&log->lock);
    log->halves[half].is_up = false;
    snprintf(log->halves[half].reason, sizeof log->halves[half].reason, "%s", reason);
    tell(log, false);
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void log_await_attempt(struct wsd_log *log) {
    pthread_mutex_lock(&log->lock);
    while (!log->is_closing && !log->halves[APPENDING].is_up && !*log->halves[APPENDING].reason)
        pthread_cond_wait(&log->changed, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

/* Frees it if nobody uses it any more. The caller has the lock, which is given back. */
static void leave(struct wsd_log *log) {
    bool is_last = --log->user_count == 0;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    if (!is_last) return;
    publisher_free(log->publisher);
    reader_free(log->reader);
    plugin_events_free(log->events);
    settings_free(log->settings);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void log_leave(struct wsd_log *log) {
    pthread_mutex_lock(&log->lock);
    leave(log);
}

struct wsd_log *log_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size) {
    const struct plugin_options given = {options, option_count, error, error_size};
    struct settings *settings = settings_read(&given, false);
    struct wsd_log *log = settings ? calloc(1, sizeof *log) : NULL;
    if (!log) {
        settings_free(settings);
        return NULL;
    }
    condition_init(&log->changed);
    pthread_mutex_init(&log->lock, NULL);
    log->settings = settings;
    log->user_count = 1;
    log->events = plugin_events_new(wake);
    /* The threads wait for the lock before they use what is not there yet. */
    pthread_mutex_lock(&log->lock);
    if (log->events && (log->publisher = publisher_start(log))) {
        log->user_count++;
        if ((log->reader = reader_start(log))) log->user_count++;
    }
    pthread_mutex_unlock(&log->lock);
    if (log->reader) return log;
    plugin_fail(&given, "no memory, or no thread can be made");
    log_close(log, 0);
    return NULL;
}

int log_append(
    struct wsd_log *log, uint32_t partition, const void *key, size_t key_count, const void *value, size_t value_count,
    uint64_t token) {
    if (partition >= PARTITION_LIMIT) return -1;
    return publisher_append(log->publisher, partition, key, key_count, value, value_count, token) ? 0 : -1;
}

void log_read(struct wsd_log *log, uint32_t partition, enum wsd_from from, int64_t place) {
    if (partition < PARTITION_LIMIT) reader_read(log->reader, partition, from, place);
}

size_t log_poll(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    size_t taken, count = 0;
    while (count == 0 && (taken = plugin_events_take(log->events, events, limit)) > 0)
        count = reader_sift(log->reader, events, taken);
    reader_go_on(log->reader);
    return count;
}

void log_close(struct wsd_log *log, uint32_t milliseconds) {
    pthread_mutex_lock(&log->lock);
    log->is_closing = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    if (log->publisher) publisher_stop(log->publisher, milliseconds);
    if (log->reader) reader_stop(log->reader);
    struct timespec until = time_after(milliseconds);
    pthread_mutex_lock(&log->lock);
    while (log->user_count > 1)
        if (pthread_cond_timedwait(&log->changed, &log->lock, &until)) break;
    bool hangs = log->user_count > 1;
    pthread_mutex_unlock(&log->lock);
    if (hangs) {
        if (log->publisher) publisher_break(log->publisher);
        if (log->reader) reader_break(log->reader);
    }
    /* A thread that hangs may have something to tell later. */
    if (log->events) plugin_events_mute(log->events);
    pthread_mutex_lock(&log->lock);
    leave(log);
}
