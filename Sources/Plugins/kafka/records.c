#include <stdlib.h>
#include <string.h>

#include "source.h"

/* So many bytes are taken from librdkafka at once, and a record on top. */
enum { PULL_BYTES = 1 << 20 };
/* What a record may have besides its value, in bytes, and how many headers; what each counts besides its bytes. */
enum { SPARE_BYTES = 64 << 10, HEADER_LIMIT = 512, RECORD_COST = 1 << 10 };
/* What librdkafka needs for a header besides its bytes, about. */
enum { HEADER_COST = 96 };

/* Notes that a partition has been read to its end. */
static void note_end(struct wsd_source *source, int32_t partition, int64_t offset) {
    struct share *share = share_of(source, partition);
    if (!share) return;
    fault_end(source, share);
    if (offset < share->next) {
        share_replaced(source, partition, offset);
        return;
    }
    share->next = offset;
    share->is_rewound = false;
    share_passed(source, partition, offset);
    share->is_anew = false;
}

/* The number of headers of a record; more than it may have if librdkafka can't read them, as it does for very many. */
static size_t header_count(const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    if (!message || message->err) return 0;
    switch (rd_kafka_message_headers(message, &headers)) {
        case RD_KAFKA_RESP_ERR_NO_ERROR: return rd_kafka_header_cnt(headers);
        case RD_KAFKA_RESP_ERR__NOENT: return 0;
        default: return HEADER_LIMIT + 1;
    }
}

/* Copies the headers of a record to where there is room for them, unless there are too many; the bytes of all that it
 * consists of. */
static size_t read_headers(const rd_kafka_message_t *message, struct wsd_header *place, size_t count) {
    rd_kafka_headers_t *headers;
    size_t size = message->key_len + message->len;
    if (count == 0 || rd_kafka_message_headers(message, &headers)) return size;
    for (size_t i = 0; i < count; i++) {
        struct wsd_header header;
        if (rd_kafka_header_get_all(headers, i, &header.name, &header.value, &header.value_count)) break;
        size += strlen(header.name) + header.value_count;
        if (count <= HEADER_LIMIT) place[i] = header;
    }
    return size;
}

/* Makes an event of a record, whose headers are there, and all of which has so many bytes. */
static struct wsd_event event_of(
    const struct wsd_source *source, const rd_kafka_message_t *message, const struct wsd_header *headers, size_t count,
    size_t size) {
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    bool has_large_value = message->len > source->settings.max_record;
    struct wsd_event event = {
        .kind = WSD_EVENT_RECORD,
        .partition = (uint32_t)message->partition,
        .offset = (uint64_t)message->offset,
        .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
    };
    if (has_large_value || size > source->settings.max_record + SPARE_BYTES || count > HEADER_LIMIT) {
        event.flags = WSD_TOO_LARGE;
        event.offset2 = has_large_value ? message->len : size;
        return event;
    }
    event.key = message->key;
    event.key_count = message->key_len;
    event.value = message->payload;
    event.value_count = message->len;
    event.headers = headers;
    event.header_count = (uint32_t)count;
    return event;
}

/* Gives a record out, unless it was before. `headers` is where the headers go. */
static bool give(
    struct wsd_source *source, const rd_kafka_message_t *message, struct wsd_header *headers, struct wsd_event *event) {
    struct share *share = share_of(source, message->partition);
    if (!share) return false;
    size_t count = header_count(message);
    *event = event_of(source, message, headers, count, read_headers(message, headers, count));
    size_t size = event->flags & WSD_TOO_LARGE ? 0 : event->key_count + event->value_count;
    for (uint32_t i = 0; i < event->header_count; i++) size += strlen(headers[i].name) + headers[i].value_count;
    fault_end(source, share);
    if (message->offset < share->next && !share->is_rewound) {
        share_replaced(source, message->partition, message->offset);
        return false;
    }
    share->is_rewound = false;
    share->next = message->offset + 1;
    bool is_given = positions_give(&share->positions, message->offset, size + RECORD_COST);
    /* The group has a position from now on, whoever reads next. */
    if (is_given && share->stored < 0) share_store(source, message->partition);
    share->is_anew = false;
    return is_given;
}

void records_forget(struct wsd_source *source, int32_t partition) {
    for (size_t i = source->passed; i < source->record_count; i++) {
        const rd_kafka_message_t *message = source->records[i];
        /* What is told of the group is of no partition, though it has the number 0. */
        if (!message || !message->rkt || message->partition != partition) continue;
        rd_kafka_message_destroy(source->records[i]);
        source->records[i] = NULL;
    }
}

void records_free(struct wsd_source *source) {
    free(source->headers);
    source->headers = NULL;
    for (size_t i = 0; i < source->record_count; i++)
        if (source->records[i]) rd_kafka_message_destroy(source->records[i]);
    source->record_count = source->passed = 0;
}

/* Takes what librdkafka has, which carries out the coordinator's decisions. */
static void pull(struct wsd_source *source) {
    for (size_t bytes = 0; source->record_count < GIVEN_LIMIT && bytes < PULL_BYTES;) {
        rd_kafka_message_t *record;
        if (rd_kafka_consume_batch_queue(source->queue, 0, &record, 1) != 1) return;
        source->records[source->record_count++] = record;
        if (!record->err) bytes += record->len + record->key_len + header_count(record) * HEADER_COST;
    }
}

static size_t give_some(struct wsd_source *source, struct wsd_event *events, size_t limit) {
    size_t count = 0, used = 0, total = 0;
    for (size_t i = source->passed; i < source->record_count; i++) {
        size_t headers = header_count(source->records[i]);
        if (headers <= HEADER_LIMIT) total += headers;
    }
    free(source->headers);
    source->headers = calloc(total + 1, sizeof *source->headers);
    while (source->headers && source->passed < source->record_count && count < limit) {
        const rd_kafka_message_t *message = source->records[source->passed++];
        if (!message) continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            note_end(source, message->partition, message->offset);
        else if (message->err)
            fault_note(source, message);
        else if (give(source, message, source->headers + used, &events[count]))
            used += events[count++].header_count;
    }
    shares_regulate(source);
    return count;
}

size_t kafka_source_poll(struct wsd_source *source, struct wsd_event *events, size_t limit) {
    faults_retry(source);
    for (;;) {
        if (source->passed == source->record_count) records_free(source);
        if (source->record_count == 0) pull(source);
        /* What has become of the partitions comes before the records that followed it. */
        size_t count = plugin_events_take(source->events, events, limit);
        for (size_t i = 0; i < count; i++)
            if (events[i].kind == WSD_EVENT_LOST) share_begin_anew(source, (int32_t)events[i].partition);
        if (count > 0 || source->record_count == 0) return count;
        count = give_some(source, events, limit);
        if (count > 0 || source->passed < source->record_count) return count;
    }
}
