#include "log.h"

#include <stdlib.h>

/* A client that gives up so soon after another one, in milliseconds, is not replaced at once. */
enum { FATAL_PAUSE = 10000 };

/* Makes the client that appends; false with an error written. */
static bool start_producer(struct wsd_log *log, char *error, size_t size) {
    log->producer = kafka_client(&log->settings, RD_KAFKA_PRODUCER, log->settings.producer, error, size);
    if (!log->producer) return false;
    log->reports = rd_kafka_queue_get_main(log->producer);
    rd_kafka_queue_io_event_enable(log->reports, log->wake, "", 1);
    return true;
}

/* Leaves the client to who ends it. */
static rd_kafka_t *drop_producer(struct wsd_log *log) {
    rd_kafka_t *producer = log->producer;
    if (!producer) return NULL;
    if (log->report) rd_kafka_event_destroy(log->report);
    rd_kafka_queue_io_event_enable(log->reports, -1, NULL, 0);
    rd_kafka_queue_destroy(log->reports);
    if (log->target) rd_kafka_topic_destroy(log->target);
    log->report = NULL;
    log->target = NULL;
    log->producer = NULL;
    log->is_spent = false;
    log->unanswered = 0;
    return producer;
}

struct wsd_log *kafka_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size) {
    struct plugin_options all = {options, option_count, error, error_size};
    struct wsd_log *log = calloc(1, sizeof *log);
    if (!log) return NULL;
    pthread_mutex_init(&log->lock, NULL);
    log->wake = wake;
    log->events = plugin_events_new(wake);
    log->watch.work = reading_work;
    log->watch.owner = log;
    if (log->events && kafka_settings_read(&log->settings, &all, false) && start_producer(log, error, error_size) &&
        kafka_watch_start(&log->watch, &log->settings, log->events, error, error_size))
        return log;
    rd_kafka_t *producer = drop_producer(log);
    if (producer) rd_kafka_destroy(producer);
    plugin_events_free(log->events);
    kafka_settings_free(&log->settings);
    pthread_mutex_destroy(&log->lock);
    free(log);
    return NULL;
}

/* Readies the client that appends, where the broker is up: another one, if it can't go on. */
static void ready_producer(struct wsd_log *log) {
    if (!atomic_load(&log->watch.is_up)) return;
    if (log->is_spent && log->unanswered == 0) kafka_watch_end(&log->watch, drop_producer(log));
    char error[512];
    if (!log->producer && !start_producer(log, error, sizeof error)) {
        kafka_watch_fault(&log->watch, "%s", error);
        return;
    }
    if (!log->target && !log->is_spent) log->target = rd_kafka_topic_new(log->producer, log->settings.topic, NULL);
}

/* Has all records of the client answered, after which another one takes its place: at once, or after a pause in which the
 * broker counts as down. */
static void spend_producer(struct wsd_log *log, bool pauses, const char *reason) {
    if (!log->is_spent) rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    log->is_spent = true;
    if (pauses) kafka_watch_fault(&log->watch, "appending to topic \"%s\" fails: %s", log->settings.topic, reason);
}

/* The client has given up, for example as the broker has lost what the client relies on. */
static void note_fatal(struct wsd_log *log) {
    char text[512] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(log->producer, text, sizeof text);
    int64_t now = kafka_now();
    bool is_again = log->fatal_time && now - log->fatal_time < FATAL_PAUSE;
    log->fatal_time = now;
    spend_producer(log, is_again || kafka_forbids(code), text);
}

static void answer_failed(struct wsd_log *log, uint32_t partition, uint64_t token, uint32_t flags, const char *reason) {
    plugin_events_put(
        log->events,
        &(struct wsd_event){
            .kind = WSD_EVENT_FAILED, .flags = flags, .partition = partition, .token = token, .timestamp = -1,
            .text = reason});
}

int kafka_append(
    struct wsd_log *log, uint32_t partition, const void *key, size_t key_count, const void *value, size_t value_count,
    uint64_t token) {
    if (!log->target || log->is_spent || !atomic_load(&log->watch.is_up)) return -1;
    if (partition >= atomic_load(&log->watch.count)) {
        answer_failed(log, partition, token, WSD_FINAL, "the topic has no such partition");
        return 0;
    }
    int result = rd_kafka_produce(
        log->target, (int32_t)partition, RD_KAFKA_MSG_F_COPY, (void *)value, value_count, key, key_count,
        (void *)(uintptr_t)token);
    if (result == 0) {
        log->unanswered++;
        return 0;
    }
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return -1;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        bool is_first = !log->is_spent;
        note_fatal(log);
        ready_producer(log);
        /* With another client, if this one has nothing to answer. */
        return is_first && !log->is_spent ? kafka_append(log, partition, key, key_count, value, value_count, token) : -1;
    }
    bool is_final = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    answer_failed(log, partition, token, is_final ? WSD_FINAL | WSD_TOO_LARGE : 0, rd_kafka_err2str(code));
    return 0;
}

static void give_report(struct wsd_log *log, const rd_kafka_message_t *message, struct wsd_event *event) {
    if (log->unanswered) log->unanswered--;
    *event = (struct wsd_event){
        .kind = WSD_EVENT_APPENDED, .partition = (uint32_t)message->partition, .token = (uintptr_t)message->_private,
        .timestamp = -1, .offset = message->offset < 0 ? 0 : (uint64_t)message->offset};
    rd_kafka_resp_err_t code = message->err;
    if (!code) return;
    event->kind = WSD_EVENT_FAILED;
    event->text = rd_kafka_err2str(code);
    if (rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) event->flags |= WSD_UNCERTAIN;
    /* The broker judges a set of records by its size, which is not that of one. */
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD)
        event->flags |= WSD_FINAL;
    if (kafka_forbids(code)) spend_producer(log, true, event->text);
}

/* Gives out the broker's answers. */
static size_t poll_reports(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    size_t count = 0;
    while (log->producer && count < limit) {
        const rd_kafka_message_t *message = log->report ? rd_kafka_event_message_next(log->report) : NULL;
        if (message) {
            give_report(log, message, &events[count++]);
            continue;
        }
        if (log->report) rd_kafka_event_destroy(log->report);
        log->report = rd_kafka_queue_poll(log->reports, 0);
        if (!log->report) break;
        if (rd_kafka_event_type(log->report) == RD_KAFKA_EVENT_DR) continue;
        rd_kafka_resp_err_t code = rd_kafka_event_error(log->report);
        if (rd_kafka_event_type(log->report) == RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH)
            kafka_authorise(log->producer, &log->settings);
        else if (code == RD_KAFKA_RESP_ERR__FATAL)
            note_fatal(log);
        else if (kafka_forbids(code))
            spend_producer(log, true, rd_kafka_event_error_string(log->report));
        rd_kafka_event_destroy(log->report);
        log->report = NULL;
    }
    return count;
}

/* Gives out what the watch has found, and acts on it. */
static size_t poll_events(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    size_t taken, count = 0;
    while (count == 0 && (taken = plugin_events_take(log->events, events, limit)) > 0)
        for (size_t i = 0; i < taken; i++) {
            /* An event without a kind says that something was looked up. */
            bool is_up = events[i].kind == WSD_EVENT_UP;
            /* A client learns late of partitions that are added: another one knows them at once. */
            if (is_up && log->target && events[i].partition > log->target_count) log->is_spent = true;
            if (is_up) log->target_count = events[i].partition;
            if (is_up || events[i].kind == 0) reading_go_on(log, is_up);
            if (events[i].kind) events[count++] = events[i];
        }
    return count;
}

size_t kafka_poll(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    if (limit == 0) return 0;
    size_t count = poll_events(log, events, limit);
    count += poll_reports(log, events + count, limit - count);
    if (!log->target || log->is_spent) ready_producer(log);
    return count + reading_poll(log, events + count, limit - count);
}

void kafka_close(struct wsd_log *log, uint32_t milliseconds) {
    if (!log) return;
    int64_t end = kafka_now() + milliseconds;
    struct wsd_event ignored[16];
    while (log->producer && log->unanswered && kafka_now() < end)
        if (poll_reports(log, ignored, sizeof ignored / sizeof *ignored) == 0 && !log->report)
            log->report = rd_kafka_queue_poll(log->reports, (int)(end - kafka_now()));
    kafka_watch_stop(&log->watch);
    reading_close(log);
    if (log->producer) rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_t *producer = drop_producer(log);
    if (producer) rd_kafka_destroy(producer);
    rd_kafka_destroy_flags(log->watch.client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    plugin_events_free(log->events);
    kafka_settings_free(&log->settings);
    pthread_mutex_destroy(&log->lock);
    free(log->partitions);
    free(log);
}
