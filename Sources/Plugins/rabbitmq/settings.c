#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* AMQP's short strings: names of queues, exchanges and routing keys. */
enum { NAME_BYTES_MAX = 255, PORT = 5672, TLS_PORT = 5671 };

/* Where Debian keeps the certificates of the authorities that everybody trusts. */
static const char system_authorities[] = "/etc/ssl/certs/ca-certificates.crt";

/* Copies the value of an option, or `otherwise`. */
static char *copied(const struct plugin_options *options, const char *key, const char *otherwise) {
    const char *value = plugin_text(options, key);
    if (!value) value = otherwise;
    return value ? strdup(value) : NULL;
}

/* One of "servers": host, host:port, [address] or [address]:port. */
static bool read_server(const struct plugin_options *options, const char *text, size_t count, struct settings *settings) {
    char host[NAME_BYTES_MAX + 1];
    const char *end = text + count, *port = NULL;
    size_t host_count = count;
    if (count > 0 && *text == '[') {
        const char *bracket = memchr(text, ']', count);
        if (!bracket || (bracket + 1 < end && bracket[1] != ':'))
            return plugin_fail(options, "servers has \"%.*s\", which is no [address]:port", (int)count, text);
        if (bracket + 1 < end) port = bracket + 2;
        text++;
        host_count = (size_t)(bracket - text);
    } else {
        const char *colon = memchr(text, ':', count);
        if (colon) {
            port = colon + 1;
            host_count = (size_t)(colon - text);
        }
    }
    if (host_count == 0 || host_count >= sizeof host)
        return plugin_fail(options, "servers has \"%.*s\", in which the host's name is missing or too long", (int)count, text);
    memcpy(host, text, host_count);
    host[host_count] = 0;
    long number = settings->uses_tls ? TLS_PORT : PORT;
    if (port) {
        char *rest;
        number = strtol(port, &rest, 10);
        if (rest != end || rest == port || number < 1 || number > 65535)
            return plugin_fail(options, "servers has the port \"%.*s\", which is no number from 1 to 65535", (int)(end - port), port);
    }
    struct server *server = &settings->servers[settings->server_count++];
    server->port = (int)number;
    char name[sizeof host + sizeof "[]:65535"];
    snprintf(name, sizeof name, strchr(host, ':') ? "[%s]:%ld" : "%s:%ld", host, number);
    server->host = strdup(host);
    server->name = strdup(name);
    return (server->host && server->name) || plugin_fail(options, "no memory");
}

static bool read_servers(const struct plugin_options *options, struct settings *settings) {
    const char *text = plugin_required(options, "servers");
    if (!text) return false;
    size_t limit = 1;
    for (const char *at = text; *at; at++) limit += *at == ',';
    settings->servers = calloc(limit, sizeof *settings->servers);
    if (!settings->servers) return plugin_fail(options, "no memory");
    for (;;) {
        text += strspn(text, " ");
        size_t count = strcspn(text, ",");
        const char *next = text + count;
        while (count > 0 && text[count - 1] == ' ') count--;
        if (!read_server(options, text, count, settings)) return false;
        if (!*next) return true;
        text = next + 1;
    }
}

/* Files that can't be read are told at once, and not at each attempt to connect. */
static bool check_file(const struct plugin_options *options, const char *key, const char *name) {
    if (!name || access(name, R_OK) == 0) return true;
    return plugin_fail(options, "%s is \"%s\", which can't be read: %m", key, name);
}

static bool read_tls(const struct plugin_options *options, struct settings *settings) {
    if (!plugin_flag(options, "tls", false, &settings->uses_tls)) return false;
    if (!settings->uses_tls) {
        for (const char *const *key = (const char *const[]){"ca", "certificate", "key", NULL}; *key; key++)
            if (plugin_text(options, *key)) return plugin_fail(options, "%s is given, but tls is not true", *key);
        return true;
    }
    settings->ca = copied(options, "ca", system_authorities);
    settings->certificate = copied(options, "certificate", NULL);
    settings->key = copied(options, "key", NULL);
    if (!settings->certificate != !settings->key)
        return plugin_fail(options, "%s is missing: a certificate and its key are given together", settings->key ? "certificate" : "key");
    return check_file(options, "ca", settings->ca) && check_file(options, "certificate", settings->certificate) &&
        check_file(options, "key", settings->key);
}

/* A name of RabbitMQ: `room` bytes are kept free behind it. */
static bool read_name(const struct plugin_options *options, const char *key, size_t room, char **name) {
    const char *text = plugin_required(options, key);
    if (!text) return false;
    if (strlen(text) > NAME_BYTES_MAX - room)
        return plugin_fail(options, "%s is \"%s\", which has more than %zu bytes", key, text, NAME_BYTES_MAX - room);
    if (strncmp(text, "amq.", 4) == 0)
        return plugin_fail(options, "%s is \"%s\": names that begin with \"amq.\" are RabbitMQ's own", key, text);
    *name = strdup(text);
    return *name || plugin_fail(options, "no memory");
}

static bool read_log(const struct plugin_options *options, struct settings *settings) {
    int64_t partitions;
    if (!read_name(options, "prefix", strlen(".1023"), &settings->prefix)) return false;
    if (!plugin_number(options, "partitions", 1, PARTITION_LIMIT, 1, &partitions)) return false;
    settings->partition_count = (uint32_t)partitions;
    return plugin_number(options, "retention", 0, INT64_MAX / 1000, 0, &settings->retention) &&
        plugin_number(options, "retention_bytes", 0, INT64_MAX, 0, &settings->retention_byte_count);
}

static bool read_source(const struct plugin_options *options, struct settings *settings) {
    if (!read_name(options, "queue", 0, &settings->queue)) return false;
    settings->exchange = copied(options, "exchange", NULL);
    settings->binding = copied(options, "binding", settings->exchange ? "#" : NULL);
    if (settings->binding && !settings->exchange) return plugin_fail(options, "binding is given, but no exchange");
    if (settings->exchange && strlen(settings->exchange) > NAME_BYTES_MAX)
        return plugin_fail(options, "exchange has more than %d bytes", NAME_BYTES_MAX);
    if (settings->binding && strlen(settings->binding) > NAME_BYTES_MAX)
        return plugin_fail(options, "binding has more than %d bytes", NAME_BYTES_MAX);
    return true;
}

struct settings *settings_read(const struct plugin_options *options, bool is_source) {
    struct settings *settings = calloc(1, sizeof *settings);
    int64_t heartbeat, prefetch, record_limit;
    if (!settings) {
        plugin_fail(options, "no memory");
        return NULL;
    }
    bool is_read = read_tls(options, settings) && read_servers(options, settings) &&
        (is_source ? read_source : read_log)(options, settings) &&
        plugin_number(options, "heartbeat", 1, 3600, 10, &heartbeat) &&
        plugin_number(options, "prefetch", 1, UINT16_MAX, is_source ? 256 : 1024, &prefetch) &&
        plugin_number(options, "max_record", 1, 1 << 30, 16 << 20, &record_limit);
    if (is_read) {
        settings->heartbeat = (int)heartbeat;
        settings->prefetch = (uint16_t)prefetch;
        settings->record_limit = (uint64_t)record_limit;
        settings->vhost = copied(options, "vhost", "/");
        settings->user = copied(options, "user", "guest");
        settings->password = copied(options, "password", "guest");
        settings->client = copied(options, "client", "wsd");
        if (settings->vhost && settings->user && settings->password && settings->client) return settings;
        plugin_fail(options, "no memory");
    }
    settings_free(settings);
    return NULL;
}

void settings_free(struct settings *settings) {
    if (!settings) return;
    for (size_t i = 0; i < settings->server_count; i++) {
        free(settings->servers[i].host);
        free(settings->servers[i].name);
    }
    char *texts[] = {settings->vhost, settings->user, settings->password, settings->client, settings->ca, settings->certificate,
        settings->key, settings->prefix, settings->queue, settings->exchange, settings->binding};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    free(settings->servers);
    free(settings);
}
