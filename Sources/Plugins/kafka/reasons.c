#include <stdio.h>
#include <string.h>

#include "kafka.h"

/* Copies the text between two marks; all from the first on, if there is no second. False if there is no first. */
static bool between(char *target, size_t size, const char *text, const char *mark, const char *end_mark) {
    const char *start = strstr(text, mark);
    if (!start) return false;
    start += strlen(mark);
    const char *end = strstr(start, end_mark);
    snprintf(target, size, "%.*s", end ? (int)(end - start) : (int)strlen(start), start);
    return true;
}

/* Parts "sasl_ssl://host:9092/1: something (after 3ms in state UP)" into "host:9092" and "something". */
static void part(const char *told, char *address, size_t address_size, char *what, size_t what_size) {
    const char *start = strstr(told, "://");
    const char *colon = strstr(told, ": ");
    if (!colon) colon = told;
    start = start && start < colon ? start + 3 : told;
    size_t length = (size_t)(colon - start);
    const char *slash = memchr(start, '/', length);
    if (slash) length = (size_t)(slash - start);
    snprintf(address, address_size, "%.*s", (int)length, start);
    snprintf(what, what_size, "%s", colon == told ? told : colon + 2);
    /* The address may be told twice, as the bootstrap server's and the broker's. */
    char *twice = strstr(what, ": ");
    if (twice && memchr(what, '/', (size_t)(twice - what)) && !memchr(what, ' ', (size_t)(twice - what)))
        memmove(what, twice + 2, strlen(twice + 2) + 1);
    char *after = strstr(what, " (after ");
    if (after) *after = 0;
}

void kafka_explain(
    struct kafka_reason *reason, const struct kafka_settings *settings, rd_kafka_resp_err_t code, const char *told) {
    char address[256], what[400], detail[300];
    part(told, address, sizeof address, what, sizeof what);
    int weight = 2;
    char text[512];
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        weight = 1;
        snprintf(text, sizeof text, "no broker of %s is connected", settings->servers);
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED) {
        weight = 4;
        const char *secret = settings->token ? "token" : "password";
        snprintf(
            text, sizeof text, "%s refused the %s of user \"%s\": %s", address, secret,
            settings->user ? settings->user : "", what);
    } else if (code == RD_KAFKA_RESP_ERR__SSL || strstr(what, "SSL routines")) {
        weight = 4;
        /* Of "SSL handshake failed: error:0A000086:SSL routines::what is wrong: what librdkafka's user may do". */
        const char *cause = between(detail, sizeof detail, what, "routines::", ": ") ? detail : what;
        snprintf(text, sizeof text, "TLS with %s fails: %s", address, cause);
    } else if (between(detail, sizeof detail, what, "Connect to ", " failed: ")) {
        weight = 3;
        between(detail, sizeof detail, what, " failed: ", "\n");
        snprintf(text, sizeof text, "%s can't be reached: %s", address, detail);
    } else if (between(detail, sizeof detail, what, "Failed to resolve ", "': ")) {
        weight = 3;
        between(detail, sizeof detail, what, "': ", "\n");
        snprintf(text, sizeof text, "%s can't be resolved: %s", address, detail);
    } else if (!reason->has_worked && strstr(what, "connecting to a SSL listener?")) {
        weight = 3;
        snprintf(text, sizeof text, "%s closed the connection at once: it may want TLS (tls = true)", address);
    } else if (!reason->has_worked && strstr(what, "might require SASL authentication")) {
        weight = 3;
        snprintf(text, sizeof text, "%s closed the connection early: it may want a user and a password", address);
    } else if (strncmp(what, "Disconnected", 12) == 0) {
        snprintf(text, sizeof text, "%s closed the connection", address);
    } else if (strstr(what, "timed out")) {
        snprintf(text, sizeof text, "%s does not answer", address);
    } else {
        snprintf(text, sizeof text, "%s: %s", address, what);
    }
    int64_t now = kafka_now();
    bool is_fresh = now - reason->time < 5000;
    if (reason->weight && (weight == 1 || (weight < reason->weight && is_fresh))) return;
    reason->weight = weight;
    reason->time = now;
    memcpy(reason->text, text, sizeof text);
}

bool kafka_forbids(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}
