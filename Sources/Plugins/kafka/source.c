#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source.h"

/* The coordinator gives partitions to this reader, or takes them from it. What is settled of these is committed by
 * librdkafka before it lets them go. */
static void rebalance(
    rd_kafka_t *client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    struct wsd_source *source = opaque;
    bool is_granted = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    bool is_lost = !is_granted && rd_kafka_assignment_lost(client);
    for (int i = 0; i < partitions->cnt; i++) {
        int32_t partition = partitions->elems[i].partition;
        if (is_granted)
            share_grant(source, partition);
        else
            share_revoke(source, partition);
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
    if (is_granted) fault_end_all(source);
    if (is_lost) fault_lost(source);
    /* One that it had before may have been paused since. */
    shares_regulate(source);
    /* librdkafka itself has paused and resumed all that were kept. */
    for (size_t i = 0; i < source->share_count; i++) share_seek(source, (int32_t)i);
}

/* librdkafka's log, in its own thread: it alone tells of a position that the partition does not have, from which it goes
 * to where a new group would begin, be it the end. "TOPIC [3]: offset reset (at offset 17, broker 1) to END: REASON". */
static void note_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    static const char mark[] = "]: offset reset (at offset ";
    (void)level;
    const char *end = strstr(text, mark);
    /* One that has a name instead of a number is where it began. */
    if (!client || strcmp(facility, "OFFSET") != 0 || !end || !isdigit((unsigned char)end[sizeof mark - 1])) return;
    const char *number = end;
    while (number > text && isdigit((unsigned char)number[-1])) number--;
    struct wsd_source *source = rd_kafka_opaque(client);
    plugin_events_put(
        source->events,
        &(struct wsd_event){
            .kind = WSD_EVENT_LOST, .partition = (uint32_t)strtoul(number, NULL, 10), .timestamp = -1, .text = end + 3});
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
    rd_kafka_conf_set_log_cb(source->settings.consumer, note_log);
    rd_kafka_conf_set_opaque(source->settings.consumer, source);
    /* It lasts until the group is joined. There is no thread yet that it has to be kept from. */
    struct kafka_watch *watch = &source->watch;
    snprintf(watch->fault, sizeof watch->fault, "group \"%s\" is not joined yet", source->settings.group);
    watch->fault_end = INT64_MAX;
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
    records_free(source);
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
