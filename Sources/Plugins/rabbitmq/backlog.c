#include "backlog.h"

#include <poll.h>

/* In bytes; a record comes on top. And a moment, in milliseconds. */
enum { HIGH_WATER = 32 << 20, LOW_WATER = 16 << 20, MOMENT = 500 };

void backlog_init(struct backlog *backlog, struct plugin_events *events) {
    *backlog = (struct backlog){.events = events};
    pthread_mutex_init(&backlog->lock, NULL);
}

bool backlog_is_high(struct backlog *backlog) {
    pthread_mutex_lock(&backlog->lock);
    if (!backlog->is_high) backlog->is_high = plugin_events_size(backlog->events) > HIGH_WATER;
    bool is_high = backlog->is_high;
    pthread_mutex_unlock(&backlog->lock);
    return is_high;
}

bool backlog_taken(struct backlog *backlog) {
    pthread_mutex_lock(&backlog->lock);
    bool has_sunk = backlog->is_high && plugin_events_size(backlog->events) <= LOW_WATER;
    if (has_sunk) backlog->is_high = false;
    pthread_mutex_unlock(&backlog->lock);
    return has_sunk;
}

bool backlog_wait(struct backlog *backlog, struct connection *connection, int wake) {
    int64_t now = milliseconds_now();
    bool is_due = now - backlog->beat > connection->settings->heartbeat * 500;
    if (is_due && connection_wait(connection, POLLOUT, -1, 0) & POLLOUT) {
        amqp_frame_t heartbeat = {.frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0};
        backlog->beat = now;
        if (amqp_send_frame(connection->amqp, &heartbeat) != AMQP_STATUS_OK)
            return connection_fail(connection, "the connection to %s is lost", connection->server->name);
    }
    connection_wait(connection, 0, wake, MOMENT);
    /* Nothing is heard as nothing is read. */
    connection->heard = milliseconds_now();
    connection->asked = 0;
    return true;
}
