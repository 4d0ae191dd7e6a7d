/*
 * A log: what is appended (log.c), and what is read (reading.c).
 */
#ifndef WSD_KAFKA_LOG_H
#define WSD_KAFKA_LOG_H

#include "kafka.h"

/* How a partition is read. */
enum reading {
    /* Not, or no longer. */
    READING_NONE,
    /* The watch's thread looks up where to begin. */
    READING_LOOKUP,
    READING_ON,
    /* It begins again at `next` once the records that were fetched are passed. */
    READING_AGAIN,
    /* The broker refuses it: it begins again when the broker is up again. */
    READING_BROKEN,
};

/* What the watch's thread is asked for a partition: where it begins and ends, and its first record of a time. */
struct lookup {
    enum { LOOKUP_NONE, LOOKUP_ASKED, LOOKUP_DONE } state;
    /* Since when: the answer to an earlier question is dropped. */
    uint32_t generation;
    /* In milliseconds since 1970; -1 if it is not about a time. */
    int64_t time;
    /* The first offset, the one behind the last, and that of the first record not older than `time`, -1 without one. */
    int64_t low, high, found;
};

struct partition {
    enum reading state;
    /* The offset of the next record; -1 if the partition is read from its end, which is not known yet. */
    int64_t next;
    /* Where it ended when the reading began; -1 until that is known. */
    int64_t target;
    bool is_caught_up;
    /* The record before this offset is read only to see whether it is older than `lookup.time`; -1 if none is. */
    int64_t checked;
    /* Under the log's lock. */
    struct lookup lookup;
};

/* What poll gives out in one call at most. */
enum { BATCH = 256 };

struct wsd_log {
    struct kafka_settings settings;
    struct kafka_watch watch;
    struct plugin_events *events;
    int wake;

    /* The client that appends; NULL if none can be made at present. */
    rd_kafka_t *producer;
    rd_kafka_queue_t *reports;
    /* NULL until the topic is known: who asks for one that is missing has it created as the broker sees fit. */
    rd_kafka_topic_t *target;
    /* The partitions that wsd was told of last. */
    uint32_t target_count;
    /* Records that were not answered yet. */
    uint64_t unanswered;
    /* The client can't go on, and is replaced when all its records are answered. */
    bool is_spent;
    /* When a client gave up last, in monotonic milliseconds. */
    int64_t fatal_time;
    /* The answers that are given out, and the records. */
    rd_kafka_event_t *report;
    rd_kafka_message_t *records[BATCH];
    size_t record_count;

    rd_kafka_queue_t *queue;
    /* Grows under the lock, which lookups are under, too. All else is wsd's thread's. */
    struct partition *partitions;
    uint32_t partition_count;
    pthread_mutex_t lock;
};

/* reading_work answers lookups; in the watch's thread. */
void reading_work(void *log);
/* reading_go_on begins to read where that was looked up, and reads on what is broken if the broker is up again. */
void reading_go_on(struct wsd_log *log, bool is_up_again);
/* reading_poll gives out records. */
size_t reading_poll(struct wsd_log *log, struct wsd_event *events, size_t limit);
void reading_close(struct wsd_log *log);

#endif
