/* What the files of the reader share. */
#ifndef RABBITMQ_READER_PRIVATE_H
#define RABBITMQ_READER_PRIVATE_H

#include "backlog.h"
#include "connection.h"
#include "delivery.h"
#include "publisher.h"
#include "reader.h"

/* The channels of the streams; they are used in turns, so that what is left of a channel is not taken for its
 * successor's. */
#define READ_CHANNEL 2
#define CHANNEL_TURNS 2

/*
 * A stream that is read.
 *
 * Where a stream ends is known from a marker: a record that the publisher appends after the reading has begun. What comes
 * before the marker was in the stream, or has come since; an empty stream has a marker, too. The marker comes to one of
 * two consumers:
 *   - "main" reads from the place that is wanted. When it has come to the marker, it has caught up.
 *   - "tail" reads from the end, and gives nothing out. It is there where main reads from an offset, and cancelled at the
 *     marker. If the marker's offset is below main's, the stream ends before what has been read: it was replaced. Main
 *     would not show that, as it gets nothing until the stream is as long again.
 * Main begins at the last record that was read, not behind it, and compares: so it shows whether records in between are
 * gone, and if this one is another, the stream was replaced and has become as long since.
 */
struct reading {
    bool is_wanted;
    /* What `read` was called with last. `is_new` until main has begun. */
    bool is_new;
    enum wsd_from from;
    int64_t place;
    /* Counts the calls of `read`: what an earlier reading has found is not given out. */
    uint32_t reading_number;

    /* Counts the channels that were opened for it: the consumers' tags have it. */
    uint32_t turn;
    bool is_open;
    struct delivery delivery;
    /* Deliveries that were taken, and up to which they were acknowledged. */
    uint64_t delivered, acknowledged;

    /* The offset behind the last record that was read, -1 before the first; and what that record was. */
    int64_t next;
    bool has_print;
    uint64_t print;
    /* Nothing has come from main since it began. */
    bool is_first;
    /* Records that are older are not given out: those that share a chunk with the first that is not. */
    bool skips_older;
    /* The marker; empty when it has come. Its offset, or -1. */
    char marker[64];
    int64_t marker_offset;
    bool has_tail, has_caught_up;
};

struct reader {
    struct wsd_log *log;
    struct connection connection;
    struct backlog backlog;
    /* Wakes the thread. */
    int wake;

    /* The lock is for what follows it up to the empty line. */
    pthread_mutex_t lock;
    bool is_stopping, is_requested;
    struct {
        bool is_new;
        enum wsd_from from;
        int64_t place;
        uint32_t reading_number;
    } requests[PARTITION_LIMIT];

    /* The thread's own. */
    char note[1024];
    uint64_t marker_base, marker_count;
    /* When what was left of all streams was acknowledged, in milliseconds. */
    int64_t rested;
    struct reading readings[PARTITION_LIMIT];
};

/* reading_begin opens a channel and begins to consume. False, with a reason, if the connection is lost. */
bool reading_begin(struct reader *reader, uint32_t partition);

/* reading_end closes the channel. False, with a reason, if the connection is lost. */
bool reading_end(struct reader *reader, uint32_t partition);

/* reading_take deals with a message that is complete. False, with a reason, if the connection is lost. */
bool reading_take(struct reader *reader, uint32_t partition);

/* reading_acknowledge lets the server send more, if as many messages or more were taken since the last time. */
bool reading_acknowledge(struct reader *reader, uint32_t partition, uint32_t count);

/* reading_of is the stream whose channel it is now; NULL if it is none's. */
struct reading *reading_of(struct reader *reader, amqp_channel_t channel, uint32_t *partition);

#endif
