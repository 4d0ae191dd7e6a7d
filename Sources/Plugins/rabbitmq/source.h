/*
 * A source: a queue that is read by one reader at a time, and keeps each message until it is settled.
 */
#ifndef RABBITMQ_SOURCE_H
#define RABBITMQ_SOURCE_H

#include "backlog.h"
#include "connection.h"
#include "delivery.h"
#include "events.h"
#include "wsd-plugin.h"

#define SOURCE_CHANNEL 2

/* AMQP's limit of deliveries that are not settled. */
#define UNSETTLED_LIMIT 65536

/* What wsd has settled, as it came. */
struct settlement {
    uint64_t offset;
    bool is_fault;
};

enum settled_state { OPEN, ACCEPTED, SENT };

struct wsd_source {
    struct settings *settings;
    struct plugin_events *events;
    struct backlog backlog;
    struct connection connection;
    /* Wakes the thread. */
    int wake;

    /* The lock is for what follows it up to the empty line. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* wsd and the thread. */
    int user_count;
    bool is_stopping, rewinds, wants_lag;
    struct settlement *settlements;
    size_t settlement_count, settlement_room;
    /* The offset of the next record. Those below `floor` are not given out any more: they come again. */
    uint64_t next_offset, floor;
    /* The records that were given out and have not all been settled since, and their memory. */
    size_t given_count, given_size;
    /* -1 if that is not known. When it was asked for, in milliseconds. */
    int64_t lag, lag_asked;

    /* The thread's own. An offset is the delivery tag plus `base`: tags begin anew with each connection. */
    uint64_t base;
    /* The first tag that is not settled, and the last that came. The states' place is their tag modulo their number. */
    uint64_t oldest, newest;
    uint8_t states[UNSETTLED_LIMIT];
    struct delivery delivery;
    bool is_granted;
    /* Rewinds that the server has not answered. */
    uint32_t rewind_count;
    char note[1024];
    char told[1024];
};

/* source_granted says that this is who reads the queue: it gets messages, or nobody else could. */
void source_granted(struct wsd_source *source);

/* source_give gives a message out that is complete. False, with a reason, if the source is of no use. */
bool source_give(struct wsd_source *source);

/* source_settle_all tells the server what was settled, and carries out a rewind. False if the connection is lost. */
bool source_settle_all(struct wsd_source *source);

/* source_rewound takes the server's word that it gives all again that was not settled. */
void source_rewound(struct wsd_source *source);

#endif
