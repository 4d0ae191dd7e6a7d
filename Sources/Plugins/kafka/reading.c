#include <stdlib.h>

#include "log.h"

/* So long one answer may take, in milliseconds. */
enum { LOOKUP_TIMEOUT = 1000 };

/* The entry of a partition; NULL if there is no memory, or the topic has far fewer. */
static struct partition *entry(struct wsd_log *log, uint32_t partition) {
    if (partition < log->partition_count) return &log->partitions[partition];
    if (partition >= atomic_load(&log->watch.count)) return NULL;
    pthread_mutex_lock(&log->lock);
    uint32_t count = atomic_load(&log->watch.count);
    struct partition *grown = reallocarray(log->partitions, count, sizeof *grown);
    if (grown) {
        for (uint32_t i = log->partition_count; i < count; i++) grown[i] = (struct partition){.state = READING_NONE};
        log->partitions = grown;
        log->partition_count = count;
    }
    pthread_mutex_unlock(&log->lock);
    return grown ? &grown[partition] : NULL;
}

static void stop(struct wsd_log *log, struct partition *partition) {
    if (partition->state == READING_NONE || partition->state == READING_LOOKUP) return;
    rd_kafka_consume_stop(log->watch.topic, (int32_t)(partition - log->partitions));
}

/* Reads from an offset on; from the end if it is -1. */
static void start(struct wsd_log *log, struct partition *partition, int64_t offset) {
    stop(log, partition);
    if (!log->queue) {
        log->queue = rd_kafka_queue_new(log->watch.client);
        rd_kafka_queue_io_event_enable(log->queue, log->wake, "", 1);
    }
    partition->next = offset;
    partition->state = READING_ON;
    rd_kafka_consume_start_queue(
        log->watch.topic, (int32_t)(partition - log->partitions), offset < 0 ? RD_KAFKA_OFFSET_END : offset, log->queue);
}

/* Has the watch's thread look up where the partition begins and ends. */
static void look_up(struct wsd_log *log, struct partition *partition, int64_t time) {
    stop(log, partition);
    partition->state = READING_LOOKUP;
    pthread_mutex_lock(&log->lock);
    partition->lookup.generation++;
    partition->lookup.time = time;
    partition->lookup.state = LOOKUP_ASKED;
    pthread_mutex_unlock(&log->lock);
    kafka_watch_nudge(&log->watch);
}

void kafka_read(struct wsd_log *log, uint32_t number, enum wsd_from from, int64_t place) {
    struct partition *partition = entry(log, number);
    if (!partition) return;
    pthread_mutex_lock(&log->lock);
    partition->lookup.state = LOOKUP_NONE;
    pthread_mutex_unlock(&log->lock);
    partition->target = partition->checked = -1;
    partition->is_caught_up = false;
    partition->next = -1;
    if (from == WSD_FROM_TIME)
        look_up(log, partition, place < 0 ? 0 : place);
    else
        start(log, partition, from == WSD_FROM_END || place < 0 ? -1 : place);
}

/* Answers one question; false if the broker does not. */
static bool answer(struct wsd_log *log, uint32_t partition, struct lookup *lookup) {
    rd_kafka_t *client = log->watch.client;
    const char *topic = log->settings.topic;
    if (rd_kafka_query_watermark_offsets(
            client, topic, (int32_t)partition, &lookup->low, &lookup->high, LOOKUP_TIMEOUT))
        return false;
    lookup->found = -1;
    if (lookup->time < 0) return true;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, (int32_t)partition)->offset = lookup->time;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client, list, LOOKUP_TIMEOUT);
    if (!code) code = list->elems[0].err;
    if (!code && list->elems[0].offset >= 0) lookup->found = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    bool is_unknown = code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION || code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
                      code == RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT;
    if (is_unknown) lookup->found = lookup->low;
    return !code || is_unknown;
}

void reading_work(void *owner) {
    struct wsd_log *log = owner;
    for (uint32_t i = 0; !atomic_load(&log->watch.is_closing); i++) {
        pthread_mutex_lock(&log->lock);
        while (i < log->partition_count && log->partitions[i].lookup.state != LOOKUP_ASKED) i++;
        bool is_asked = i < log->partition_count;
        struct lookup lookup = is_asked ? log->partitions[i].lookup : (struct lookup){.state = LOOKUP_NONE};
        pthread_mutex_unlock(&log->lock);
        if (!is_asked || !answer(log, i, &lookup)) return;
        pthread_mutex_lock(&log->lock);
        struct lookup *place = &log->partitions[i].lookup;
        if (place->state == LOOKUP_ASKED && place->generation == lookup.generation) {
            *place = lookup;
            place->state = LOOKUP_DONE;
        }
        pthread_mutex_unlock(&log->lock);
        plugin_events_put(log->events, &(struct wsd_event){.timestamp = -1});
    }
}

static void tell(struct wsd_log *log, const struct partition *partition, enum wsd_event_kind kind, int64_t offset) {
    plugin_events_put(
        log->events,
        &(struct wsd_event){
            .kind = kind, .partition = (uint32_t)(partition - log->partitions), .offset = (uint64_t)offset,
            .timestamp = -1});
}

/* Goes on from what was looked up: after a question about a time, or where the next offset is none of the log's. */
static void go_on(struct wsd_log *log, struct partition *partition, const struct lookup *lookup) {
    partition->state = READING_NONE;
    if (lookup->time >= 0) {
        bool is_none = lookup->found < 0 && lookup->high > lookup->low;
        /* All records are older; or the broker does not know times, which the last record shows. */
        if (is_none) partition->checked = lookup->high;
        if (partition->target < 0) partition->target = lookup->high;
        start(log, partition, is_none ? lookup->high - 1 : lookup->found < 0 ? lookup->high : lookup->found);
    } else if (partition->next > lookup->high) {
        tell(log, partition, WSD_EVENT_REPLACED, lookup->high);
        return;
    } else if (partition->next >= 0 && partition->next < lookup->low) {
        tell(log, partition, WSD_EVENT_LOST, lookup->low);
        start(log, partition, lookup->low);
    } else {
        start(log, partition, partition->next < 0 ? lookup->high : partition->next);
    }
}

void reading_go_on(struct wsd_log *log, bool is_up_again) {
    for (uint32_t i = 0; i < log->partition_count; i++) {
        struct partition *partition = &log->partitions[i];
        pthread_mutex_lock(&log->lock);
        struct lookup lookup = partition->lookup;
        if (lookup.state == LOOKUP_DONE) partition->lookup.state = LOOKUP_NONE;
        pthread_mutex_unlock(&log->lock);
        if (lookup.state == LOOKUP_DONE && partition->state == READING_LOOKUP) go_on(log, partition, &lookup);
        if (is_up_again && partition->state == READING_BROKEN) start(log, partition, partition->next);
    }
}

static void catch_up(struct wsd_log *log, struct partition *partition, int64_t offset) {
    if (partition->is_caught_up) return;
    partition->is_caught_up = true;
    tell(log, partition, WSD_EVENT_CAUGHT_UP, offset);
}

/* What librdkafka tells of a partition instead of a record. */
static void note_error(struct wsd_log *log, struct partition *partition, const rd_kafka_message_t *message) {
    switch (message->err) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            if (message->offset >= 0) partition->next = message->offset;
            catch_up(log, partition, message->offset);
            break;
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: look_up(log, partition, -1); break;
        default:
            partition->state = READING_BROKEN;
            kafka_watch_fault(
                &log->watch, "reading partition %d of topic \"%s\" fails: %s", message->partition, log->settings.topic,
                rd_kafka_err2str(message->err));
    }
}

/* Gives out a record, unless it is one that was read only for its time. */
static bool give(
    struct wsd_log *log, struct partition *partition, const rd_kafka_message_t *message, struct wsd_event *event) {
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    if (partition->checked >= 0) {
        bool is_before = message->offset < partition->checked;
        int64_t target = partition->checked;
        partition->checked = -1;
        if (is_before && timestamp >= partition->lookup.time) {
            partition->next = partition->lookup.low;
            partition->state = READING_AGAIN;
            return false;
        }
        if (is_before) {
            partition->next = message->offset + 1;
            if (partition->next >= target) catch_up(log, partition, partition->next);
            return false;
        }
    }
    partition->next = message->offset + 1;
    *event = (struct wsd_event){
        .kind = WSD_EVENT_RECORD,
        .partition = (uint32_t)message->partition,
        .offset = (uint64_t)message->offset,
        .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
        .key = message->key,
        .key_count = message->key_len,
        .value = message->payload,
        .value_count = message->len,
    };
    if (message->len > log->settings.max_record) {
        event->flags = WSD_TOO_LARGE;
        event->offset2 = message->len;
        event->value = NULL;
        event->value_count = 0;
    }
    if (partition->is_caught_up) return true;
    int64_t low, high = -1;
    if (partition->target < 0 &&
        !rd_kafka_get_watermark_offsets(log->watch.client, log->settings.topic, message->partition, &low, &high))
        partition->target = high;
    if (partition->target >= 0 && partition->next >= partition->target) catch_up(log, partition, partition->next);
    return true;
}

static void free_records(struct wsd_log *log) {
    for (size_t i = 0; i < log->record_count; i++) rd_kafka_message_destroy(log->records[i]);
    log->record_count = 0;
}

/* Fetches some records, and gives out those that are of interest. */
static size_t poll_some(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    size_t count = 0;
    ssize_t read = rd_kafka_consume_batch_queue(log->queue, 0, log->records, limit < BATCH ? limit : BATCH);
    log->record_count = read > 0 ? (size_t)read : 0;
    for (size_t i = 0; i < log->record_count; i++) {
        const rd_kafka_message_t *message = log->records[i];
        if (message->partition < 0 || (uint32_t)message->partition >= log->partition_count) continue;
        struct partition *partition = &log->partitions[message->partition];
        /* What came before reading began anew elsewhere. */
        if (partition->state != READING_ON) continue;
        if (message->err)
            note_error(log, partition, message);
        else if (give(log, partition, message, &events[count]))
            count++;
    }
    for (uint32_t i = 0; i < log->partition_count; i++)
        if (log->partitions[i].state == READING_AGAIN) start(log, &log->partitions[i], log->partitions[i].next);
    return count;
}

size_t reading_poll(struct wsd_log *log, struct wsd_event *events, size_t limit) {
    free_records(log);
    if (!log->queue || limit == 0) return 0;
    size_t count = 0;
    do {
        free_records(log);
        count = poll_some(log, events, limit);
    } while (count == 0 && log->record_count > 0);
    return count;
}

void reading_close(struct wsd_log *log) {
    free_records(log);
    for (uint32_t i = 0; i < log->partition_count; i++) stop(log, &log->partitions[i]);
    if (!log->queue) return;
    rd_kafka_queue_io_event_enable(log->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(log->queue);
}
