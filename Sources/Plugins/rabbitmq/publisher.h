/*
 * The thread that appends: it publishes to the streams, and takes the server's confirms.
 */
#ifndef RABBITMQ_PUBLISHER_H
#define RABBITMQ_PUBLISHER_H

#include "log.h"

/* publisher_start makes it, and its thread; NULL if that can't be. */
struct publisher *publisher_start(struct wsd_log *log);

/* publisher_append copies a record and queues it. False if there is no room, or no connection. */
bool publisher_append(
    struct publisher *publisher, uint32_t partition, const void *key, size_t key_count, const void *value,
    size_t value_count, uint64_t token);

/* publisher_mark asks for a marker in a stream, as soon as there is a connection, and again after each time that a
 * connection was lost, until `id` is NULL. */
void publisher_mark(struct publisher *publisher, uint32_t partition, const char *id);

/* publisher_stop ends the thread, after as many milliseconds at most in which what is queued is sent and confirmed. It
 * does not wait for the end. */
void publisher_stop(struct publisher *publisher, uint32_t milliseconds);

/* publisher_break ends what the thread waits for. */
void publisher_break(struct publisher *publisher);

/* publisher_free frees it. Its thread has ended. */
void publisher_free(struct publisher *publisher);

#endif
