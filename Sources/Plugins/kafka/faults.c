#include <stdio.h>

#include "source.h"

/* The time after which a partition that failed is read again, if librdkafka has not done so itself, in milliseconds. */
enum { RETRY_TIME = 5000 };

void fault_lost(struct wsd_source *source) {
    source->is_joined = false;
    kafka_watch_hold(&source->watch, "group \"%s\" has done without this node, which joins again", source->settings.group);
}

static void fail(struct share *share, int64_t offset) {
    share->failed_at = kafka_now();
    share->failed_offset = offset < 0 ? -1 : offset;
}

/* What keeps the source from being read, in words. */
static void describe(const struct wsd_source *source, const rd_kafka_message_t *message, char *words, size_t size) {
    const struct kafka_settings *settings = &source->settings;
    const char *text = rd_kafka_message_errstr(message);
    if (kafka_forbids(message->err))
        snprintf(
            words, size, "user \"%s\" may not read topic \"%s\": %s", settings->user ? settings->user : "ANONYMOUS",
            settings->topic, text);
    else if (!message->rkt)
        snprintf(
            words, size, "group \"%s\" can't be %s: %s", settings->group, source->is_joined ? "used" : "joined", text);
    else if (message->offset < 0)
        snprintf(words, size, "partition %d of topic \"%s\" can't be read: %s", message->partition, settings->topic, text);
    else
        snprintf(
            words, size, "partition %d of topic \"%s\" can't be read at offset %lld: %s", message->partition,
            settings->topic, (long long)message->offset, text);
}

/* Notes that all partitions failed that wait for the group's position, for which librdkafka does not ask again. False if
 * none does. */
static bool fail_waiting(struct wsd_source *source) {
    bool is_waiting = false;
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        if (!share || share->next >= 0) continue;
        fail(share, -1);
        is_waiting = true;
    }
    return is_waiting;
}

void fault_note(struct wsd_source *source, const rd_kafka_message_t *message) {
    char words[512];
    describe(source, message, words, sizeof words);
    if (!message->rkt) {
        if (!source->is_joined || fail_waiting(source))
            kafka_watch_hold(&source->watch, "%s", words);
        else
            kafka_watch_fault(&source->watch, "%s", words);
        return;
    }
    /* A topic that is not there is told of by the watch. */
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return;
    struct share *share = share_of(source, message->partition);
    if (share && (message->offset >= 0 || share->next < 0))
        fail(share, message->offset);
    else if (share || source->is_joined)
        /* It is told of the topic, for which the number of the partition does not count. */
        return;
    kafka_watch_hold(&source->watch, "%s", words);
}

/* Ends what holds the source down, if the group is joined and no partition has failed. */
static void release_if_sound(struct wsd_source *source) {
    if (!source->is_joined) return;
    for (size_t i = 0; i < source->share_count; i++) {
        const struct share *share = share_of(source, (int32_t)i);
        if (share && share->failed_at) return;
    }
    kafka_watch_release(&source->watch);
}

void fault_end(struct wsd_source *source, struct share *share) {
    if (!share->failed_at) return;
    share->failed_at = 0;
    release_if_sound(source);
}

void fault_end_all(struct wsd_source *source) {
    source->is_joined = true;
    release_if_sound(source);
}

/* Has librdkafka ask for the group's position in a partition again. */
static void assign_again(struct wsd_source *source, int32_t partition) {
    rd_kafka_t *client = source->watch.client;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->settings.topic, partition);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(client, list);
    if (!error) error = rd_kafka_incremental_assign(client, list);
    if (error) rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
}

void faults_retry(struct wsd_source *source) {
    int64_t now = kafka_now();
    for (size_t i = 0; i < source->share_count; i++) {
        struct share *share = share_of(source, (int32_t)i);
        /* One that is paused is sought when it goes on. */
        if (!share || !share->failed_at || share->is_paused || now - share->failed_at < RETRY_TIME) continue;
        share->failed_at = now;
        if (share->next >= 0 || share->is_anew) {
            if (share->failed_offset >= 0 || share->is_anew) share_seek(source, (int32_t)i);
            continue;
        }
        if (share->failed_offset < 0) {
            assign_again(source, (int32_t)i);
            continue;
        }
        records_forget(source, (int32_t)i);
        rd_kafka_seek(source->watch.topic, (int32_t)i, share->failed_offset, 0);
    }
}
