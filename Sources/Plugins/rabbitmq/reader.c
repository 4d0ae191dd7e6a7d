#include "reader_private.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "topology.h"

/* How long a pass of the loop waits at most, and after how long what is left is acknowledged: in milliseconds. */
enum { TICK = 500, REST = 60000 };

static void wake(struct reader *reader) {
    if (write(reader->wake, &(uint64_t){1}, sizeof(uint64_t)) < 0) return;
}

void reader_read(struct reader *reader, uint32_t partition, enum wsd_from from, int64_t place) {
    pthread_mutex_lock(&reader->lock);
    reader->requests[partition].is_new = true;
    reader->requests[partition].reading_number++;
    reader->requests[partition].from = from;
    reader->requests[partition].place = place;
    reader->is_requested = true;
    pthread_mutex_unlock(&reader->lock);
    wake(reader);
}

size_t reader_sift(struct reader *reader, struct wsd_event *events, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct wsd_event event = events[i];
        bool is_read = event.kind >= WSD_EVENT_RECORD && event.kind <= WSD_EVENT_REPLACED;
        /* Only the thread that sifts changes the number of a request. */
        if (is_read && event.partition < PARTITION_LIMIT && event.token != reader->requests[event.partition].reading_number)
            continue;
        if (is_read) event.token = 0;
        events[kept++] = event;
    }
    return kept;
}

void reader_go_on(struct reader *reader) {
    if (backlog_taken(&reader->backlog)) wake(reader);
}

static bool is_stopping(struct reader *reader) {
    pthread_mutex_lock(&reader->lock);
    bool is_stopping = reader->is_stopping;
    pthread_mutex_unlock(&reader->lock);
    return is_stopping;
}

/* Takes over what wsd has asked for. */
static bool take_requests(struct reader *reader) {
    pthread_mutex_lock(&reader->lock);
    bool is_requested = reader->is_requested;
    reader->is_requested = false;
    for (uint32_t i = 0; is_requested && i < PARTITION_LIMIT; i++) {
        if (!reader->requests[i].is_new) continue;
        reader->requests[i].is_new = false;
        reader->readings[i].is_wanted = reader->readings[i].is_new = true;
        reader->readings[i].from = reader->requests[i].from;
        reader->readings[i].place = reader->requests[i].place;
        reader->readings[i].reading_number = reader->requests[i].reading_number;
    }
    pthread_mutex_unlock(&reader->lock);
    return is_requested;
}

/* Begins to read what is wanted and not read yet. */
static bool begin_readings(struct reader *reader) {
    for (uint32_t i = 0; i < PARTITION_LIMIT; i++) {
        struct reading *reading = &reader->readings[i];
        if (!reading->is_wanted || (reading->is_open && !reading->is_new)) continue;
        if (!reading_end(reader, i) || !reading_begin(reader, i)) return false;
    }
    return true;
}

/* The server has ended a consumer, for instance as its stream was deleted: it is made and read again. */
static bool take_cancel(struct reader *reader, struct reading *reading, uint32_t partition) {
    struct connection *connection = &reader->connection;
    return reading_end(reader, partition) &&
        topology_declare(connection, NULL, reader->note, sizeof reader->note) &&
        (!reading->is_wanted || reading_begin(reader, partition));
}

static bool take(struct reader *reader, const amqp_frame_t *frame) {
    uint32_t partition;
    struct reading *reading = reading_of(reader, frame->channel, &partition);
    struct connection *connection = &reader->connection;
    if (!reading) return true;
    if (frame->frame_type != AMQP_FRAME_METHOD) {
        int taken = delivery_take(&reading->delivery, frame, reader->log->settings->record_limit);
        if (taken < 0) return connection_fail(connection, "%s sent what is no message, or memory is short", connection->server->name);
        return taken == 0 || reading_take(reader, partition);
    }
    switch (frame->payload.method.id) {
        case AMQP_BASIC_DELIVER_METHOD: delivery_begin(&reading->delivery, frame->payload.method.decoded); return true;
        case AMQP_BASIC_CANCEL_METHOD: return take_cancel(reader, reading, partition);
        case AMQP_CHANNEL_CLOSE_METHOD: {
            const amqp_channel_close_t *closed = frame->payload.method.decoded;
            return connection_fail(connection, "%s ended the reading of stream \"%s\": %.*s", connection->server->name,
                stream_name(reader->log->settings, partition).text, (int)closed->reply_text.len,
                (const char *)closed->reply_text.bytes);
        }
        default: return true;
    }
}

/* Acknowledges from time to time what is too little for reading_take: the server ends a channel for what is not
 * acknowledged in half an hour. */
static bool acknowledge_rest(struct reader *reader) {
    int64_t now = milliseconds_now();
    if (now - reader->rested < REST) return true;
    reader->rested = now;
    for (uint32_t i = 0; i < PARTITION_LIMIT; i++)
        if (reader->readings[i].is_open && !reading_acknowledge(reader, i, 1)) return false;
    return true;
}

/* Reads until the connection is lost, with a reason, or the thread is to end. */
static void run(struct reader *reader) {
    struct connection *connection = &reader->connection;
    while (!is_stopping(reader)) {
        if (take_requests(reader) && !begin_readings(reader)) return;
        if (backlog_is_high(&reader->backlog)) {
            if (!backlog_wait(&reader->backlog, connection, reader->wake)) return;
            continue;
        }
        amqp_frame_t frame;
        int count = 0;
        while (!backlog_is_high(&reader->backlog) && (count = connection_next(connection, &frame)) > 0)
            if (!take(reader, &frame)) return;
        if (count < 0 || !connection_check(connection) || !acknowledge_rest(reader)) return;
        if (!backlog_is_high(&reader->backlog)) connection_wait(connection, POLLIN, reader->wake, TICK);
    }
}

static void *thread_main(void *argument) {
    struct reader *reader = argument;
    struct wsd_log *log = reader->log;
    struct connection *connection = &reader->connection;
    struct backoff backoff = {0};
    log_await_attempt(log);
    while (!is_stopping(reader)) {
        bool is_prepared = connection_open(connection) &&
            topology_declare(connection, NULL, reader->note, sizeof reader->note);
        if (is_prepared) {
            take_requests(reader);
            is_prepared = begin_readings(reader);
        }
        if (is_prepared) {
            log_up(log, READING, 0, "");
            backoff.since = milliseconds_now();
            run(reader);
        }
        bool is_ending = is_stopping(reader);
        for (uint32_t i = 0; i < PARTITION_LIMIT; i++) reader->readings[i].is_open = false;
        if (!is_ending) log_down(log, READING, connection->reason);
        connection_close(connection, is_ending && is_prepared);
        if (!is_ending) connection_wait(connection, 0, reader->wake, backoff_next(&backoff));
    }
    log_leave(log);
    return NULL;
}

struct reader *reader_start(struct wsd_log *log) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->log = log;
    pthread_mutex_init(&reader->lock, NULL);
    backlog_init(&reader->backlog, log->events);
    connection_init(&reader->connection, log->settings, "reads", READ_FRAME_BYTES_MAX);
    reader->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool is_random = getrandom(&reader->marker_base, sizeof reader->marker_base, 0) == sizeof reader->marker_base;
    if (!is_random || reader->wake < 0 || !connection_thread(thread_main, reader)) {
        reader_free(reader);
        return NULL;
    }
    return reader;
}

void reader_stop(struct reader *reader) {
    pthread_mutex_lock(&reader->lock);
    reader->is_stopping = true;
    pthread_mutex_unlock(&reader->lock);
    wake(reader);
    connection_give_up(&reader->connection);
}

void reader_break(struct reader *reader) {
    connection_break(&reader->connection);
}

void reader_free(struct reader *reader) {
    if (!reader) return;
    for (uint32_t i = 0; i < PARTITION_LIMIT; i++) delivery_free(&reader->readings[i].delivery);
    if (reader->wake >= 0) close(reader->wake);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}
