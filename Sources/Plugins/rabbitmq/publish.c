/* How records are sent and confirmed. */
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "delivery.h"
#include "publisher_private.h"
#include "topology.h"

/* So much is sent between two looks at the socket. A frame may come on top. */
enum { TURN_BYTES = 24 << 10, FRAME_OVERHEAD = 8 };

void publisher_answer(
    struct publisher *publisher, uint32_t partition, uint64_t token, size_t size, const char *reason, uint32_t flags) {
    pthread_mutex_lock(&publisher->lock);
    publisher->count--;
    publisher->size -= size;
    pthread_mutex_unlock(&publisher->lock);
    plugin_events_put(publisher->log->events,
        &(struct wsd_event){.kind = reason ? WSD_EVENT_FAILED : WSD_EVENT_APPENDED, .flags = flags, .partition = partition,
            .token = token, .timestamp = -1, .text = reason});
}

static amqp_table_entry_t text_header(const char *key, const void *bytes, size_t count) {
    return (amqp_table_entry_t){amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = {count, (void *)bytes}}};
}

/* Sends what precedes the value. */
static int send_begin(struct publisher *publisher, const struct pending *record) {
    amqp_connection_state_t amqp = publisher->connection.amqp;
    struct stream_name name = stream_name(publisher->log->settings, record->partition);
    /* Without a stream the server would confirm what it has nowhere to put, so `mandatory`. */
    amqp_basic_publish_t method = {.exchange = amqp_empty_bytes, .routing_key = amqp_cstring_bytes(name.text), .mandatory = 1};
    int status = amqp_send_method(amqp, PUBLISH_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &method);
    if (status != AMQP_STATUS_OK) return status;
    amqp_table_entry_t headers[] = {
        {amqp_cstring_bytes(TIME_HEADER), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = record->timestamp}},
        text_header(record->is_marker ? MARKER_HEADER : KEY_HEADER, record->bytes, record->key_count)};
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .headers = {2, headers}, .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = PUBLISH_CHANNEL};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = record->value_count;
    frame.payload.properties.decoded = &properties;
    return amqp_send_frame(amqp, &frame);
}

static int send_part(struct publisher *publisher, const struct pending *record, size_t *count) {
    size_t limit = (size_t)amqp_get_frame_max(publisher->connection.amqp) - FRAME_OVERHEAD;
    size_t left = record->value_count - publisher->sent_count;
    *count = left < limit ? left : limit;
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = PUBLISH_CHANNEL};
    frame.payload.body_fragment.bytes = (char *)record->bytes + record->key_count + publisher->sent_count;
    frame.payload.body_fragment.len = *count;
    return amqp_send_frame(publisher->connection.amqp, &frame);
}

/* The next record to send, if it may be sent now. */
static struct pending *next_record(struct publisher *publisher) {
    if (publisher->next_tag - publisher->oldest >= FLIGHT_LIMIT || publisher->flight_size >= FLIGHT_BYTES_MAX) return NULL;
    pthread_mutex_lock(&publisher->lock);
    struct pending *record = publisher->first;
    if (record) {
        publisher->first = record->next;
        if (!publisher->first) publisher->end = &publisher->first;
    }
    pthread_mutex_unlock(&publisher->lock);
    return record;
}

static void take_off(struct publisher *publisher, const struct pending *record) {
    publisher->flights[publisher->next_tag++ % FLIGHT_LIMIT] = (struct flight){
        .token = record->token, .partition = record->partition, .is_marker = record->is_marker,
        .size = record->key_count + record->value_count, .value_size = record->value_count};
    publisher->flight_size += record->key_count + record->value_count;
}

/* Whether a record is larger than what the server takes, or than what readers give out: then it is not sent. */
static bool is_too_large(const struct publisher *publisher, const struct pending *record, char *reason, size_t size) {
    uint64_t read_limit = publisher->log->settings->record_limit, size_limit = publisher->size_limit;
    if (record->value_count > read_limit) {
        snprintf(reason, size, "nodes read no records of more than %" PRIu64 " bytes, and this one has %zu", read_limit,
            record->value_count);
        return true;
    }
    if (size_limit == 0 || record->value_count <= size_limit) return false;
    snprintf(reason, size, "%s takes no records of more than %" PRIu64 " bytes, and this one has %zu",
        publisher->connection.server->name, size_limit, record->value_count);
    return true;
}

int publisher_send(struct publisher *publisher) {
    size_t count = 0;
    int status = AMQP_STATUS_OK;
    /* One packet for many small frames. */
    setsockopt(publisher->connection.socket, IPPROTO_TCP, TCP_CORK, &(int){1}, sizeof(int));
    while (status == AMQP_STATUS_OK && count < TURN_BYTES) {
        struct pending *record = publisher->current;
        if (!record) {
            record = next_record(publisher);
            if (!record) break;
            size_t size = record->key_count + record->value_count;
            char reason[200];
            if (is_too_large(publisher, record, reason, sizeof reason)) {
                publisher_answer(publisher, record->partition, record->token, size, reason, WSD_FINAL | WSD_TOO_LARGE);
                free(record);
                continue;
            }
            publisher->current = record;
            publisher->sent_count = 0;
            take_off(publisher, record);
            status = send_begin(publisher, record);
            count += 200 + record->key_count;
        }
        size_t part = 0;
        if (status == AMQP_STATUS_OK && record->value_count > 0) status = send_part(publisher, record, &part);
        if (status != AMQP_STATUS_OK) break;
        count += part;
        publisher->sent_count += part;
        if (publisher->sent_count == record->value_count) {
            publisher->current = NULL;
            free(record);
        } else {
            /* It goes on: the server takes what is sent. */
            publisher->connection.heard = milliseconds_now();
            publisher->connection.asked = 0;
        }
    }
    setsockopt(publisher->connection.socket, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int));
    if (status == AMQP_STATUS_OK) return count >= TURN_BYTES || publisher->current;
    connection_fail(&publisher->connection, "the connection to %s is lost: %s", publisher->connection.server->name,
        amqp_error_string2(status));
    return -1;
}

/* The answer to one record. False if that was a marker, which can't fail. */
static bool answer(struct publisher *publisher, uint64_t tag, bool is_taken) {
    struct flight *flight = &publisher->flights[tag % FLIGHT_LIMIT];
    if (flight->is_answered) return true;
    flight->is_answered = true;
    publisher->flight_size -= flight->size;
    if (flight->is_marker) return is_taken;
    char reason[200];
    if (!is_taken)
        snprintf(reason, sizeof reason, "%s could not store it", publisher->connection.server->name);
    publisher_answer(
        publisher, flight->partition, flight->token, flight->size, is_taken ? NULL : reason, is_taken ? 0 : WSD_UNCERTAIN);
    return true;
}

static bool settle(struct publisher *publisher, uint64_t tag, bool is_multiple, bool is_taken) {
    bool is_good = true;
    if (tag == 0 && is_multiple) tag = publisher->next_tag - 1;
    if (tag < publisher->oldest || tag >= publisher->next_tag) return true;
    for (uint64_t i = is_multiple ? publisher->oldest : tag; i <= tag; i++) is_good = answer(publisher, i, is_taken) && is_good;
    while (publisher->oldest < publisher->next_tag && publisher->flights[publisher->oldest % FLIGHT_LIMIT].is_answered)
        publisher->oldest++;
    return is_good || connection_fail(&publisher->connection, "%s could not store a record", publisher->connection.server->name);
}

/* The server has closed the channel. If that is for a record's size, this one fails for good. */
static bool take_channel_close(struct publisher *publisher, const amqp_channel_close_t *method) {
    char said[300];
    unsigned long long size, limit;
    const char *name = publisher->connection.server->name;
    snprintf(said, sizeof said, "%.*s", (int)method->reply_text.len, (const char *)method->reply_text.bytes);
    const char *found = strstr(said, "message size ");
    if (found && sscanf(found, "message size %llu is larger than configured max size %llu", &size, &limit) == 2) {
        publisher->size_limit = limit;
        publisher->is_size_limit_new = true;
        for (uint64_t tag = publisher->oldest; tag < publisher->next_tag; tag++) {
            struct flight *flight = &publisher->flights[tag % FLIGHT_LIMIT];
            if (flight->is_answered || flight->is_marker || flight->value_size != size) continue;
            flight->is_answered = true;
            publisher_answer(publisher, flight->partition, flight->token, flight->size, said, WSD_FINAL | WSD_TOO_LARGE);
            break;
        }
    }
    return connection_fail(&publisher->connection, "%s ended the channel: %s", name, said);
}

bool publisher_take(struct publisher *publisher, const amqp_frame_t *frame) {
    if (frame->frame_type != AMQP_FRAME_METHOD) return true;
    const amqp_method_t *method = &frame->payload.method;
    switch (method->id) {
        case AMQP_BASIC_ACK_METHOD: {
            const amqp_basic_ack_t *ack = method->decoded;
            return settle(publisher, ack->delivery_tag, ack->multiple, true);
        }
        case AMQP_BASIC_NACK_METHOD: {
            const amqp_basic_nack_t *nack = method->decoded;
            return settle(publisher, nack->delivery_tag, nack->multiple, false);
        }
        case AMQP_BASIC_RETURN_METHOD: {
            const amqp_basic_return_t *returned = method->decoded;
            return connection_fail(&publisher->connection, "stream \"%.*s\" at %s has been deleted",
                (int)returned->routing_key.len, (const char *)returned->routing_key.bytes, publisher->connection.server->name);
        }
        case AMQP_CHANNEL_CLOSE_METHOD: return take_channel_close(publisher, method->decoded);
        default: return true;
    }
}

void publisher_fail_all(struct publisher *publisher, const char *reason) {
    for (uint64_t tag = publisher->oldest; tag < publisher->next_tag; tag++) {
        const struct flight *flight = &publisher->flights[tag % FLIGHT_LIMIT];
        if (!flight->is_answered && !flight->is_marker)
            publisher_answer(publisher, flight->partition, flight->token, flight->size, reason, WSD_UNCERTAIN);
    }
    publisher->oldest = publisher->next_tag = 1;
    publisher->flight_size = 0;
    free(publisher->current);
    publisher->current = NULL;
    struct pending *record;
    while ((record = next_record(publisher))) {
        if (!record->is_marker)
            publisher_answer(publisher, record->partition, record->token, record->key_count + record->value_count, reason, 0);
        free(record);
    }
}
