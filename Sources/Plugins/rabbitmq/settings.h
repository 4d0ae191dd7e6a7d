/*
 * What a log or a source was opened with.
 */
#ifndef RABBITMQ_SETTINGS_H
#define RABBITMQ_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

/* The ends of the names of streams, ".0" to ".1023", are as many. */
#define PARTITION_LIMIT 1024

struct server {
    /* Without the brackets of an IPv6 address. */
    char *host;
    int port;
    /* As reasons name it: "host:port". */
    char *name;
};

struct settings {
    struct server *servers;
    size_t server_count;
    char *vhost, *user, *password, *client;
    bool uses_tls;
    /* Names of files. `certificate` and `key` are NULL together. */
    char *ca, *certificate, *key;
    /* In seconds. */
    int heartbeat;

    /* Of a log. The exchange, and what its streams' names begin with. */
    char *prefix;
    uint32_t partition_count;
    /* In milliseconds and bytes; 0 for no limit. */
    int64_t retention, retention_byte_count;

    /* Of a source. `exchange` and `binding` are NULL if the queue is only read. */
    char *queue, *exchange, *binding;

    uint16_t prefetch;
    /* The largest value that is given out, and that a log appends, in bytes. */
    uint64_t record_limit;
};

/* settings_read reads the options of a log, or those of a source. NULL, with an error told, if one can't be used. */
struct settings *settings_read(const struct plugin_options *options, bool is_source);

void settings_free(struct settings *settings);

#endif
