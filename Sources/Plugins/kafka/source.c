#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>

#include "kafka.h"
#include "positions.h"

/* What poll gives out in one call at most; and how many records of a partition may be unsettled until no more of it are
 * fetched, and again are. */
enum { BATCH = 256, UNSETTLED_LIMIT = 8192, UNSETTLED_RESUME = 4096 };

/* A partition that this reader has. */
struct share {
    bool is_granted;
    bool is_paused;
    struct positions positions;
    /* The offset of the next record to be read; -1 until that is known. */
    int64_t next;
    /* A rewind has begun that gives records below `next` again. */
    bool is_rewound;
};

/* The partitions of a topic that the group's coordinator gave this reader. The topic is watched as that of a log is. */
struct wsd_source {
    struct kafka_settings settings;
    struct kafka_watch watch;
    struct plugin_events *events;
    /* Records, and the coordinator's decisions, which librdkafka carries out while it is read. */
    rd_kafka_queue_t *queue;
    struct share *shares;
    size_t share_count;
    rd_kafka_message_t *records[BATCH];
    size_t record_count;
    /* The headers of all `records`. */
    struct wsd_header *headers;
};

static struct share *share_of(struct wsd_source *source, int32_t partition) {
    bool is_known = partition >= 0 && (size_t)partition < source->share_count;
    return is_known && source->shares[partition].is_granted ? &source->shares[partition] : NULL;
}

static void grant(struct wsd_source *source, int32_t partition) {
    if (partition < 0) return;
    size_t count = (size_t)partition + 1;
    if (count > source->share_count) {
        struct share *grown = reallocarray(source->shares, count, sizeof *grown);
        if (!grown) return;
        for (size_t i = source->share_count; i < count; i++) grown[i] = (struct share){.next = -1};
        source->shares = grown;
        source->share_count = count;
    }
    struct share *share = &source->shares[partition];
    positions_clear(&share->positions);
    *share = (struct share){.is_granted = true, .next = -1};
}

static void revoke(struct wsd_source *source, int32_t partition) {
    struct share *share = share_of(source, partition);
    if (!share) return;
    positions_clear(&share->positions);
    share->is_granted = false;
}

/* The coordinator gives partitions to this reader, or takes them from it. What is settled of these is committed by
 * librdkafka before it lets them go. */
static void rebalance(
    rd_kafka_t *client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    struct wsd_source *source = opaque;
    bool is_granted = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    for (int i = 0; i < partitions->cnt; i++) {
        int32_t partition = partitions->elems[i].partition;
        if (is_granted)
            grant(source, partition);
        else
            revoke(source, partition);
        plugin_events_put(
            source->events,
            &(struct wsd_event){
                .kind = is_granted ? WSD_EVENT_GRANTED : WSD_EVENT_REVOKED, .partition = (uint32_t)partition,
                .timestamp = -1});
    }
    const char *protocol = rd_kafka_rebalance_protocol(client);
    if (protocol && protocol[0] == 'C') {
        rd_kafka_error_t *error = is_granted ? rd_kafka_incremental_assign(client, partitions)
                                             : rd_kafka_incremental_unassign(client, partitions);
        if (error) rd_kafka_error_destroy(error);
    } else {
        rd_kafka_assign(client, is_granted ? partitions : NULL);
    }
}

static void free_source(struct wsd_source *source) {
    plugin_events_free(source->events);
    kafka_settings_free(&source->settings);
    for (size_t i = 0; i < source->share_count; i++) positions_clear(&source->shares[i].positions);
    free(source->shares);
    free(source->headers);
    free(source);
}

struct wsd_source *kafka_source_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size) {
    struct plugin_options all = {options, option_count, error, error_size};
    struct wsd_source *source = calloc(1, sizeof *source);
    if (!source) return NULL;
    source->events = plugin_events_new(wake);
    if (!source->events || !kafka_settings_read(&source->settings, &all, true)) {
        free_source(source);
        return NULL;
    }
    rd_kafka_conf_set_rebalance_cb(source->settings.consumer, rebalance);
    rd_kafka_conf_set_opaque(source->settings.consumer, source);
    if (!kafka_watch_start(&source->watch, &source->settings, source->events, error, error_size)) {
        free_source(source);
        return NULL;
    }
    source->queue = rd_kafka_queue_get_consumer(source->watch.client);
    rd_kafka_queue_io_event_enable(source->queue, wake, "", 1);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, source->settings.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(source->watch.client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return source;
}

/* What is to be read next, should somebody else take over: librdkafka commits it within a second, and at a rebalance. */
static void store(struct wsd_source *source, int32_t partition, const struct share *share) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->settings.topic, partition)->offset =
        positions_committable(&share->positions);
    rd_kafka_offsets_store(source->watch.client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void pause_share(struct wsd_source *source, int32_t partition, struct share *share, bool is_paused) {
    if (share->is_paused == is_paused) return;
    share->is_paused = is_paused;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->settings.topic, partition);
    if (is_paused)
        rd_kafka_pause_partitions(source->watch.client, list);
    else
        rd_kafka_resume_partitions(source->watch.client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void note_error(struct wsd_source *source, struct share *share, const rd_kafka_message_t *message) {
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (share) share->next = message->offset;
    } else if (kafka_forbids(message->err)) {
        kafka_watch_fault(
            &source->watch, "user \"%s\" may not read topic \"%s\": %s",
            source->settings.user ? source->settings.user : "ANONYMOUS", source->settings.topic,
            rd_kafka_message_errstr(message));
    }
}

/* Puts the headers of a record behind those of the records before it. */
static void give_headers(struct wsd_source *source, size_t *used, const rd_kafka_message_t *message, struct wsd_event *event) {
    rd_kafka_headers_t *headers;
    if (!source->headers || rd_kafka_message_headers(message, &headers)) return;
    struct wsd_header *first = source->headers + *used;
    size_t count = 0;
    while (!rd_kafka_header_get_all(
        headers, count, &first[count].name, &first[count].value, &first[count].value_count))
        count++;
    *used += count;
    event->headers = first;
    event->header_count = (uint32_t)count;
}

static size_t header_count(const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    return message->err || rd_kafka_message_headers(message, &headers) ? 0 : rd_kafka_header_cnt(headers);
}

static void give(const struct wsd_source *source, const rd_kafka_message_t *message, struct wsd_event *event) {
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    bool is_too_large = message->len > source->settings.max_record;
    *event = (struct wsd_event){
        .kind = WSD_EVENT_RECORD,
        .flags = is_too_large ? WSD_TOO_LARGE : 0,
        .partition = (uint32_t)message->partition,
        .offset = (uint64_t)message->offset,
        .offset2 = is_too_large ? message->len : 0,
        .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
        .key = message->key,
        .key_count = message->key_len,
        .value = is_too_large ? NULL : message->payload,
        .value_count = is_too_large ? 0 : message->len,
    };
}

/* Lets go of what the last call gave out. */
static void free_records(struct wsd_source *source) {
    for (size_t i = 0; i < source->record_count; i++) rd_kafka_message_destroy(source->records[i]);
    source->record_count = 0;
    free(source->headers);
    source->headers = NULL;
}

static size_t poll_some(struct wsd_source *source, struct wsd_event *events, size_t limit) {
    size_t count = 0, used = 0, total = 0;
    ssize_t read = rd_kafka_consume_batch_queue(source->queue, 0, source->records, limit < BATCH ? limit : BATCH);
    source->record_count = read > 0 ? (size_t)read : 0;
    for (size_t i = 0; i < source->record_count; i++) total += header_count(source->records[i]);
    /* One more than there are: the end of a list is found by asking for what is behind it. */
    if (total > 0) source->headers = calloc(total + 1, sizeof *source->headers);
    for (size_t i = 0; i < source->record_count; i++) {
        const rd_kafka_message_t *message = source->records[i];
        struct share *share = share_of(source, message->partition);
        if (message->err || !share) {
            if (message->err) note_error(source, share, message);
            continue;
        }
        /* The partition begins anew: it is another one, or has lost data. */
        if (message->offset < share->next && !share->is_rewound) positions_clear(&share->positions);
        share->is_rewound = false;
        share->next = message->offset + 1;
        if (!positions_give(&share->positions, message->offset)) continue;
        give(source, message, &events[count]);
        give_headers(source, &used, message, &events[count++]);
        if (share->positions.count >= UNSETTLED_LIMIT) pause_share(source, message->partition, share, true);
    }
    return count;
}

size_t kafka_source_poll(struct wsd_source *source, struct wsd_event *events, size_t limit) {
    free_records(source);
    size_t count = plugin_events_take(source->events, events, limit);
    if (count == limit) return count;
    size_t given;
    do {
        free_records(source);
        given = poll_some(source, events + count, limit - count);
    } while (given == 0 && source->record_count > 0);
    return count + given;
}

void kafka_source_settle(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault) {
    (void)fault;
    struct share *share = share_of(source, (int32_t)partition);
    if (!share || !positions_settle(&share->positions, (int64_t)offset)) return;
    store(source, (int32_t)partition, share);
    if (share->positions.count < UNSETTLED_RESUME) pause_share(source, (int32_t)partition, share, false);
}

void kafka_source_rewind(struct wsd_source *source) {
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        if (!share || !positions_rewind(&share->positions)) continue;
        /* In this order: where it was paused, it is resumed behind what was read last. */
        pause_share(source, (int32_t)i, share, false);
        share->is_rewound = true;
        rd_kafka_seek(source->watch.topic, (int32_t)i, positions_committable(&share->positions), 0);
    }
}

int64_t kafka_source_lag(struct wsd_source *source) {
    int64_t lag = 0;
    bool has_share = false;
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        int64_t low, high;
        if (!share) continue;
        has_share = true;
        if (share->next < 0 || rd_kafka_get_watermark_offsets(
                                   source->watch.client, source->settings.topic, (int32_t)i, &low, &high))
            return -1;
        if (high > share->next) lag += high - share->next;
    }
    return has_share ? lag : -1;
}

/* Leaves the group, after what is settled has been committed. librdkafka can't be made to give that up. */
static void *finish(void *argument) {
    struct wsd_source *source = argument;
    rd_kafka_t *client = source->watch.client;
    rd_kafka_queue_destroy(source->queue);
    source->queue = rd_kafka_queue_new(client);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(client, source->queue);
    bool is_closing = !error;
    if (error) rd_kafka_error_destroy(error);
    while (is_closing && !rd_kafka_consumer_closed(client)) {
        /* Reading the queue so has librdkafka call `rebalance`, which its events would not. */
        rd_kafka_message_t *message;
        if (rd_kafka_consume_batch_queue(source->queue, 50, &message, 1) == 1) rd_kafka_message_destroy(message);
    }
    rd_kafka_queue_destroy(source->queue);
    kafka_watch_stop(&source->watch);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free_source(source);
    return NULL;
}

void kafka_source_close(struct wsd_source *source, uint32_t milliseconds) {
    if (!source) return;
    free_records(source);
    rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
    plugin_events_mute(source->events);
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t nanoseconds = end.tv_nsec + (int64_t)milliseconds * 1000000;
    end.tv_sec += nanoseconds / 1000000000;
    end.tv_nsec = nanoseconds % 1000000000;
    pthread_t thread;
    if (pthread_create(&thread, NULL, finish, source) != 0)
        finish(source);
    else if (pthread_timedjoin_np(thread, NULL, &end) != 0)
        pthread_detach(thread);
}
