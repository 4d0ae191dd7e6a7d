#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kafka.h"

struct property {
    const char *name;
    const char *value;
};

/* What differs from librdkafka's defaults. */
static const struct property common_properties[] = {
    /* A small record goes at once. */
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    {"retry.backoff.ms", "100"},
    /* A broker that hangs is given up after some seconds; the default is a minute. */
    {"socket.timeout.ms", "5000"},
    {"socket.connection.setup.timeout.ms", "5000"},
    {"topic.metadata.propagation.max.ms", "5000"},
    {"topic.metadata.refresh.interval.ms", "10000"},
    {"ssl.endpoint.identification.algorithm", "https"},
    {"api.version.request.timeout.ms", "5000"},
};

static const struct property producer_properties[] = {
    {"acks", "all"},
    {"enable.idempotence", "true"},
    {"linger.ms", "0"},
    {"message.timeout.ms", "10000"},
    {"request.timeout.ms", "5000"},
    /* The broker says what is too large. */
    {"message.max.bytes", "67108864"},
    {"queue.buffering.max.messages", "10000"},
    {"queue.buffering.max.kbytes", "65536"},
};

static const struct property consumer_properties[] = {
    {"allow.auto.create.topics", "false"},
    {"enable.partition.eof", "true"},
    {"auto.offset.reset", "error"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "100"},
    /* Of each partition, in memory: a record that is larger is read nevertheless. */
    {"queued.max.messages.kbytes", "512"},
    {"queued.min.messages", "1000"},
    {"fetch.message.max.bytes", "524288"},
};

static const struct property source_properties[] = {
    {"enable.auto.commit", "true"},
    {"auto.commit.interval.ms", "1000"},
    {"session.timeout.ms", "10000"},
    {"heartbeat.interval.ms", "3000"},
    {"partition.assignment.strategy", "cooperative-sticky"},
};

/* What wsd relies on, or what has an option of its own. */
static const char *const reserved_properties[] = {
    "acks", "allow.auto.create.topics", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit",
    "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id", "log.queue",
    "metadata.broker.list", "partition.assignment.strategy", "request.required.acks", "security.protocol",
    "transactional.id",
};

static bool set(rd_kafka_conf_t *conf, const struct plugin_options *options, const char *name, const char *value) {
    if (!conf || !value) return true;
    char error[512];
    switch (rd_kafka_conf_set(conf, name, value, error, sizeof error)) {
        case RD_KAFKA_CONF_OK: return true;
        case RD_KAFKA_CONF_UNKNOWN:
            return plugin_fail(options, "librdkafka %s knows no property \"%s\"", rd_kafka_version_str(), name);
        default: return plugin_fail(options, "%s \"%s\": %s", name, value, error);
    }
}

static bool set_all(
    rd_kafka_conf_t *conf, const struct plugin_options *options, const struct property *properties, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!set(conf, options, properties[i].name, properties[i].value)) return false;
    return true;
}
#define SET_ALL(conf, options, properties) \
    set_all(conf, options, properties, sizeof(properties) / sizeof((properties)[0]))

/* TLS, and who wsd is. */
static bool set_security(rd_kafka_conf_t *conf, const struct plugin_options *options, bool uses_tls) {
    const char *user = plugin_text(options, "user"), *password = plugin_text(options, "password");
    const char *mechanism = plugin_text(options, "mechanism");
    if (!mechanism && user) mechanism = "PLAIN";
    const char *protocol = mechanism ? uses_tls ? "sasl_ssl" : "sasl_plaintext" : uses_tls ? "ssl" : "plaintext";
    if (!set(conf, options, "security.protocol", protocol)) return false;
    if (uses_tls &&
        !(set(conf, options, "ssl.ca.location", plugin_text(options, "ca")) &&
          set(conf, options, "ssl.certificate.location", plugin_text(options, "certificate")) &&
          set(conf, options, "ssl.key.location", plugin_text(options, "key"))))
        return false;
    if (!mechanism) return true;
    if (!set(conf, options, "sasl.mechanisms", mechanism)) return false;
    if (strcmp(mechanism, "OAUTHBEARER") == 0) return true;
    return set(conf, options, "sasl.username", user) && set(conf, options, "sasl.password", password);
}

static bool check_security(const struct plugin_options *options, bool uses_tls) {
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"};
    static const char *const files[] = {"ca", "certificate", "key"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *file = plugin_text(options, files[i]);
        if (file && !uses_tls) return plugin_fail(options, "%s is given, but tls is not true", files[i]);
        /* OpenSSL would not say which. */
        if (file && access(file, R_OK) != 0)
            return plugin_fail(options, "%s \"%s\" can't be read: %s", files[i], file, strerror(errno));
    }
    if (!plugin_text(options, "certificate") != !plugin_text(options, "key"))
        return plugin_fail(options, "certificate and key are given both or not at all");
    const char *user = plugin_text(options, "user"), *password = plugin_text(options, "password");
    const char *mechanism = plugin_text(options, "mechanism");
    bool is_known = !mechanism;
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        is_known = is_known || strcmp(mechanism, mechanisms[i]) == 0;
    if (!is_known)
        return plugin_fail(
            options, "mechanism is \"%s\", which is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", mechanism);
    if (mechanism && strcmp(mechanism, "OAUTHBEARER") == 0) {
        if (!password && !plugin_text(options, "property.sasl.oauthbearer.method"))
            return plugin_fail(
                options, "mechanism OAUTHBEARER needs a token as the password, or property.sasl.oauthbearer.method = oidc");
        return true;
    }
    if ((mechanism || password) && !user) return plugin_fail(options, "user is missing, whom the broker is to let in");
    if (user && !password) return plugin_fail(options, "the password of user \"%s\" is missing", user);
    return true;
}

/* "property.NAME" for each NAME of librdkafka's. */
static bool set_properties(rd_kafka_conf_t *conf, const struct plugin_options *options) {
    static const char prefix[] = "property.";
    for (size_t i = 0; conf && i < options->count; i++) {
        const struct wsd_option *option = &options->options[i];
        if (strncmp(option->key, prefix, sizeof prefix - 1) != 0) continue;
        const char *name = option->key + sizeof prefix - 1;
        for (size_t j = 0; j < sizeof reserved_properties / sizeof *reserved_properties; j++)
            if (strcmp(name, reserved_properties[j]) == 0)
                return plugin_fail(options, "property \"%s\" is set by wsd, which relies on it", name);
        if (!set(conf, options, name, option->value)) return false;
    }
    return true;
}

/* librdkafka logs to standard error otherwise. What matters comes as an event, too. */
static void discard_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    (void)client, (void)level, (void)facility, (void)text;
}

static rd_kafka_conf_t *new_conf(const struct plugin_options *options, bool uses_tls, int events) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, discard_log);
    rd_kafka_conf_set_events(conf, events | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH);
    const char *client = plugin_text(options, "client");
    if (SET_ALL(conf, options, common_properties) &&
        set(conf, options, "bootstrap.servers", plugin_text(options, "servers")) &&
        set(conf, options, "client.id", client ? client : "wsd") && set_security(conf, options, uses_tls))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static char *copy_of(const char *text) { return text ? strdup(text) : NULL; }

static bool read_texts(struct kafka_settings *settings, const struct plugin_options *options, const char *topic_key) {
    const char *servers = plugin_required(options, "servers");
    const char *topic = servers ? plugin_required(options, topic_key) : NULL;
    if (!topic) return false;
    /* https://github.com/apache/kafka: org.apache.kafka.common.internals.Topic. */
    if (strlen(topic) > 249 || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0 ||
        topic[strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
        return plugin_fail(
            options, "\"%s\" can't be the name of a topic: letters, digits, \".\", \"_\" and \"-\" can, up to 249", topic);
    settings->servers = copy_of(servers);
    settings->topic = copy_of(topic);
    settings->user = copy_of(plugin_text(options, "user"));
    const char *mechanism = plugin_text(options, "mechanism");
    bool has_token = mechanism && strcmp(mechanism, "OAUTHBEARER") == 0;
    settings->token = has_token ? copy_of(plugin_text(options, "password")) : NULL;
    return true;
}

static bool read_source(struct kafka_settings *settings, const struct plugin_options *options) {
    const char *from = plugin_text(options, "from");
    if (from && strcmp(from, "earliest") != 0 && strcmp(from, "latest") != 0)
        return plugin_fail(options, "from is \"%s\", which is neither earliest nor latest", from);
    const char *group = plugin_required(options, "group");
    settings->group = copy_of(group);
    return group && SET_ALL(settings->consumer, options, source_properties) &&
           set(settings->consumer, options, "group.id", group) &&
           set(settings->consumer, options, "auto.offset.reset", from ? from : "latest");
}

bool kafka_settings_read(struct kafka_settings *settings, const struct plugin_options *options, bool is_source) {
    int64_t partitions, replicas, max_record;
    bool uses_tls;
    if (!read_texts(settings, options, is_source ? "topic" : "prefix") ||
        !plugin_flag(options, "tls", false, &uses_tls) || !check_security(options, uses_tls) ||
        !plugin_number(options, "partitions", 1, 10000, 8, &partitions) ||
        !plugin_number(options, "replicas", -1, 1000, -1, &replicas) ||
        !plugin_number(options, "retention", -1, INT64_MAX, 0, &settings->retention) ||
        !plugin_number(options, "max_record", 1, INT32_MAX, INT32_MAX, &max_record))
        return false;
    settings->partitions = (int32_t)partitions;
    settings->replicas = (int32_t)replicas;
    settings->max_record = (size_t)max_record;
    settings->may_create = !is_source;
    settings->consumer = new_conf(options, uses_tls, 0);
    if (!settings->consumer || !SET_ALL(settings->consumer, options, consumer_properties)) return false;
    if (is_source) return read_source(settings, options) && set_properties(settings->consumer, options);
    settings->producer = new_conf(options, uses_tls, RD_KAFKA_EVENT_DR);
    return settings->producer && SET_ALL(settings->producer, options, producer_properties) &&
           set_properties(settings->producer, options) && set_properties(settings->consumer, options);
}

void kafka_settings_free(struct kafka_settings *settings) {
    free(settings->servers);
    free(settings->topic);
    free(settings->group);
    free(settings->user);
    free(settings->token);
    if (settings->producer) rd_kafka_conf_destroy(settings->producer);
    if (settings->consumer) rd_kafka_conf_destroy(settings->consumer);
}

rd_kafka_t *kafka_client(
    const struct kafka_settings *settings, rd_kafka_type_t type, const rd_kafka_conf_t *conf, char *error, size_t size) {
    rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
    rd_kafka_t *client = rd_kafka_new(type, copy, error, size);
    if (client)
        kafka_authorise(client, settings);
    else
        rd_kafka_conf_destroy(copy);
    return client;
}

void kafka_authorise(rd_kafka_t *client, const struct kafka_settings *settings) {
    if (!settings->token) return;
    /* The broker knows how long the token is good. librdkafka asks for another before this time. */
    int64_t end = ((int64_t)time(NULL) + 3600) * 1000;
    const char *user = settings->user ? settings->user : "wsd";
    char error[512];
    if (rd_kafka_oauthbearer_set_token(client, settings->token, end, user, NULL, 0, error, sizeof error))
        rd_kafka_oauthbearer_set_token_failure(client, error);
}
