#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <poll.h>

#include "publisher_private.h"
#include "topology.h"

/* How long the oldest record may wait for its confirm, and how long a pass of the loop waits at most: milliseconds. */
enum { CONFIRM_PATIENCE = 10000, TICK = 500 };

static void wake(struct publisher *publisher) {
    if (write(publisher->wake, &(uint64_t){1}, sizeof(uint64_t)) < 0) return;
}

/* Adds a record to the end of the queue. The caller has the lock. */
static void enqueue(struct publisher *publisher, struct pending *record) {
    *publisher->end = record;
    publisher->end = &record->next;
    if (!publisher->is_waiting) return;
    publisher->is_waiting = false;
    wake(publisher);
}

static struct pending *new_record(
    uint32_t partition, const void *key, size_t key_count, const void *value, size_t value_count, uint64_t token) {
    struct pending *record = malloc(sizeof *record + key_count + value_count);
    if (!record) return NULL;
    *record = (struct pending){.token = token, .partition = partition, .timestamp = milliseconds_since_1970(),
        .key_count = key_count, .value_count = value_count};
    if (key_count) memcpy(record->bytes, key, key_count);
    if (value_count) memcpy(record->bytes + key_count, value, value_count);
    return record;
}

bool publisher_append(
    struct publisher *publisher, uint32_t partition, const void *key, size_t key_count, const void *value,
    size_t value_count, uint64_t token) {
    size_t size = key_count + value_count;
    pthread_mutex_lock(&publisher->lock);
    bool has_room = publisher->is_open && publisher->count < PENDING_LIMIT &&
        (publisher->count == 0 || publisher->size + size <= PENDING_BYTES_MAX);
    struct pending *record = has_room ? new_record(partition, key, key_count, value, value_count, token) : NULL;
    if (record) {
        publisher->count++;
        publisher->size += size;
        enqueue(publisher, record);
    }
    pthread_mutex_unlock(&publisher->lock);
    return record != NULL;
}

void publisher_mark(struct publisher *publisher, uint32_t partition, const char *id) {
    pthread_mutex_lock(&publisher->lock);
    struct marker *marker = &publisher->markers[partition];
    snprintf(marker->id, sizeof marker->id, "%s", id ? id : "");
    marker->is_queued = false;
    if (id) {
        publisher->are_markers_wanted = true;
        wake(publisher);
    }
    pthread_mutex_unlock(&publisher->lock);
}

static void queue_markers(struct publisher *publisher) {
    pthread_mutex_lock(&publisher->lock);
    for (uint32_t i = 0; publisher->are_markers_wanted && i < publisher->partition_count; i++) {
        struct marker *marker = &publisher->markers[i];
        if (!*marker->id || marker->is_queued) continue;
        struct pending *record = new_record(i, marker->id, strlen(marker->id), NULL, 0, 0);
        if (!record) break;
        record->is_marker = true;
        marker->is_queued = true;
        enqueue(publisher, record);
    }
    publisher->are_markers_wanted = false;
    pthread_mutex_unlock(&publisher->lock);
}

/* Whether records are taken. */
static void set_open(struct publisher *publisher, bool is_open) {
    pthread_mutex_lock(&publisher->lock);
    publisher->is_open = is_open && !publisher->is_stopping;
    if (is_open) {
        /* What was queued for another connection is gone. */
        for (uint32_t i = 0; i < PARTITION_LIMIT; i++) publisher->markers[i].is_queued = false;
        publisher->are_markers_wanted = true;
    }
    pthread_mutex_unlock(&publisher->lock);
}

/* Whether the thread shall end now: it is stopping, and has nothing left to do or no time left. */
static bool is_done(struct publisher *publisher) {
    pthread_mutex_lock(&publisher->lock);
    bool is_done = publisher->is_stopping && (publisher->count == 0 || milliseconds_now() >= publisher->deadline);
    pthread_mutex_unlock(&publisher->lock);
    return is_done;
}

static bool is_stopping(struct publisher *publisher) {
    pthread_mutex_lock(&publisher->lock);
    bool is_stopping = publisher->is_stopping;
    pthread_mutex_unlock(&publisher->lock);
    return is_stopping;
}

static bool prepare(struct publisher *publisher) {
    struct connection *connection = &publisher->connection;
    if (!connection_open(connection)) return false;
    if (!topology_declare(connection, &publisher->partition_count, publisher->note, sizeof publisher->note)) return false;
    if (!amqp_channel_open(connection->amqp, PUBLISH_CHANNEL) || !amqp_confirm_select(connection->amqp, PUBLISH_CHANNEL))
        return connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), "confirms");
    if (!publisher->is_size_limit_new) publisher->size_limit = 0;
    publisher->is_size_limit_new = false;
    publisher->oldest = publisher->next_tag = 1;
    return true;
}

/* Tells wsd of alarms, and that they are over. */
static void tell_alarm(struct publisher *publisher, bool *is_told_blocked) {
    struct connection *connection = &publisher->connection;
    if (connection->is_blocked == *is_told_blocked) return;
    *is_told_blocked = connection->is_blocked;
    set_open(publisher, !connection->is_blocked);
    if (connection->is_blocked) {
        char reason[400];
        snprintf(reason, sizeof reason, "%s takes no messages, as it has an alarm: %s", connection->server->name, connection->alarm);
        log_down(publisher->log, APPENDING, reason);
    } else {
        log_up(publisher->log, APPENDING, publisher->partition_count, publisher->note);
    }
}

/* Waits until there is something to do. */
static void wait(struct publisher *publisher, bool has_more) {
    pthread_mutex_lock(&publisher->lock);
    bool may_send = has_more || (publisher->first && publisher->flight_size < FLIGHT_BYTES_MAX &&
        publisher->next_tag - publisher->oldest < FLIGHT_LIMIT);
    bool is_idle = !may_send && !publisher->are_markers_wanted;
    publisher->is_waiting = is_idle;
    int milliseconds = TICK;
    if (publisher->is_stopping && publisher->deadline - milliseconds_now() < TICK)
        milliseconds = publisher->deadline > milliseconds_now() ? (int)(publisher->deadline - milliseconds_now()) : 0;
    pthread_mutex_unlock(&publisher->lock);
    may_send = may_send && !publisher->connection.is_blocked;
    connection_wait(&publisher->connection, (short)(POLLIN | (may_send ? POLLOUT : 0)), publisher->wake, milliseconds);
}

/* Publishes until the connection is lost, with a reason, or the thread is to end. */
static void run(struct publisher *publisher) {
    struct connection *connection = &publisher->connection;
    bool is_told_blocked = false, has_more = false;
    uint64_t oldest = 0;
    int64_t since = 0;
    while (!is_done(publisher)) {
        amqp_frame_t frame;
        int count;
        while ((count = connection_next(connection, &frame)) > 0)
            if (!publisher_take(publisher, &frame)) return;
        if (count < 0 || !connection_check(connection)) return;
        tell_alarm(publisher, &is_told_blocked);
        if (!connection->is_blocked) {
            queue_markers(publisher);
            if (connection_wait(connection, POLLOUT, -1, 0) & POLLOUT) {
                int sent = publisher_send(publisher);
                if (sent < 0) return;
                has_more = sent > 0;
            }
        }
        if (publisher->oldest != oldest || publisher->oldest == publisher->next_tag || publisher->current || connection->is_blocked) {
            oldest = publisher->oldest;
            since = milliseconds_now();
        } else if (milliseconds_now() - since > CONFIRM_PATIENCE) {
            connection_fail(connection, "%s has confirmed no record for %d s", connection->server->name, CONFIRM_PATIENCE / 1000);
            return;
        }
        wait(publisher, has_more);
    }
}

static void *thread_main(void *argument) {
    struct publisher *publisher = argument;
    struct wsd_log *log = publisher->log;
    struct backoff backoff = {0};
    while (!is_stopping(publisher)) {
        bool is_prepared = prepare(publisher);
        if (is_prepared) {
            set_open(publisher, true);
            log_up(log, APPENDING, publisher->partition_count, publisher->note);
            backoff.since = milliseconds_now();
            run(publisher);
        }
        set_open(publisher, false);
        bool is_ending = is_stopping(publisher);
        if (!is_ending) {
            log_down(log, APPENDING, publisher->connection.reason);
            publisher_fail_all(publisher, publisher->connection.reason);
        }
        connection_close(&publisher->connection, is_ending && is_prepared);
        if (!is_ending) connection_wait(&publisher->connection, 0, publisher->wake, backoff_next(&backoff));
    }
    log_leave(log);
    return NULL;
}

struct publisher *publisher_start(struct wsd_log *log) {
    struct publisher *publisher = calloc(1, sizeof *publisher);
    pthread_t thread;
    if (!publisher) return NULL;
    publisher->log = log;
    publisher->end = &publisher->first;
    publisher->oldest = publisher->next_tag = 1;
    pthread_mutex_init(&publisher->lock, NULL);
    connection_init(&publisher->connection, log->settings, "appends", APPENDED_FRAME_BYTES_MAX);
    publisher->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (publisher->wake < 0 || pthread_create(&thread, NULL, thread_main, publisher)) {
        publisher_free(publisher);
        return NULL;
    }
    pthread_detach(thread);
    return publisher;
}

void publisher_stop(struct publisher *publisher, uint32_t milliseconds) {
    pthread_mutex_lock(&publisher->lock);
    publisher->is_stopping = true;
    publisher->is_open = false;
    publisher->deadline = milliseconds_now() + milliseconds;
    wake(publisher);
    pthread_mutex_unlock(&publisher->lock);
    connection_give_up(&publisher->connection);
}

void publisher_break(struct publisher *publisher) {
    connection_break(&publisher->connection);
}

void publisher_free(struct publisher *publisher) {
    if (!publisher) return;
    while (publisher->first) {
        struct pending *record = publisher->first;
        publisher->first = record->next;
        free(record);
    }
    free(publisher->current);
    if (publisher->wake >= 0) close(publisher->wake);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}
