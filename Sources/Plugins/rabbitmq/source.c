#include "source.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "plugin.h"
#include "topology.h"

/* How long a pass of the loop waits at most, and how old a lag may be: in milliseconds. */
enum { TICK = 500, LAG_AGE = 1000 };

/* How much may be given out and not settled; a record comes on top. What else came waits, and is bounded as a backlog. */
enum { GIVEN_BYTES_MAX = 4 << 20 };

static const char tag[] = "wsd";

static void wake(struct wsd_source *source) {
    if (write(source->wake, &(uint64_t){1}, sizeof(uint64_t)) < 0) return;
}

static bool is_stopping(struct wsd_source *source) {
    pthread_mutex_lock(&source->lock);
    bool is_stopping = source->is_stopping;
    pthread_mutex_unlock(&source->lock);
    return is_stopping;
}

static void tell(struct wsd_source *source, enum wsd_event_kind kind, const char *text) {
    plugin_events_put(source->events,
        &(struct wsd_event){.kind = kind, .partition = kind == WSD_EVENT_UP, .timestamp = -1, .text = text && *text ? text : NULL});
}

static bool prepare(struct wsd_source *source) {
    struct connection *connection = &source->connection;
    if (!connection_open(connection) || !topology_declare_source(connection, source->note, sizeof source->note)) return false;
    pthread_mutex_lock(&source->lock);
    source->base = source->next_offset - 1;
    source->rewinds = false;
    source->lag = -1;
    source->wants_lag = true;
    source->lag_asked = milliseconds_now();
    pthread_mutex_unlock(&source->lock);
    source->oldest = 1;
    source->newest = 0;
    source->rewind_count = 0;
    source->delivery.state = AWAITS_BEGIN;
    return (amqp_channel_open(connection->amqp, SOURCE_CHANNEL) &&
               amqp_basic_qos(connection->amqp, SOURCE_CHANNEL, 0, source->settings->prefetch, false) &&
               amqp_basic_consume(connection->amqp, SOURCE_CHANNEL, amqp_cstring_bytes(source->settings->queue),
                   amqp_cstring_bytes(tag), false, false, false, amqp_empty_table)) ||
        connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), "to read the queue");
}

static bool take(struct wsd_source *source, const amqp_frame_t *frame) {
    struct connection *connection = &source->connection;
    const char *name = connection->server->name;
    if (frame->frame_type != AMQP_FRAME_METHOD) {
        int taken = delivery_take(&source->delivery, frame, source->settings->record_limit);
        if (taken < 0) return connection_fail(connection, "%s sent what is no message, or memory is short", name);
        return taken == 0 || source_give(source);
    }
    const amqp_method_t *method = &frame->payload.method;
    switch (method->id) {
        case AMQP_BASIC_DELIVER_METHOD: delivery_begin(&source->delivery, method->decoded); return true;
        case AMQP_BASIC_RECOVER_OK_METHOD: source_rewound(source); return true;
        case AMQP_BASIC_CANCEL_METHOD:
            return connection_fail(connection, "queue \"%s\" at %s has been deleted", source->settings->queue, name);
        case AMQP_QUEUE_DECLARE_OK_METHOD: {
            const amqp_queue_declare_ok_t *queue = method->decoded;
            pthread_mutex_lock(&source->lock);
            source->lag = queue->message_count;
            pthread_mutex_unlock(&source->lock);
            if (queue->consumer_count == 1) source_granted(source);
            return true;
        }
        case AMQP_CHANNEL_CLOSE_METHOD: {
            const amqp_channel_close_t *closed = method->decoded;
            return connection_fail(
                connection, "%s ended the channel: %.*s", name, (int)closed->reply_text.len, (const char *)closed->reply_text.bytes);
        }
        default: return true;
    }
}

/* Asks how many messages wait, and for how many readers. */
static bool ask_lag(struct wsd_source *source) {
    int64_t now = milliseconds_now();
    pthread_mutex_lock(&source->lock);
    /* Who does not read may be the only one since. */
    bool is_wanted = source->wants_lag || (!source->is_granted && now - source->lag_asked >= LAG_AGE);
    if (is_wanted) source->lag_asked = now;
    source->wants_lag = false;
    pthread_mutex_unlock(&source->lock);
    if (!is_wanted) return true;
    amqp_queue_declare_t method = {.queue = amqp_cstring_bytes(source->settings->queue), .passive = 1};
    int status = amqp_send_method(source->connection.amqp, CONTROL_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &method);
    return status == AMQP_STATUS_OK ||
        connection_fail(&source->connection, "the connection to %s is lost", source->connection.server->name);
}

/* Reads until the connection is lost, with a reason, or the thread is to end. */
static void run(struct wsd_source *source) {
    struct connection *connection = &source->connection;
    for (;;) {
        bool is_ending = is_stopping(source);
        if (!source_settle_all(source) || is_ending || !ask_lag(source)) return;
        if (backlog_is_high(&source->backlog)) {
            if (!backlog_wait(&source->backlog, connection, source->wake)) return;
            continue;
        }
        amqp_frame_t frame;
        int count = 0;
        while (!backlog_is_high(&source->backlog) && (count = connection_next(connection, &frame)) > 0)
            if (!take(source, &frame)) return;
        if (count < 0 || !connection_check(connection)) return;
        if (!backlog_is_high(&source->backlog)) connection_wait(connection, POLLIN, source->wake, TICK);
    }
}

/* Ends a use of the source, and frees it after the last. The caller has the lock, which is given back. */
static void leave(struct wsd_source *source) {
    bool is_last = --source->user_count == 0;
    pthread_cond_broadcast(&source->changed);
    pthread_mutex_unlock(&source->lock);
    if (!is_last) return;
    plugin_events_free(source->events);
    settings_free(source->settings);
    delivery_free(&source->delivery);
    free(source->settlements);
    if (source->wake >= 0) close(source->wake);
    pthread_cond_destroy(&source->changed);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

/* Notes that all that came so far comes again, and is not given out until then. The caller has the lock. */
static void forget_given(struct wsd_source *source) {
    source->floor = source->next_offset;
    source->given_count = source->given_size = 0;
}

static void *thread_main(void *argument) {
    struct wsd_source *source = argument;
    struct connection *connection = &source->connection;
    struct backoff backoff = {0};
    while (!is_stopping(source)) {
        bool is_prepared = prepare(source);
        if (is_prepared) {
            *source->told = 0;
            tell(source, WSD_EVENT_UP, source->note);
            backoff.since = milliseconds_now();
            run(source);
        }
        bool is_ending = is_stopping(source);
        pthread_mutex_lock(&source->lock);
        forget_given(source);
        pthread_mutex_unlock(&source->lock);
        if (!is_ending && source->is_granted) tell(source, WSD_EVENT_REVOKED, NULL);
        source->is_granted = false;
        if (!is_ending && strcmp(source->told, connection->reason) != 0) {
            snprintf(source->told, sizeof source->told, "%s", connection->reason);
            tell(source, WSD_EVENT_DOWN, source->told);
        }
        connection_close(connection, is_ending && is_prepared);
        if (!is_ending) connection_wait(connection, 0, source->wake, backoff_next(&backoff));
    }
    pthread_mutex_lock(&source->lock);
    leave(source);
    return NULL;
}

struct wsd_source *source_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size) {
    const struct plugin_options given = {options, option_count, error, error_size};
    struct settings *settings = settings_read(&given, true);
    struct wsd_source *source = settings ? calloc(1, sizeof *source) : NULL;
    if (!source) {
        settings_free(settings);
        return NULL;
    }
    source->settings = settings;
    source->user_count = 1;
    source->next_offset = 1;
    source->lag = -1;
    pthread_mutex_init(&source->lock, NULL);
    condition_init(&source->changed);
    source->events = plugin_events_new(wake);
    source->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    backlog_init(&source->backlog, source->events);
    connection_init(&source->connection, settings, "consumes", READ_FRAME_BYTES_MAX);
    pthread_mutex_lock(&source->lock);
    bool is_started = source->events && source->wake >= 0 && connection_thread(thread_main, source);
    if (!is_started) {
        plugin_fail(&given, "no memory, or no thread can be made");
        leave(source);
        return NULL;
    }
    source->user_count++;
    pthread_mutex_unlock(&source->lock);
    return source;
}

size_t source_poll(struct wsd_source *source, struct wsd_event *events, size_t limit) {
    pthread_mutex_lock(&source->lock);
    size_t room = source->given_size < GIVEN_BYTES_MAX ? GIVEN_BYTES_MAX - source->given_size : 0;
    size_t count = plugin_events_take_within(source->events, events, limit, room), kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_record = events[i].kind == WSD_EVENT_RECORD;
        if (is_record && events[i].offset < source->floor) continue;
        if (is_record) {
            source->given_count++;
            source->given_size += plugin_event_size(&events[i]);
        }
        events[kept++] = events[i];
    }
    pthread_mutex_unlock(&source->lock);
    if (backlog_taken(&source->backlog)) wake(source);
    /* What is left of a batch that was all of that kind has to wake. */
    return kept || !count ? kept : source_poll(source, events, limit);
}

void source_settle(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault) {
    (void)partition;
    pthread_mutex_lock(&source->lock);
    if (offset >= source->floor && source->given_count > 0 && --source->given_count == 0) source->given_size = 0;
    if (source->settlement_count == source->settlement_room) {
        size_t room = source->settlement_room ? 2 * source->settlement_room : 64;
        struct settlement *larger = realloc(source->settlements, room * sizeof *larger);
        /* Without memory it comes again. */
        if (larger) {
            source->settlements = larger;
            source->settlement_room = room;
        }
    }
    bool is_first = source->settlement_count == 0;
    if (source->settlement_count < source->settlement_room)
        source->settlements[source->settlement_count++] = (struct settlement){offset, fault != NULL};
    pthread_mutex_unlock(&source->lock);
    if (is_first) wake(source);
}

void source_rewind(struct wsd_source *source) {
    pthread_mutex_lock(&source->lock);
    source->rewinds = true;
    forget_given(source);
    pthread_mutex_unlock(&source->lock);
    wake(source);
}

int64_t source_lag(struct wsd_source *source) {
    pthread_mutex_lock(&source->lock);
    int64_t lag = source->lag, now = milliseconds_now();
    bool asks = now - source->lag_asked >= LAG_AGE;
    if (asks) {
        source->wants_lag = true;
        source->lag_asked = now;
    }
    pthread_mutex_unlock(&source->lock);
    if (asks) wake(source);
    return lag;
}

void source_close(struct wsd_source *source, uint32_t milliseconds) {
    pthread_mutex_lock(&source->lock);
    source->is_stopping = true;
    pthread_mutex_unlock(&source->lock);
    wake(source);
    connection_give_up(&source->connection);
    struct timespec until = time_after(milliseconds);
    pthread_mutex_lock(&source->lock);
    while (source->user_count > 1)
        if (pthread_cond_timedwait(&source->changed, &source->lock, &until)) break;
    if (source->user_count > 1) connection_break(&source->connection);
    /* A thread that hangs may have something to tell later. */
    plugin_events_mute(source->events);
    leave(source);
}
