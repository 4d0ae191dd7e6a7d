/*
 * A source: a reader of the group (source.c), the partitions of the topic that the group's coordinator gave it (shares.c),
 * their records (records.c), and what keeps them from being read (faults.c). All of it is wsd's thread's, but for what
 * librdkafka logs.
 */
#ifndef WSD_KAFKA_SOURCE_H
#define WSD_KAFKA_SOURCE_H

#include "kafka.h"
#include "positions.h"

/* What poll gives out in one call at most. */
enum { GIVEN_LIMIT = 256 };

/* A partition that this reader has. */
struct share {
    bool is_granted;
    /* As librdkafka was told, also of a partition that it has taken away since. */
    bool is_paused;
    struct positions positions;
    /* The offset of the next record to be read; -1 until that is known. */
    int64_t next;
    /* What librdkafka was last told to commit; -1 if nothing. */
    int64_t stored;
    /* A rewind has begun that gives records below `next` again. */
    bool is_rewound;
    /* The partition is read from its start again, and nothing has come yet. The group's position is no place in it. */
    bool is_anew;
    /* Where the reading was when it last began anew, or 0: up to there, the group's position may be that of before. And when
     * librdkafka was last told to commit below that, in monotonic milliseconds. */
    int64_t before;
    int64_t committed_at;
    /* When librdkafka last told that it can't be read, in monotonic milliseconds; 0 if it can. And the offset at which; -1
     * if the group's position could not be learnt. */
    int64_t failed_at;
    int64_t failed_offset;
};

/* The topic is watched as that of a log is. */
struct wsd_source {
    struct kafka_settings settings;
    struct kafka_watch watch;
    struct plugin_events *events;
    /* Records, and the coordinator's decisions, which librdkafka carries out while it is read. */
    rd_kafka_queue_t *queue;
    struct share *shares;
    size_t share_count;
    /* So much is given out and not settled that nothing more is fetched. */
    bool is_full;
    /* This reader is a member of the group, as far as is known: it has had its share, which may be none. */
    bool is_joined;
    /* What came with the last pull, NULL for what is of no use any more; those before `passed` have been given out. */
    rd_kafka_message_t *records[GIVEN_LIMIT];
    size_t record_count, passed;
    /* The headers of what the last call gave out. */
    struct wsd_header *headers;
};

/* share_of is the partition, if this reader has it; NULL else. */
struct share *share_of(struct wsd_source *source, int32_t partition);

/* share_grant and share_revoke note that this reader has a partition now, and that it has it no longer. */
void share_grant(struct wsd_source *source, int32_t partition);
void share_revoke(struct wsd_source *source, int32_t partition);

/* share_passed notes that a partition has nothing before an offset that is to be read, and has that committed, so that
 * whoever reads next goes on there. */
void share_passed(struct wsd_source *source, int32_t partition, int64_t offset);

/* share_begin_anew reads a partition from its first record on. */
void share_begin_anew(struct wsd_source *source, int32_t partition);

/* share_replaced notes that a partition has begun anew where it has now been read: it is another one, or has lost data. All
 * of it is read again. */
void share_replaced(struct wsd_source *source, int32_t partition, int64_t offset);

/* share_store has librdkafka commit what is to be read next, should somebody else take over: within a second, and at a
 * rebalance. */
void share_store(struct wsd_source *source, int32_t partition);

/* share_seek makes librdkafka go on right behind what was read of a partition, whatever it takes for its position. */
void share_seek(struct wsd_source *source, int32_t partition);

/* shares_regulate stops fetching when much is given out and not settled, and begins again when half of it is. */
void shares_regulate(struct wsd_source *source);

/* fault_lost notes that the reader is no member of the group any more, for which the source counts as down. */
void fault_lost(struct wsd_source *source);

/* fault_note notes an error that librdkafka tells in place of a record. The source counts as down until the partition
 * gives something out, or the group is joined. */
void fault_note(struct wsd_source *source, const rd_kafka_message_t *message);

/* fault_end notes that a partition can be read, or is no longer this reader's; fault_end_all that the group is joined. */
void fault_end(struct wsd_source *source, struct share *share);
void fault_end_all(struct wsd_source *source);

/* faults_retry has partitions read again of which nothing was heard since they failed, for librdkafka tells some errors
 * once. */
void faults_retry(struct wsd_source *source);

/* records_forget drops the records of a partition that came and have not been given out. */
void records_forget(struct wsd_source *source, int32_t partition);

/* records_free lets go of all records that came. */
void records_free(struct wsd_source *source);

#endif
