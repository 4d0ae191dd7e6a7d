/* What happens with the messages of a source. */
#include <stdlib.h>
#include <string.h>

#include "source.h"

void source_granted(struct wsd_source *source) {
    if (source->is_granted) return;
    source->is_granted = true;
    plugin_events_put(source->events, &(struct wsd_event){.kind = WSD_EVENT_GRANTED, .timestamp = -1});
}

bool source_give(struct wsd_source *source) {
    const struct delivery *delivery = &source->delivery;
    if (delivery->has_foreign_offset && source->connection.may_read_stream)
        return connection_fail(&source->connection, "queue \"%s\" at %s is a stream, and keeps no position for who reads it",
            source->connection.settings->queue, source->connection.server->name);
    source->newest = delivery->number;
    source->states[delivery->number % UNSETTLED_LIMIT] = OPEN;
    uint64_t offset = source->base + delivery->number;
    pthread_mutex_lock(&source->lock);
    source->next_offset = offset + 1;
    bool comes_again = source->rewind_count > 0 || source->rewinds;
    if (comes_again) source->floor = source->next_offset;
    pthread_mutex_unlock(&source->lock);
    if (comes_again) return true;
    source_granted(source);
    struct wsd_event event = delivery_event(delivery, 0, offset);
    return plugin_events_put(source->events, &event) || connection_fail(&source->connection, "no memory");
}

static bool lost(struct wsd_source *source, int status) {
    return connection_fail(
        &source->connection, "the connection to %s is lost: %s", source->connection.server->name, amqp_error_string2(status));
}

/* Acknowledges what is settled without a gap by one word, and what else `settled` has singly. */
static int acknowledge(struct wsd_source *source, const struct settlement *settled, size_t count) {
    uint64_t last = 0;
    while (source->oldest <= source->newest && source->states[source->oldest % UNSETTLED_LIMIT] != OPEN) {
        if (source->states[source->oldest % UNSETTLED_LIMIT] == ACCEPTED) last = source->oldest;
        source->oldest++;
    }
    int status = last ? amqp_basic_ack(source->connection.amqp, SOURCE_CHANNEL, last, true) : AMQP_STATUS_OK;
    for (size_t i = 0; i < count && status == AMQP_STATUS_OK; i++) {
        uint64_t tag = settled[i].offset - source->base;
        if (tag < source->oldest || tag > source->newest || source->states[tag % UNSETTLED_LIMIT] != ACCEPTED) continue;
        source->states[tag % UNSETTLED_LIMIT] = SENT;
        status = amqp_basic_ack(source->connection.amqp, SOURCE_CHANNEL, tag, false);
    }
    return status;
}

bool source_settle_all(struct wsd_source *source) {
    pthread_mutex_lock(&source->lock);
    struct settlement *settled = source->settlements;
    size_t count = source->settlement_count;
    source->settlements = NULL;
    source->settlement_count = source->settlement_room = 0;
    bool rewinds = source->rewinds;
    source->rewinds = false;
    if (rewinds) source->rewind_count++;
    pthread_mutex_unlock(&source->lock);

    int status = AMQP_STATUS_OK;
    for (size_t i = 0; i < count && status == AMQP_STATUS_OK; i++) {
        /* What came by an earlier connection comes again, whatever is said of it. */
        if (settled[i].offset <= source->base) continue;
        uint64_t tag = settled[i].offset - source->base;
        uint8_t *state = &source->states[tag % UNSETTLED_LIMIT];
        if (tag < source->oldest || tag > source->newest || *state != OPEN) continue;
        *state = settled[i].is_fault ? SENT : ACCEPTED;
        if (settled[i].is_fault) status = amqp_basic_reject(source->connection.amqp, SOURCE_CHANNEL, tag, false);
    }
    if (status == AMQP_STATUS_OK && count > 0) status = acknowledge(source, settled, count);
    free(settled);
    if (status == AMQP_STATUS_OK && rewinds) {
        amqp_basic_recover_t method = {.requeue = true};
        status = amqp_send_method(source->connection.amqp, SOURCE_CHANNEL, AMQP_BASIC_RECOVER_METHOD, &method);
    }
    return status == AMQP_STATUS_OK || lost(source, status);
}

void source_rewound(struct wsd_source *source) {
    source->oldest = source->newest + 1;
    if (source->rewind_count > 0) source->rewind_count--;
}
