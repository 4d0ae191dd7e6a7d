#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* After so much silence the server is asked whether it lives, and so long it has to answer: in milliseconds.
 * Heartbeats alone would show a server that hangs after two intervals only, and can't be asked for. */
enum { SILENCE = 2000, PATIENCE = 3000 };

/* librabbitmq decodes what is nested by recursion, to any depth: this is enough for the largest frame full of it. Only what
 * is used of it takes memory. */
enum { READ_STACK_BYTES = 64 << 20 };

int64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t milliseconds_since_1970(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool connection_thread(void *(*body)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes)) return false;
    bool is_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
        pthread_attr_setstacksize(&attributes, READ_STACK_BYTES) == 0 &&
        pthread_create(&thread, &attributes, body, argument) == 0;
    pthread_attr_destroy(&attributes);
    return is_started;
}

void connection_init(struct connection *connection, const struct settings *settings, const char *role, int frame_limit) {
    *connection = (struct connection){.settings = settings, .role = role, .frame_limit = frame_limit, .socket = -1, .breaker = -1};
    connection->server = &settings->servers[0];
    pthread_mutex_init(&connection->lock, NULL);
}

bool connection_fail(struct connection *connection, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(connection->reason, sizeof connection->reason, format, arguments);
    va_end(arguments);
    return false;
}

void connection_break(struct connection *connection) {
    pthread_mutex_lock(&connection->lock);
    connection->is_broken = true;
    if (connection->breaker >= 0) shutdown(connection->breaker, SHUT_RDWR);
    pthread_mutex_unlock(&connection->lock);
}

void connection_give_up(struct connection *connection) {
    pthread_mutex_lock(&connection->lock);
    bool is_ready = connection->is_ready;
    pthread_mutex_unlock(&connection->lock);
    if (!is_ready) connection_break(connection);
}

void connection_close(struct connection *connection, bool is_orderly) {
    if (!connection->amqp) return;
    if (is_orderly) {
        amqp_set_rpc_timeout(connection->amqp, &(struct timeval){.tv_sec = 1});
        amqp_connection_close(connection->amqp, AMQP_REPLY_SUCCESS);
    }
    amqp_destroy_connection(connection->amqp);
    connection->amqp = NULL;
    connection->socket = -1;
    pthread_mutex_lock(&connection->lock);
    if (connection->breaker >= 0) close(connection->breaker);
    connection->breaker = -1;
    connection->is_ready = false;
    pthread_mutex_unlock(&connection->lock);
}

static bool lost(struct connection *connection, int status) {
    const char *name = connection->server->name;
    if (status == AMQP_STATUS_CONNECTION_CLOSED) return connection_fail(connection, "%s ended the connection", name);
    if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
        return connection_fail(connection, "%s does not answer: no heartbeat for %d s", name, 2 * connection->settings->heartbeat);
    return connection_fail(connection, "the connection to %s is lost: %s", name, amqp_error_string2(status));
}

/* What the server says about the whole connection. False if that is its end. */
static bool take_control(struct connection *connection, const amqp_method_t *method) {
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const amqp_connection_blocked_t *blocked = method->decoded;
        connection->is_blocked = true;
        snprintf(connection->alarm, sizeof connection->alarm, "%.*s", (int)blocked->reason.len, (const char *)blocked->reason.bytes);
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        connection->is_blocked = false;
    } else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *closed = method->decoded;
        connection_fail(connection, "%s ended the connection: %.*s", connection->server->name, (int)closed->reply_text.len,
            (const char *)closed->reply_text.bytes);
        amqp_connection_close_ok_t answer = {0};
        amqp_send_method(connection->amqp, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer);
        return false;
    }
    return true;
}

int connection_next(struct connection *connection, amqp_frame_t *frame) {
    for (;;) {
        /* It looks for each channel through all frames that came before an answer and wait: those come first, and bring
         * nothing new. */
        if (!amqp_frames_enqueued(connection->amqp)) amqp_maybe_release_buffers(connection->amqp);
        int status = amqp_simple_wait_frame_noblock(connection->amqp, frame, &(struct timeval){0});
        if (status == AMQP_STATUS_TIMEOUT) return 0;
        if (status != AMQP_STATUS_OK) return lost(connection, status) - 1;
        connection->heard = milliseconds_now();
        connection->asked = 0;
        if (frame->frame_type != AMQP_FRAME_METHOD) return 1;
        if (frame->channel == 0) {
            if (!take_control(connection, &frame->payload.method)) return -1;
            return 1;
        }
        if (frame->payload.method.id != AMQP_BASIC_QOS_OK_METHOD) return 1;
    }
}

bool connection_check(struct connection *connection) {
    int64_t now = milliseconds_now();
    /* A server with an alarm reads nothing, so it is left to the heartbeats. */
    if (connection->is_blocked) return true;
    if (connection->asked && now - connection->asked >= PATIENCE)
        return connection_fail(connection, "%s has not answered for %d s", connection->server->name, PATIENCE / 1000);
    if (connection->asked || now - connection->heard < SILENCE) return true;
    connection->asked = now;
    /* AMQP has no question of that kind. This one is answered by the channel at once, and means nothing without
     * consumers. Where there is no room for it, what was sent before has not been taken, either. */
    if (!(connection_wait(connection, POLLOUT, -1, 0) & POLLOUT)) return true;
    amqp_basic_qos_t question = {.prefetch_count = connection->settings->prefetch};
    int status = amqp_send_method(connection->amqp, CONTROL_CHANNEL, AMQP_BASIC_QOS_METHOD, &question);
    return status == AMQP_STATUS_OK || lost(connection, status);
}

short connection_wait(const struct connection *connection, short events, int wake, int milliseconds) {
    struct pollfd wanted[2] = {{.fd = connection->socket, .events = events}, {.fd = wake, .events = POLLIN}};
    if (poll(wanted, 2, milliseconds) <= 0) return 0;
    uint64_t number;
    if (wanted[1].revents && read(wake, &number, sizeof number) < 0) return wanted[0].revents;
    return wanted[0].revents;
}

int reply_code(amqp_rpc_reply_t reply) {
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) return 0;
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) return ((amqp_connection_close_t *)reply.reply.decoded)->reply_code;
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) return ((amqp_channel_close_t *)reply.reply.decoded)->reply_code;
    return 0;
}

const char *reply_text(amqp_rpc_reply_t reply, char *text, size_t size) {
    amqp_bytes_t said = amqp_cstring_bytes("an unexpected answer");
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        said = amqp_cstring_bytes(amqp_error_string2(reply.library_error));
    else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        said = ((amqp_connection_close_t *)reply.reply.decoded)->reply_text;
    else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        said = ((amqp_channel_close_t *)reply.reply.decoded)->reply_text;
    snprintf(text, size, "%.*s", (int)said.len, (const char *)said.bytes);
    return text;
}

bool connection_rpc_failed(struct connection *connection, amqp_rpc_reply_t reply, const char *what) {
    char said[512];
    const char *name = connection->server->name;
    reply_text(reply, said, sizeof said);
    if (reply_code(reply)) return connection_fail(connection, "%s refused %s: %s", name, what, said);
    if (reply.library_error == AMQP_STATUS_TIMEOUT)
        return connection_fail(connection, "%s does not answer: %s takes too long", name, what);
    return connection_fail(connection, "the connection to %s is lost at %s: %s", name, what, said);
}
