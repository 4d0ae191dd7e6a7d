#include "delivery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest text of a number, with its NUL, and the number of properties that are given out as headers. */
enum { NUMBER_BYTES = 32, TEXT_COUNT = 7 };

static bool make_room(char **memory, size_t *room, size_t wanted) {
    if (wanted <= *room) return true;
    char *larger = realloc(*memory, wanted);
    if (!larger) return false;
    *memory = larger;
    *room = wanted;
    return true;
}

static bool is_text(const amqp_bytes_t bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

void delivery_begin(struct delivery *delivery, const amqp_basic_deliver_t *method) {
    snprintf(delivery->consumer, sizeof delivery->consumer, "%.*s", (int)method->consumer_tag.len,
        (const char *)method->consumer_tag.bytes);
    delivery->number = method->delivery_tag;
    size_t count = method->routing_key.len < sizeof delivery->routing_key ? method->routing_key.len : 255;
    if (count) memcpy(delivery->routing_key, method->routing_key.bytes, count);
    delivery->routing_key_count = count;
    delivery->is_keyed_by_route = !delivery->exchange || is_text(method->exchange, delivery->exchange);
    delivery->state = AWAITS_PROPERTIES;
}

/* The value of a header as bytes; numbers and truth values in decimal and as words. `number` is room for those. False
 * for tables, arrays and what else has no such form. */
static bool value_of(const amqp_field_value_t *value, char *number, amqp_bytes_t *bytes) {
    int count = 0;
    switch (value->kind) {
        case AMQP_FIELD_KIND_UTF8:
        case AMQP_FIELD_KIND_BYTES: *bytes = value->value.bytes; return true;
        case AMQP_FIELD_KIND_BOOLEAN: count = sprintf(number, "%s", value->value.boolean ? "true" : "false"); break;
        case AMQP_FIELD_KIND_I8: count = sprintf(number, "%d", value->value.i8); break;
        case AMQP_FIELD_KIND_U8: count = sprintf(number, "%u", value->value.u8); break;
        case AMQP_FIELD_KIND_I16: count = sprintf(number, "%d", value->value.i16); break;
        case AMQP_FIELD_KIND_U16: count = sprintf(number, "%u", value->value.u16); break;
        case AMQP_FIELD_KIND_I32: count = sprintf(number, "%" PRId32, value->value.i32); break;
        case AMQP_FIELD_KIND_U32: count = sprintf(number, "%" PRIu32, value->value.u32); break;
        case AMQP_FIELD_KIND_I64: count = sprintf(number, "%" PRId64, value->value.i64); break;
        case AMQP_FIELD_KIND_U64:
        case AMQP_FIELD_KIND_TIMESTAMP: count = sprintf(number, "%" PRIu64, value->value.u64); break;
        case AMQP_FIELD_KIND_F32: count = snprintf(number, NUMBER_BYTES, "%g", (double)value->value.f32); break;
        case AMQP_FIELD_KIND_F64: count = snprintf(number, NUMBER_BYTES, "%.17g", value->value.f64); break;
        default: return false;
    }
    *bytes = (amqp_bytes_t){(size_t)count, number};
    return true;
}

static const char *copy(char **place, const amqp_bytes_t bytes) {
    char *start = *place;
    if (bytes.len) memcpy(start, bytes.bytes, bytes.len);
    start[bytes.len] = 0;
    *place += bytes.len + 1;
    return start;
}

static int64_t integer_of(const amqp_field_value_t *value) {
    char number[NUMBER_BYTES];
    amqp_bytes_t bytes;
    if (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES) return -1;
    if (!value_of(value, number, &bytes)) return -1;
    number[bytes.len] = 0;
    return strtoll(number, NULL, 10);
}

/* The place of the next header; NULL if there are too many. */
static struct wsd_header *next_header(struct delivery *delivery) {
    delivery->has_more_headers = delivery->header_count == HEADER_LIMIT;
    return delivery->has_more_headers ? NULL : &delivery->headers[delivery->header_count++];
}

static void take_header(struct delivery *delivery, const amqp_table_entry_t *entry, char **place) {
    char number[NUMBER_BYTES];
    amqp_bytes_t value;
    bool is_log = delivery->exchange != NULL;
    if (!is_log && is_text(entry->key, "x-stream-offset") && integer_of(&entry->value) >= 0) delivery->has_foreign_offset = true;
    /* A log is a stream, whose server sets the offset. What others have published brings no time along. */
    if (is_log && is_text(entry->key, "x-stream-offset")) {
        delivery->offset = integer_of(&entry->value);
    } else if (!delivery->is_keyed_by_route && is_text(entry->key, TIME_HEADER)) {
        delivery->timestamp = integer_of(&entry->value);
    } else if (value_of(&entry->value, number, &value)) {
        if (is_log && is_text(entry->key, MARKER_HEADER)) {
            snprintf(delivery->marker, sizeof delivery->marker, "%.*s", (int)value.len, (const char *)value.bytes);
        } else if (is_log && is_text(entry->key, KEY_HEADER)) {
            delivery->key_count = value.len;
            delivery->key = copy(place, value);
        } else {
            struct wsd_header *header = next_header(delivery);
            if (!header) return;
            header->name = copy(place, entry->key);
            header->value_count = value.len;
            header->value = copy(place, value);
        }
    }
}

/* Properties whose values are texts are given out as headers, by the names that AMQP has for them. */
static void take_texts(struct delivery *delivery, const amqp_basic_properties_t *properties, char **place) {
    const struct {
        amqp_flags_t flag;
        const char *name;
        amqp_bytes_t value;
    } texts[TEXT_COUNT] = {
        {AMQP_BASIC_CONTENT_TYPE_FLAG, "content-type", properties->content_type},
        {AMQP_BASIC_CORRELATION_ID_FLAG, "correlation-id", properties->correlation_id},
        {AMQP_BASIC_REPLY_TO_FLAG, "reply-to", properties->reply_to},
        {AMQP_BASIC_MESSAGE_ID_FLAG, "message-id", properties->message_id},
        {AMQP_BASIC_TYPE_FLAG, "type", properties->type},
        {AMQP_BASIC_USER_ID_FLAG, "user-id", properties->user_id},
        {AMQP_BASIC_APP_ID_FLAG, "app-id", properties->app_id},
    };
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        struct wsd_header *header = properties->_flags & texts[i].flag ? next_header(delivery) : NULL;
        if (!header) continue;
        header->name = texts[i].name;
        header->value_count = texts[i].value.len;
        header->value = copy(place, texts[i].value);
    }
}

static bool take_properties(struct delivery *delivery, const amqp_frame_t *frame) {
    if (frame->frame_type != AMQP_FRAME_HEADER || frame->payload.properties.class_id != AMQP_BASIC_CLASS) return false;
    const amqp_basic_properties_t *properties = frame->payload.properties.decoded;
    size_t header_count = properties->_flags & AMQP_BASIC_HEADERS_FLAG ? (size_t)properties->headers.num_entries : 0;
    size_t given_count = header_count + TEXT_COUNT < HEADER_LIMIT ? header_count + TEXT_COUNT : HEADER_LIMIT;
    /* What is copied is part of the properties, but for numbers. */
    size_t room = given_count * sizeof(struct wsd_header) + frame->payload.properties.raw.len + header_count * (NUMBER_BYTES + 2) + 16;
    if (!make_room(&delivery->property_memory, &delivery->property_room, room)) return false;
    delivery->headers = (struct wsd_header *)delivery->property_memory;
    char *place = (char *)(delivery->headers + given_count);
    delivery->offset = delivery->timestamp = -1;
    delivery->has_foreign_offset = delivery->has_more_headers = false;
    delivery->key = NULL;
    delivery->key_count = delivery->header_count = 0;
    delivery->marker[0] = 0;
    if (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG && properties->timestamp < INT64_MAX / 1000)
        delivery->timestamp = (int64_t)properties->timestamp * 1000;
    for (size_t i = 0; i < header_count; i++) take_header(delivery, &properties->headers.entries[i], &place);
    take_texts(delivery, properties, &place);
    if (delivery->is_keyed_by_route) {
        delivery->key = delivery->routing_key;
        delivery->key_count = delivery->routing_key_count;
    }
    delivery->body_size = frame->payload.properties.body_size;
    delivery->body_count = 0;
    return true;
}

/* The size of a message that is too large; 0 if it is not. */
static uint64_t excess(const struct delivery *delivery, size_t property_size, uint64_t limit) {
    uint64_t size = delivery->body_size + property_size;
    if (delivery->body_size > limit) return delivery->body_size;
    /* Nobody looks at the headers in a log. */
    bool is_source = delivery->exchange == NULL;
    return is_source && (delivery->has_more_headers || size > limit + SPARE_BYTES) ? size : 0;
}

int delivery_take(struct delivery *delivery, const amqp_frame_t *frame, uint64_t limit) {
    if (delivery->state == AWAITS_PROPERTIES) {
        if (!take_properties(delivery, frame)) return -1;
        delivery->body = NULL;
        delivery->excess = excess(delivery, frame->payload.properties.raw.len, limit);
        if (delivery->excess == 0) {
            if (!make_room(&delivery->body_memory, &delivery->body_room, delivery->body_size + 1)) return -1;
            delivery->body = delivery->body_memory;
        }
        delivery->state = AWAITS_BODY;
    } else {
        const amqp_bytes_t part = frame->payload.body_fragment;
        if (delivery->state != AWAITS_BODY || frame->frame_type != AMQP_FRAME_BODY) return -1;
        if (part.len > delivery->body_size - delivery->body_count) return -1;
        if (delivery->body && part.len) memcpy(delivery->body + delivery->body_count, part.bytes, part.len);
        delivery->body_count += part.len;
    }
    if (delivery->body_count < delivery->body_size) return 0;
    delivery->state = AWAITS_BEGIN;
    return 1;
}

struct wsd_event delivery_event(const struct delivery *delivery, uint32_t partition, uint64_t offset) {
    struct wsd_event event = {
        .kind = WSD_EVENT_RECORD, .partition = partition, .offset = offset, .timestamp = delivery->timestamp,
        .key = delivery->key, .key_count = delivery->key_count, .value = delivery->body,
        .value_count = delivery->body ? delivery->body_size : 0,
        .headers = delivery->headers, .header_count = delivery->header_count};
    if (!delivery->body) {
        event.flags = WSD_TOO_LARGE;
        event.offset2 = delivery->excess;
        event.header_count = 0;
    }
    return event;
}

static uint64_t mix(uint64_t print, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) print = (print ^ at[i]) * 1099511628211u;
    return print;
}

uint64_t delivery_print(const struct delivery *delivery) {
    /* Both ends are enough: records of wsd begin with who wrote them and their number. */
    enum { END = 64 };
    uint64_t print = mix(14695981039346656037u, &delivery->body_size, sizeof delivery->body_size);
    print = mix(print, &delivery->timestamp, sizeof delivery->timestamp);
    print = mix(print, delivery->marker, strlen(delivery->marker));
    if (delivery->key) print = mix(print, delivery->key, delivery->key_count);
    if (!delivery->body) return print;
    size_t count = delivery->body_size < END ? (size_t)delivery->body_size : END;
    print = mix(print, delivery->body, count);
    return mix(print, delivery->body + delivery->body_size - count, count);
}

void delivery_free(struct delivery *delivery) {
    free(delivery->body_memory);
    free(delivery->property_memory);
}
