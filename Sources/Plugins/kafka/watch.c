#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka.h"

/* How often the topic is looked at, in milliseconds; so long an answer may take, and so many may be missing. */
enum { LOOK_INTERVAL = 1000, LOOK_TIMEOUT = 1000, LOOKS = 3 };
/* How long a partition may be without a leader, as it is while one is elected, and how long a fault holds. */
enum { ELECTION_TIMEOUT = 5000, FAULT_TIME = 5000 };

int64_t kafka_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say_down(struct kafka_watch *watch, const char *text) {
    bool was_up = atomic_exchange(&watch->is_up, false);
    if (!was_up && strcmp(watch->told, text) == 0) return;
    snprintf(watch->told, sizeof watch->told, "%s", text);
    plugin_events_putf(watch->events, WSD_EVENT_DOWN, "%s", text);
}

static void say_up(struct kafka_watch *watch, uint32_t count) {
    uint32_t last = atomic_exchange(&watch->count, count);
    if (atomic_exchange(&watch->is_up, true) && last >= count) return;
    watch->told[0] = 0;
    plugin_events_put(
        watch->events, &(struct wsd_event){.kind = WSD_EVENT_UP, .partition = count, .timestamp = -1});
}

/* Notes what is wrong with connections, for at most so many milliseconds. */
static void serve_errors(struct kafka_watch *watch, int milliseconds) {
    int64_t end = kafka_now() + milliseconds;
    while (!atomic_load(&watch->is_closing)) {
        int64_t left = end - kafka_now();
        rd_kafka_event_t *event = rd_kafka_queue_poll(watch->errors, left > 0 ? (int)left : 0);
        if (!event) return;
        rd_kafka_event_type_t type = rd_kafka_event_type(event);
        if (type == RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH) kafka_authorise(watch->client, watch->settings);
        if (type == RD_KAFKA_EVENT_ERROR) {
            rd_kafka_resp_err_t code = rd_kafka_event_error(event);
            kafka_explain(&watch->reason, watch->settings, code, rd_kafka_event_error_string(event));
            bool is_lost = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
            if (is_lost || !atomic_load(&watch->is_up)) say_down(watch, watch->reason.text);
            if (is_lost) end = 0;
        }
        rd_kafka_event_destroy(event);
    }
}

/* The topic as the broker describes it: its number of partitions; 0 with a reason. */
static uint32_t look_at(struct kafka_watch *watch, const struct rd_kafka_metadata_topic *topic, struct kafka_reason *reason) {
    const char *name = watch->settings->topic;
    if (kafka_forbids(topic->err)) {
        const char *user = watch->settings->user ? watch->settings->user : "ANONYMOUS";
        snprintf(reason->text, sizeof reason->text, "user \"%s\" may not see topic \"%s\"", user, name);
        return 0;
    }
    if (topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || topic->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        if (watch->settings->may_create)
            kafka_topic_create(watch, reason);
        else
            snprintf(reason->text, sizeof reason->text, "topic \"%s\" does not exist", name);
        return 0;
    }
    if (topic->err || topic->partition_cnt <= 0) {
        snprintf(reason->text, sizeof reason->text, "topic \"%s\": %s", name, rd_kafka_err2str(topic->err));
        return 0;
    }
    int32_t leaderless = -1;
    for (int i = 0; i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader < 0) leaderless = topic->partitions[i].id;
    if (leaderless < 0)
        watch->leaderless_since = 0;
    else if (!watch->leaderless_since)
        watch->leaderless_since = kafka_now();
    else if (kafka_now() - watch->leaderless_since > ELECTION_TIMEOUT) {
        snprintf(reason->text, sizeof reason->text, "partition %d of topic \"%s\" has no leader", leaderless, name);
        return 0;
    }
    return (uint32_t)topic->partition_cnt;
}

/* Copies the fault that holds at present, if there is one. */
static bool has_fault(struct kafka_watch *watch, struct kafka_reason *reason) {
    pthread_mutex_lock(&watch->lock);
    bool holds = watch->fault_end > kafka_now();
    if (holds) snprintf(reason->text, sizeof reason->text, "%s", watch->fault);
    pthread_mutex_unlock(&watch->lock);
    return holds;
}

static void look(struct kafka_watch *watch) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(watch->client, 0, watch->topic, &metadata, LOOK_TIMEOUT);
    serve_errors(watch, 0);
    if (error || metadata->topic_cnt < 1) {
        watch->failures++;
        if (!error) rd_kafka_metadata_destroy(metadata);
        if (watch->failures < LOOKS && !watch->reason.weight) return;
        if (watch->failures < LOOKS && atomic_load(&watch->is_up)) return;
        if (watch->reason.weight)
            say_down(watch, watch->reason.text);
        else {
            char text[512];
            snprintf(text, sizeof text, "%s does not answer", watch->settings->servers);
            say_down(watch, text);
        }
        return;
    }
    struct kafka_reason reason = {0};
    uint32_t count = look_at(watch, &metadata->topics[0], &reason);
    rd_kafka_metadata_destroy(metadata);
    watch->failures = 0;
    watch->reason.weight = 0;
    watch->reason.has_worked = true;
    if (count && has_fault(watch, &reason)) count = 0;
    if (count)
        say_up(watch, count);
    else if (reason.text[0])
        say_down(watch, reason.text);
}

static void end_spent(struct kafka_watch *watch) {
    pthread_mutex_lock(&watch->lock);
    struct kafka_spent *spent = watch->spent;
    watch->spent = NULL;
    pthread_mutex_unlock(&watch->lock);
    while (spent) {
        struct kafka_spent *next = spent->next;
        rd_kafka_destroy(spent->client);
        free(spent);
        spent = next;
    }
}

void kafka_watch_end(struct kafka_watch *watch, rd_kafka_t *client) {
    struct kafka_spent *spent = malloc(sizeof *spent);
    if (!client || !spent) {
        /* Without memory it stays as it is. */
        free(spent);
        return;
    }
    pthread_mutex_lock(&watch->lock);
    *spent = (struct kafka_spent){watch->spent, client};
    watch->spent = spent;
    pthread_mutex_unlock(&watch->lock);
    kafka_watch_nudge(watch);
}

static void *run(void *argument) {
    struct kafka_watch *watch = argument;
    while (!atomic_load(&watch->is_closing)) {
        look(watch);
        end_spent(watch);
        if (atomic_load(&watch->is_up) && watch->work) watch->work(watch->owner);
        /* Where it hangs, the look has waited already. */
        bool is_known = atomic_load(&watch->is_up) || has_fault(watch, &(struct kafka_reason){0});
        serve_errors(watch, is_known && !watch->failures ? LOOK_INTERVAL : LOOK_INTERVAL / 5);
    }
    return NULL;
}

bool kafka_watch_start(
    struct kafka_watch *watch, const struct kafka_settings *settings, struct plugin_events *events, char *error,
    size_t error_size) {
    watch->settings = settings;
    watch->events = events;
    watch->client = kafka_client(settings, RD_KAFKA_CONSUMER, settings->consumer, error, error_size);
    if (!watch->client) return false;
    watch->topic = rd_kafka_topic_new(watch->client, settings->topic, NULL);
    watch->errors = rd_kafka_queue_get_main(watch->client);
    pthread_mutex_init(&watch->lock, NULL);
    if (watch->topic && pthread_create(&watch->thread, NULL, run, watch) == 0) return true;
    snprintf(error, error_size, "no thread can be started");
    if (watch->topic) rd_kafka_topic_destroy(watch->topic);
    rd_kafka_queue_destroy(watch->errors);
    rd_kafka_destroy_flags(watch->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return false;
}

void kafka_watch_stop(struct kafka_watch *watch) {
    atomic_store(&watch->is_closing, true);
    kafka_watch_nudge(watch);
    pthread_join(watch->thread, NULL);
    end_spent(watch);
    pthread_mutex_destroy(&watch->lock);
    rd_kafka_queue_destroy(watch->errors);
    rd_kafka_topic_destroy(watch->topic);
}

void kafka_watch_nudge(struct kafka_watch *watch) { rd_kafka_queue_yield(watch->errors); }

static void put_fault(struct kafka_watch *watch, int64_t end, const char *format, va_list arguments) {
    pthread_mutex_lock(&watch->lock);
    /* One that passes ends none that lasts. */
    if (end >= watch->fault_end) {
        vsnprintf(watch->fault, sizeof watch->fault, format, arguments);
        watch->fault_end = end;
    }
    pthread_mutex_unlock(&watch->lock);
}

void kafka_watch_fault(struct kafka_watch *watch, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_fault(watch, kafka_now() + FAULT_TIME, format, arguments);
    va_end(arguments);
    kafka_watch_nudge(watch);
}

void kafka_watch_hold(struct kafka_watch *watch, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_fault(watch, INT64_MAX, format, arguments);
    va_end(arguments);
}

void kafka_watch_release(struct kafka_watch *watch) {
    pthread_mutex_lock(&watch->lock);
    watch->fault_end = 0;
    pthread_mutex_unlock(&watch->lock);
    kafka_watch_nudge(watch);
}
