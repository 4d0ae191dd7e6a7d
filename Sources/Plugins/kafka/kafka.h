/*
 * What the parts of the plugin for Kafka know of each other.
 *
 * A log has two clients of librdkafka, as it knows only clients that append and clients that read. The one that reads
 * is watched by a thread (watch.c): it looks at the topic each second, and says up and down. All else happens in wsd's
 * thread, in `poll`.
 */
#ifndef WSD_KAFKA_H
#define WSD_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "events.h"
#include "options.h"
#include "wsd-plugin.h"

/* What the options say. Texts are copies. */
struct kafka_settings {
    char *servers;
    char *topic;
    /* The group of a source; NULL for a log. */
    char *group;
    /* NULL if there is none. */
    char *user;
    /* The token, if the mechanism is OAUTHBEARER and librdkafka does not fetch it itself; else NULL. */
    char *token;
    /* What the topic is created with: replicas are -1 for the broker's default. */
    int32_t partitions;
    int32_t replicas;
    int64_t retention;
    /* The topic is created if it is missing. */
    bool may_create;
    /* Of a value that is given out, in bytes. */
    size_t max_record;
    /* For clients that append or read; NULL for the former in a source. */
    rd_kafka_conf_t *producer;
    rd_kafka_conf_t *consumer;
};

/* kafka_settings_read reads the options of a log, or of a source; false with an error told. */
bool kafka_settings_read(struct kafka_settings *settings, const struct plugin_options *options, bool is_source);
void kafka_settings_free(struct kafka_settings *settings);

/* kafka_client makes a client; NULL with an error written. The configuration stays the caller's. */
rd_kafka_t *kafka_client(
    const struct kafka_settings *settings, rd_kafka_type_t type, const rd_kafka_conf_t *conf, char *error, size_t size);

/* kafka_authorise hands a client its token, if it needs one. */
void kafka_authorise(rd_kafka_t *client, const struct kafka_settings *settings);

/* A reason why the broker can't be used. */
struct kafka_reason {
    /* How well it explains: of two reasons within a few seconds the greater is told. 0 is none. */
    int weight;
    /* When it was found, in monotonic milliseconds. */
    int64_t time;
    char text[512];
    /* The settings are right: the broker could be used with them before. */
    bool has_worked;
};

/* kafka_explain finds the reason in an error that librdkafka tells of a connection. */
void kafka_explain(
    struct kafka_reason *reason, const struct kafka_settings *settings, rd_kafka_resp_err_t code, const char *told);

/* kafka_forbids tells whether an error means that the user lacks a permission. */
bool kafka_forbids(rd_kafka_resp_err_t code);

struct kafka_spent {
    struct kafka_spent *next;
    rd_kafka_t *client;
};

/* The watch over a client and its topic. */
struct kafka_watch {
    const struct kafka_settings *settings;
    struct plugin_events *events;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    /* Where librdkafka puts what is wrong with connections. Its reader is the watch's thread, which sleeps in it. */
    rd_kafka_queue_t *errors;
    pthread_t thread;
    /* Work that waits for the network, done by the thread while the broker is up. */
    void (*work)(void *owner);
    void *owner;
    atomic_bool is_closing;
    atomic_bool is_up;
    /* The number of partitions of the topic; 0 until it is known. */
    _Atomic uint32_t count;
    pthread_mutex_t lock;
    /* Clients that are no longer needed, for the thread to end, as that may take time. */
    struct kafka_spent *spent;
    /* A fault that the topic's description doesn't show, and until when it holds, in monotonic milliseconds; INT64_MAX
     * if it lasts. */
    char fault[512];
    int64_t fault_end;

    /* The thread's own. */
    struct kafka_reason reason;
    /* What was told last. */
    char told[512];
    int failures;
    int64_t leaderless_since;
};

/* kafka_watch_start makes the client that reads, and watches it; false with an error written. */
bool kafka_watch_start(
    struct kafka_watch *watch, const struct kafka_settings *settings, struct plugin_events *events, char *error,
    size_t error_size);
/* kafka_watch_stop ends the thread; the client is the caller's from then on. It takes up to a second. */
void kafka_watch_stop(struct kafka_watch *watch);
/* kafka_watch_nudge makes the thread look now. */
void kafka_watch_nudge(struct kafka_watch *watch);
/* kafka_watch_fault takes the broker for down for some seconds, for this reason, and then for up again. */
void kafka_watch_fault(struct kafka_watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* kafka_watch_hold does so from the next look on and until kafka_watch_release. */
void kafka_watch_hold(struct kafka_watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kafka_watch_release(struct kafka_watch *watch);

/* kafka_watch_end hands over a client that is no longer needed. */
void kafka_watch_end(struct kafka_watch *watch, rd_kafka_t *client);

/* kafka_now is the time in monotonic milliseconds. */
int64_t kafka_now(void);

/* kafka_topic_create creates the topic, and waits for it; false with a reason. */
bool kafka_topic_create(struct kafka_watch *watch, struct kafka_reason *reason);

struct wsd_log *kafka_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);
int kafka_append(
    struct wsd_log *log, uint32_t partition, const void *key, size_t key_count, const void *value, size_t value_count,
    uint64_t token);
void kafka_read(struct wsd_log *log, uint32_t partition, enum wsd_from from, int64_t place);
size_t kafka_poll(struct wsd_log *log, struct wsd_event *events, size_t limit);
void kafka_close(struct wsd_log *log, uint32_t milliseconds);

struct wsd_source *kafka_source_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);
size_t kafka_source_poll(struct wsd_source *source, struct wsd_event *events, size_t limit);
void kafka_source_settle(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault);
void kafka_source_rewind(struct wsd_source *source);
int64_t kafka_source_lag(struct wsd_source *source);
void kafka_source_close(struct wsd_source *source, uint32_t milliseconds);

#endif
