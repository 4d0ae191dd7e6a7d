/*
 * How much waits for wsd: beyond a limit nothing more is read from a server until wsd has taken most of it.
 */
#ifndef RABBITMQ_BACKLOG_H
#define RABBITMQ_BACKLOG_H

#include "connection.h"
#include "events.h"

struct backlog {
    struct plugin_events *events;
    pthread_mutex_t lock;
    bool is_high;
    /* When a heartbeat was sent last while nothing was read. */
    int64_t beat;
};

void backlog_init(struct backlog *backlog, struct plugin_events *events);

/* backlog_is_high is called by the thread that reads. */
bool backlog_is_high(struct backlog *backlog);

/* backlog_taken is called after events have been taken. True if the thread that reads is to be woken. */
bool backlog_taken(struct backlog *backlog);

/* backlog_wait waits for a moment, or for `wake`, and sees to the heartbeats that the server expects. False, with a
 * reason, if the connection is lost. */
bool backlog_wait(struct backlog *backlog, struct connection *connection, int wake);

#endif
