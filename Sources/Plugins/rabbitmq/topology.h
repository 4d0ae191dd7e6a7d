/*
 * What must be there before anything is appended or read: exchanges, queues and bindings.
 */
#ifndef RABBITMQ_TOPOLOGY_H
#define RABBITMQ_TOPOLOGY_H

#include "connection.h"

/* "PREFIX.1023" with its NUL. */
struct stream_name {
    char text[256];
};

struct stream_name stream_name(const struct settings *settings, uint32_t partition);

/* topology_declare declares the exchange, the streams and the binding between them, unless they exist, and counts the
 * streams unless `count` is NULL: there are at least as many as the settings say. The server's log has an error then. What is otherwise than the settings say, and used
 * nevertheless, is put into `note`, which is empty else. False, with a reason, if there can't be all streams. */
bool topology_declare(struct connection *connection, uint32_t *count, char *note, size_t note_size);

/* topology_declare_source declares the queue of a source, unless it exists, and binds it to the exchange if there is one
 * to bind it to. */
bool topology_declare_source(struct connection *connection, char *note, size_t note_size);

/* channel_reopen opens a channel anew that the server has closed, as it does at each error. False, with a reason, if
 * that fails. */
bool channel_reopen(struct connection *connection, amqp_channel_t channel);

#endif
