#include <inttypes.h>
#include <stdio.h>

#include "kafka.h"

/* So long the broker may take to create a topic, in milliseconds. */
enum { TIMEOUT = 3000 };

static rd_kafka_NewTopic_t *described(const struct kafka_settings *settings, char *error, size_t size) {
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(settings->topic, settings->partitions, settings->replicas, error, size);
    if (!topic) return NULL;
    char retention[24];
    snprintf(retention, sizeof retention, "%" PRId64, settings->retention);
    if (settings->retention) rd_kafka_NewTopic_set_config(topic, "retention.ms", retention);
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete");
    /* One clock, where each node has its own: a record's age is what retention and reading from a time go by. */
    rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "LogAppendTime");
    return topic;
}

/* The error of an answer; its text goes to `text`. */
static rd_kafka_resp_err_t answer(rd_kafka_event_t *event, char *text, size_t size) {
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const char *told = event ? rd_kafka_event_error_string(event) : NULL;
    const rd_kafka_CreateTopics_result_t *result = event && !code ? rd_kafka_event_CreateTopics_result(event) : NULL;
    if (result) {
        size_t count;
        const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
        if (count > 0) {
            code = rd_kafka_topic_result_error(topics[0]);
            told = rd_kafka_topic_result_error_string(topics[0]);
        }
    }
    snprintf(text, size, "%s", told && *told ? told : rd_kafka_err2str(code));
    return code;
}

bool kafka_topic_create(struct kafka_watch *watch, struct kafka_reason *reason) {
    const struct kafka_settings *settings = watch->settings;
    char text[384];
    rd_kafka_NewTopic_t *topic = described(settings, text, sizeof text);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__INVALID_ARG;
    if (topic) {
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(watch->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        char ignored[128];
        rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT, ignored, sizeof ignored);
        rd_kafka_AdminOptions_set_operation_timeout(options, TIMEOUT, ignored, sizeof ignored);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(watch->client);
        rd_kafka_CreateTopics(watch->client, &topic, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT);
        code = answer(event, text, sizeof text);
        if (event) rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_NewTopic_destroy(topic);
    }
    /* Another node may have been first. */
    if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return true;
    snprintf(
        reason->text, sizeof reason->text, "topic \"%s\" does not exist, and %s: %s", settings->topic,
        kafka_forbids(code) ? "may not be created" : "can't be created", text);
    return false;
}
