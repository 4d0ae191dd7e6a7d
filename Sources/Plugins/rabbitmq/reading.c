/* How a stream is read: see struct reading. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reader_private.h"
#include "topology.h"

static amqp_channel_t channel_of(uint32_t partition, uint32_t turn) {
    return (amqp_channel_t)(READ_CHANNEL + partition * CHANNEL_TURNS + turn % CHANNEL_TURNS);
}

struct reading *reading_of(struct reader *reader, amqp_channel_t channel, uint32_t *partition) {
    if (channel < READ_CHANNEL) return NULL;
    *partition = (uint32_t)(channel - READ_CHANNEL) / CHANNEL_TURNS;
    if (*partition >= PARTITION_LIMIT) return NULL;
    struct reading *reading = &reader->readings[*partition];
    return reading->is_open && channel_of(*partition, reading->turn) == channel ? reading : NULL;
}

static void tell(struct reader *reader, uint32_t partition, enum wsd_event_kind kind, int64_t offset) {
    plugin_events_put(reader->log->events,
        &(struct wsd_event){
            .kind = kind, .partition = partition, .offset = (uint64_t)offset, .timestamp = -1,
            .token = reader->readings[partition].reading_number});
}

/* A consumer's tag: what it is, and the turn of its channel. */
static void consumer_tag(char *tag, size_t size, const struct reading *reading, char kind) {
    snprintf(tag, size, "%c%" PRIu32, kind, reading->turn);
}

static amqp_field_value_t from_end(void) {
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("next")};
}

static amqp_field_value_t from_offset(int64_t offset) {
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = offset};
}

static bool consume(struct reader *reader, uint32_t partition, char kind, amqp_field_value_t place) {
    struct connection *connection = &reader->connection;
    struct stream_name name = stream_name(reader->log->settings, partition);
    char tag[32], what[300];
    consumer_tag(tag, sizeof tag, &reader->readings[partition], kind);
    amqp_table_entry_t argument = {amqp_cstring_bytes("x-stream-offset"), place};
    if (amqp_basic_consume(connection->amqp, channel_of(partition, reader->readings[partition].turn),
            amqp_cstring_bytes(name.text), amqp_cstring_bytes(tag), false, false, false, (amqp_table_t){1, &argument}))
        return true;
    snprintf(what, sizeof what, "to read stream \"%s\"", name.text);
    return connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), what);
}

/* Where main begins. */
static amqp_field_value_t place_of(const struct reading *reading) {
    if (reading->next > 0) return from_offset(reading->next - 1);
    if (reading->next == 0) return from_offset(0);
    if (reading->from == WSD_FROM_END) return from_end();
    /* In seconds: of the chunk that it finds there, the records that are too old are left out later. */
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_TIMESTAMP,
        .value.u64 = reading->place > 0 ? (uint64_t)reading->place / 1000 : 0};
}

bool reading_begin(struct reader *reader, uint32_t partition) {
    struct reading *reading = &reader->readings[partition];
    struct connection *connection = &reader->connection;
    reading->turn++;
    amqp_channel_t channel = channel_of(partition, reading->turn);
    if (reading->is_new) {
        reading->next = reading->from == WSD_FROM_OFFSET ? (reading->place > 0 ? reading->place : 0) : -1;
        reading->has_print = reading->has_caught_up = false;
        reading->skips_older = reading->from == WSD_FROM_TIME;
    }
    reading->is_first = true;
    reading->delivered = reading->acknowledged = 0;
    reading->delivery.state = AWAITS_BEGIN;
    reading->delivery.exchange = reader->log->settings->prefix;
    reading->marker_offset = -1;
    reading->has_tail = reading->next > 0;
    if (!amqp_channel_open(connection->amqp, channel) ||
        !amqp_basic_qos(connection->amqp, channel, 0, reader->log->settings->prefetch, false))
        return connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), "a channel");
    reading->is_open = true;
    if (!consume(reader, partition, 'm', place_of(reading))) return false;
    if (reading->has_tail && !consume(reader, partition, 't', from_end())) return false;
    /* Only now, as it must come to both. */
    snprintf(reading->marker, sizeof reading->marker, "%016" PRIx64 "-%" PRIu64, reader->marker_base, ++reader->marker_count);
    publisher_mark(reader->log->publisher, partition, reading->marker);
    reading->is_new = false;
    return true;
}

bool reading_end(struct reader *reader, uint32_t partition) {
    struct reading *reading = &reader->readings[partition];
    if (!reading->is_open) return true;
    reading->is_open = false;
    publisher_mark(reader->log->publisher, partition, NULL);
    amqp_rpc_reply_t reply =
        amqp_channel_close(reader->connection.amqp, channel_of(partition, reading->turn), AMQP_REPLY_SUCCESS);
    return reply.reply_type == AMQP_RESPONSE_NORMAL || connection_rpc_failed(&reader->connection, reply, "to close a channel");
}

/* The stream ends at `end`, before what was read, or is another one. */
static bool replaced(struct reader *reader, uint32_t partition, int64_t end) {
    reader->readings[partition].is_wanted = false;
    tell(reader, partition, WSD_EVENT_REPLACED, end);
    return reading_end(reader, partition);
}

/* The marker has come, at this offset. */
static bool take_marker(struct reader *reader, uint32_t partition, int64_t offset) {
    struct reading *reading = &reader->readings[partition];
    reading->marker[0] = 0;
    reading->marker_offset = offset;
    publisher_mark(reader->log->publisher, partition, NULL);
    /* Before main's first record. Later it can be main itself that has come to the marker, or passed it. */
    if (offset < reading->next && reading->is_first) return replaced(reader, partition, offset);
    if (!reading->has_tail) return true;
    reading->has_tail = false;
    char tag[32];
    consumer_tag(tag, sizeof tag, reading, 't');
    amqp_basic_cancel_t method = {.consumer_tag = amqp_cstring_bytes(tag), .nowait = 1};
    int status = amqp_send_method(
        reader->connection.amqp, channel_of(partition, reading->turn), AMQP_BASIC_CANCEL_METHOD, &method);
    return status == AMQP_STATUS_OK ||
        connection_fail(&reader->connection, "the connection to %s is lost: %s", reader->connection.server->name,
            amqp_error_string2(status));
}

/* What main's first record shows of what is behind it. False if the stream was replaced. */
static bool is_continued(struct reader *reader, uint32_t partition) {
    struct reading *reading = &reader->readings[partition];
    const struct delivery *delivery = &reading->delivery;
    if (reading->next >= 0 && delivery->offset > reading->next) tell(reader, partition, WSD_EVENT_LOST, delivery->offset);
    reading->is_first = false;
    return delivery->offset != reading->next - 1 || !reading->has_print || delivery_print(delivery) == reading->print;
}

/* Whether it is a record, and not too old. */
static bool is_to_be_given(struct reading *reading) {
    const struct delivery *delivery = &reading->delivery;
    if (*delivery->marker) return false;
    if (reading->skips_older && delivery->timestamp >= 0 && delivery->timestamp < reading->place) return false;
    reading->skips_older = false;
    return true;
}

static bool take_main(struct reader *reader, uint32_t partition) {
    struct reading *reading = &reader->readings[partition];
    struct delivery *delivery = &reading->delivery;
    /* Chunks are sent whole by some versions. */
    if (delivery->offset < reading->next - 1) return true;
    if (reading->is_first && !is_continued(reader, partition)) return replaced(reader, partition, delivery->offset);
    if (delivery->offset < reading->next) return true;
    reading->next = delivery->offset + 1;
    reading->print = delivery_print(delivery);
    reading->has_print = true;
    if (is_to_be_given(reading)) {
        struct wsd_event event = delivery_event(delivery, partition, (uint64_t)delivery->offset);
        event.token = reading->reading_number;
        if (!plugin_events_put(reader->log->events, &event)) return connection_fail(&reader->connection, "no memory");
    }
    if (*reading->marker && strcmp(delivery->marker, reading->marker) == 0 && !take_marker(reader, partition, delivery->offset))
        return false;
    if (reading->is_open && !reading->has_caught_up && reading->marker_offset >= 0 && reading->next > reading->marker_offset) {
        reading->has_caught_up = true;
        tell(reader, partition, WSD_EVENT_CAUGHT_UP, reading->marker_offset);
    }
    return true;
}

bool reading_take(struct reader *reader, uint32_t partition) {
    struct reading *reading = &reader->readings[partition];
    struct delivery *delivery = &reading->delivery;
    char main[32], tail[32];
    consumer_tag(main, sizeof main, reading, 'm');
    consumer_tag(tail, sizeof tail, reading, 't');
    bool is_main = strcmp(delivery->consumer, main) == 0, is_tail = strcmp(delivery->consumer, tail) == 0;
    /* What a channel before this one left. */
    if (!is_main && !is_tail) return true;
    reading->delivered = delivery->number;
    if (delivery->offset < 0)
        return connection_fail(&reader->connection, "queue \"%s\" at %s is no stream: it must be deleted, or another prefix chosen",
            stream_name(reader->log->settings, partition).text, reader->connection.server->name);
    uint32_t enough = reader->log->settings->prefetch / 4u;
    if (is_main) return take_main(reader, partition) && (!reading->is_open || reading_acknowledge(reader, partition, enough));
    bool is_marker = *reading->marker && strcmp(delivery->marker, reading->marker) == 0;
    if (is_marker && !take_marker(reader, partition, delivery->offset)) return false;
    return !reading->is_open || reading_acknowledge(reader, partition, enough);
}

bool reading_acknowledge(struct reader *reader, uint32_t partition, uint32_t count) {
    struct reading *reading = &reader->readings[partition];
    if (reading->delivered - reading->acknowledged < count) return true;
    int status = amqp_basic_ack(
        reader->connection.amqp, channel_of(partition, reading->turn), reading->delivered, true);
    reading->acknowledged = reading->delivered;
    return status == AMQP_STATUS_OK ||
        connection_fail(&reader->connection, "the connection to %s is lost: %s", reader->connection.server->name,
            amqp_error_string2(status));
}
