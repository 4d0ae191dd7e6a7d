#include <stdio.h>
#include <stdlib.h>

#include "source.h"

/* How much may be given out and not settled until no more is fetched, in bytes as record_size counts them, and again is.
 * What came with one pull is on top. */
enum { HELD_LIMIT = 4 << 20, HELD_RESUME = 2 << 20 };
/* The time between two commits that wsd asks for, in milliseconds. */
enum { COMMIT_PAUSE = 1000 };

struct share *share_of(struct wsd_source *source, int32_t partition) {
    bool is_known = partition >= 0 && (size_t)partition < source->share_count;
    return is_known && source->shares[partition].is_granted ? &source->shares[partition] : NULL;
}

void share_grant(struct wsd_source *source, int32_t partition) {
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
    *share = (struct share){.is_granted = true, .is_paused = share->is_paused, .next = -1, .stored = -1};
}

void share_revoke(struct wsd_source *source, int32_t partition) {
    struct share *share = share_of(source, partition);
    if (!share) return;
    records_forget(source, partition);
    positions_clear(&share->positions);
    fault_end(source, share);
    share->is_granted = false;
}

void share_store(struct wsd_source *source, int32_t partition) {
    struct share *share = &source->shares[partition];
    share->stored = positions_committable(&share->positions);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->settings.topic, partition)->offset = share->stored;
    rd_kafka_offsets_store(source->watch.client, list);
    /* By itself, librdkafka commits no position that is before the group's. */
    bool is_below = share->before > 0 && share->stored <= share->before;
    if (is_below && kafka_now() - share->committed_at >= COMMIT_PAUSE) {
        share->committed_at = kafka_now();
        rd_kafka_commit(source->watch.client, list, 1);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void share_passed(struct wsd_source *source, int32_t partition, int64_t offset) {
    struct share *share = &source->shares[partition];
    if (share->positions.count > 0 || share->stored == offset) return;
    positions_pass(&share->positions, offset);
    share_store(source, partition);
}

void share_begin_anew(struct wsd_source *source, int32_t partition) {
    struct share *share = share_of(source, partition);
    if (!share) return;
    records_forget(source, partition);
    positions_clear(&share->positions);
    /* What it failed at is no place in it any more. */
    fault_end(source, share);
    if (share->next > share->before) share->before = share->next;
    share->committed_at = 0;
    share->next = share->stored = -1;
    share->is_rewound = false;
    share->is_anew = true;
    shares_regulate(source);
    share_seek(source, partition);
}

void share_seek(struct wsd_source *source, int32_t partition) {
    struct share *share = share_of(source, partition);
    if (!share || (share->next < 0 && !share->is_anew)) return;
    records_forget(source, partition);
    int64_t offset = share->is_anew      ? RD_KAFKA_OFFSET_BEGINNING
                     : share->is_rewound ? positions_committable(&share->positions)
                                         : share->next;
    rd_kafka_seek(source->watch.topic, partition, offset, 0);
}

void share_replaced(struct wsd_source *source, int32_t partition, int64_t offset) {
    struct share *share = &source->shares[partition];
    char text[100];
    snprintf(
        text, sizeof text, "it is at offset %lld, and was read to %lld", (long long)offset, (long long)share->next);
    records_forget(source, partition);
    /* What this event brings about comes with the next call of `poll`. */
    plugin_events_put(
        source->events,
        &(struct wsd_event){
            .kind = WSD_EVENT_LOST, .partition = (uint32_t)partition, .timestamp = -1, .text = text});
}

void shares_regulate(struct wsd_source *source) {
    size_t held = 0;
    for (size_t i = 0; i < source->share_count; i++) held += source->shares[i].positions.held;
    if (held >= HELD_LIMIT) source->is_full = true;
    if (held < HELD_RESUME) source->is_full = false;
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(8);
    rd_kafka_topic_partition_list_t *resumed = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        /* One that nothing was heard of may be looking for its end: it would look again, behind what came meanwhile. */
        bool is_paused = source->is_full && share && share->next >= 0;
        if (!share || share->is_paused == is_paused) continue;
        share->is_paused = is_paused;
        rd_kafka_topic_partition_list_add(is_paused ? paused : resumed, source->settings.topic, (int32_t)i);
    }
    if (paused->cnt > 0) rd_kafka_pause_partitions(source->watch.client, paused);
    if (resumed->cnt > 0) rd_kafka_resume_partitions(source->watch.client, resumed);
    /* After a pause, librdkafka 2.2 to 2.13.1 goes on one behind the last end or error that it told, and skips a record. */
    for (int i = 0; i < resumed->cnt; i++) share_seek(source, resumed->elems[i].partition);
    rd_kafka_topic_partition_list_destroy(paused);
    rd_kafka_topic_partition_list_destroy(resumed);
}

void kafka_source_settle(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault) {
    (void)fault;
    struct share *share = share_of(source, (int32_t)partition);
    if (!share) return;
    if (positions_settle(&share->positions, (int64_t)offset)) share_store(source, (int32_t)partition);
    if (source->is_full) shares_regulate(source);
}

void kafka_source_rewind(struct wsd_source *source) {
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        if (!share || !positions_rewind(&share->positions)) continue;
        share->is_rewound = true;
        share_seek(source, (int32_t)i);
    }
    shares_regulate(source);
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
