/* What the files of the publisher share. */
#ifndef RABBITMQ_PUBLISHER_PRIVATE_H
#define RABBITMQ_PUBLISHER_PRIVATE_H

#include "connection.h"
#include "publisher.h"

#define PUBLISH_CHANNEL 2

/* What may wait for the server's confirms, and what may wait to be sent in addition. */
#define FLIGHT_LIMIT 16384
#define FLIGHT_BYTES_MAX (8u << 20)
#define PENDING_LIMIT 65536
#define PENDING_BYTES_MAX (48u << 20)

/* A record that waits to be sent. */
struct pending {
    struct pending *next;
    uint64_t token;
    uint32_t partition;
    bool is_marker;
    int64_t timestamp;
    size_t key_count, value_count;
    /* The key, and behind it the value. */
    char bytes[];
};

/* A record that was sent, and is not confirmed. */
struct flight {
    uint64_t token;
    uint32_t partition;
    bool is_marker, is_answered;
    /* In bytes; `value_size` is what the server calls the size of a message. */
    size_t size, value_size;
};

struct marker {
    /* Empty if none is wanted. */
    char id[64];
    bool is_queued;
};

struct publisher {
    struct wsd_log *log;
    struct connection connection;
    /* Wakes the thread. */
    int wake;

    /* The lock is for what follows it up to the empty line. */
    pthread_mutex_t lock;
    struct pending *first, **end;
    /* Those that wait to be sent, and those that were and are not confirmed. */
    size_t count, size;
    bool is_open, is_waiting, is_stopping;
    /* When it ends at the latest, once it is stopping. */
    int64_t deadline;
    struct marker markers[PARTITION_LIMIT];
    bool are_markers_wanted;

    /* The thread's own. The flights' place is their delivery tag modulo their limit; `oldest` is the first tag that is
     * not answered, `next_tag` what the next record will have. */
    struct flight flights[FLIGHT_LIMIT];
    uint64_t oldest, next_tag;
    size_t flight_size;
    /* The record that is being sent, and how much of its value has been. */
    struct pending *current;
    size_t sent_count;
    /* What the server takes at most, in bytes; 0 if that is not known. It holds for the connection after the one that
     * ended for it, as the server may be set otherwise later; until there is that connection, it is new. */
    uint64_t size_limit;
    bool is_size_limit_new;
    uint32_t partition_count;
    char note[1024];
};

/* publisher_send sends the next records, up to a socket's buffer full. 1 if there are more, 0 if not, -1 if the
 * connection is lost. */
int publisher_send(struct publisher *publisher);

/* publisher_answer says to wsd how it went with a record. `flags` are those of WSD_EVENT_FAILED; without a reason it
 * did not fail. */
void publisher_answer(
    struct publisher *publisher, uint32_t partition, uint64_t token, size_t size, const char *reason, uint32_t flags);

/* publisher_take deals with a frame. False if the connection is of no use any more, with a reason. */
bool publisher_take(struct publisher *publisher, const amqp_frame_t *frame);

/* publisher_fail_all answers all records: those that were sent may be there, the others are not. */
void publisher_fail_all(struct publisher *publisher, const char *reason);

#endif
