/*
 * A connection to one of the servers. It belongs to one thread, which alone calls these functions, but for
 * connection_break and connection_give_up.
 */
#ifndef RABBITMQ_CONNECTION_H
#define RABBITMQ_CONNECTION_H

#include <amqp.h>
#include <amqp_framing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

/* The channel for what is declared, and for questions whether the server lives. */
#define CONTROL_CHANNEL 1

/* The largest frame of who appends, in bytes: one fits into the free third of a socket's buffer that poll(2) calls
 * writable, so that sending it does not wait. */
#define APPENDED_FRAME_BYTES_MAX 32768

/* That of who reads: in general the server's own limit is lower, which holds for what others publish. And what a frame may
 * have more than was agreed on: the server adds headers to what others have published within the limit. */
#define READ_FRAME_BYTES_MAX (1 << 20)
#define READ_FRAME_SPARE (64 << 10)

struct connection {
    const struct settings *settings;
    /* What it is for, as the server's list of connections shows it. */
    const char *role;
    /* The largest frame to agree on, in bytes. */
    int frame_limit;
    /* NULL while there is no connection. */
    amqp_connection_state_t amqp;
    int socket;
    /* The server that is, or was last, connected or tried. */
    const struct server *server;
    /* Which of the servers is tried first the next time. */
    size_t next_server;
    char version[32];
    /* The server takes no messages: `alarm` is its reason. */
    bool is_blocked;
    char alarm[256];
    /* The server has not said whether the queue that is read is a stream, for this user may not ask. */
    bool may_read_stream;
    /* When something came last, and when the server was asked whether it lives (0: it was not), in milliseconds. */
    int64_t heard, asked;
    /* Why there is no connection. */
    char reason[1024];

    pthread_mutex_t lock;
    /* The socket once more, by which another thread ends what waits for it; -1 if there is none. */
    int breaker;
    bool is_broken, is_ready;
};

void connection_init(struct connection *connection, const struct settings *settings, const char *role, int frame_limit);

/* connection_open connects to the first server in turn that lets it, and opens the control channel. False, with a
 * reason, if none does. Takes 20 s for a server at most, but for the resolver's time. */
bool connection_open(struct connection *connection);

/* connection_close ends it; `is_orderly` says goodbye first, for which it waits a second at most. */
void connection_close(struct connection *connection, bool is_orderly);

/* connection_break makes the connection fail, and each later one, too: the thread that it belongs to shall end. */
void connection_break(struct connection *connection);

/* connection_give_up is connection_break unless the connection has been made. */
void connection_give_up(struct connection *connection);

/* connection_fail says why the connection is lost, formatted as by printf(3), and is false. */
bool connection_fail(struct connection *connection, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* connection_next takes the next frame that has come, but answers to connection_check. 1, or 0 if there is none, or -1
 * if the connection is lost, with a reason. What the frame points to is valid until the next call. */
int connection_next(struct connection *connection, amqp_frame_t *frame);

/* connection_check asks the server whether it lives after a silence. False, with a reason, if it has not answered. */
bool connection_check(struct connection *connection);

/* connection_wait waits until the socket is as `events` says (see poll(2)), until there is something in the event
 * counter `wake`, which it empties, or for as many milliseconds. Returns what the socket is. */
short connection_wait(const struct connection *connection, short events, int wake, int milliseconds);

/* reply_text is what is wrong with an answer of the server: its own words, or the library's. */
const char *reply_text(amqp_rpc_reply_t reply, char *text, size_t size);

/* reply_code is the code by which the server closed the channel or the connection; 0 if it did not. */
int reply_code(amqp_rpc_reply_t reply);

/* connection_rpc_failed says that `what` failed by `reply`, and is false. */
bool connection_rpc_failed(struct connection *connection, amqp_rpc_reply_t reply, const char *what);

/* connection_thread starts a thread that reads, and that nobody waits for. False if that can't be. */
bool connection_thread(void *(*body)(void *), void *argument);

/* milliseconds_now is the monotonic clock's, milliseconds_since_1970 the other's. */
int64_t milliseconds_now(void);
int64_t milliseconds_since_1970(void);

#endif
