/*
 * A log: the streams of one prefix, a thread that appends to them and one that reads them.
 */
#ifndef RABBITMQ_LOG_H
#define RABBITMQ_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "events.h"
#include "settings.h"

struct publisher;
struct reader;

/* The two connections, each of which can be up or down. */
enum half { APPENDING, READING, HALF_COUNT };

struct wsd_log {
    struct settings *settings;
    struct plugin_events *events;
    struct publisher *publisher;
    struct reader *reader;

    pthread_mutex_t lock;
    /* wsd and the threads, as far as they have not ended: the last one frees. */
    int user_count;
    bool is_closing;
    /* A user has left, or it is closing, or how a connection is has changed. */
    pthread_cond_t changed;
    struct {
        bool is_up;
        char reason[1024];
    } halves[HALF_COUNT];
    uint32_t partition_count;
    char note[1024];
    /* What wsd was told last: nothing while `told` is empty and it is not up. */
    bool is_told_up;
    char told[1024];
};

/* log_up says that a connection can be used, that there are so many partitions, and what is to be noted. */
void log_up(struct wsd_log *log, enum half half, uint32_t partition_count, const char *note);

/* log_down says why one can't be used. */
void log_down(struct wsd_log *log, enum half half, const char *reason);

/* log_await_attempt waits until the other thread has connected, or has failed to, so that the first streams are not
 * declared by both at once: RabbitMQ 3.10 takes 4.5 s then. */
void log_await_attempt(struct wsd_log *log);

/* log_leave is called by a thread that ends, as the last it does. */
void log_leave(struct wsd_log *log);

/* A pause before the next attempt to connect. */
struct backoff {
    int milliseconds;
    /* When the connection was made. */
    int64_t since;
};

/* backoff_next is how long to wait: 0.1 s at first and after a connection that lasted, then twice as much each time up
 * to 10 s, and of that a random part, at least half. */
int backoff_next(struct backoff *backoff);

/* condition_init makes a condition whose waits end by time_after: so many milliseconds from now, and a grace in which a
 * thread can say goodbye to the server. */
void condition_init(pthread_cond_t *condition);
struct timespec time_after(uint32_t milliseconds);

#endif
