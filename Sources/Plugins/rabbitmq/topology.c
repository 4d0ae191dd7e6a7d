#include "topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How an attempt to declare ended. */
enum outcome { DECLARED, REFUSED, LOST };

/* Of the files that a stream consists of. */
enum { SEGMENT_BYTES_MIN = 4 << 20, SEGMENT_BYTES_MAX = 64 << 20 };

struct stream_name stream_name(const struct settings *settings, uint32_t partition) {
    struct stream_name name;
    snprintf(name.text, sizeof name.text, "%s.%" PRIu32, settings->prefix, partition);
    return name;
}

bool channel_reopen(struct connection *connection, amqp_channel_t channel) {
    amqp_channel_close_ok_t answer = {0};
    amqp_send_method(connection->amqp, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer);
    if (amqp_channel_open(connection->amqp, channel)) return true;
    return connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), "opening a channel");
}

/* The outcome of what was asked last on the control channel, which is open after that unless the connection is lost.
 * What the server says against it is put into `said`. */
static enum outcome outcome(struct connection *connection, const char *what, char *said, size_t size, int *code) {
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection->amqp);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return DECLARED;
    bool is_refused =
        reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD;
    connection_rpc_failed(connection, reply, what);
    if (!is_refused) return LOST;
    *code = reply_code(reply);
    reply_text(reply, said, size);
    return channel_reopen(connection, CONTROL_CHANNEL) ? REFUSED : LOST;
}

static void add_note(char *note, size_t size, const char *text) {
    size_t count = strlen(note);
    snprintf(note + count, size - count, "%s%s", count ? "; " : "", text);
}

static enum outcome declare_queue(
    struct connection *connection, const char *name, bool is_passive, amqp_table_t arguments, char *said, size_t size, int *code) {
    char what[300];
    snprintf(what, sizeof what, "queue \"%s\"", name);
    amqp_queue_declare(connection->amqp, CONTROL_CHANNEL, amqp_cstring_bytes(name), is_passive, true, false, false, arguments);
    return outcome(connection, what, said, size, code);
}

static amqp_table_entry_t text_argument(const char *key, const char *value) {
    return (amqp_table_entry_t){
        amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t number_argument(const char *key, int64_t value) {
    return (amqp_table_entry_t){amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static amqp_table_entry_t flag_argument(const char *key, bool value) {
    return (amqp_table_entry_t){amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = value}};
}

/* RabbitMQ before 3.9 would make something else of a stream, or refuse it with words that don't help. */
static bool check_version(struct connection *connection) {
    int major = 0, minor = 0;
    if (sscanf(connection->version, "%d.%d", &major, &minor) != 2 || major > 3 || (major == 3 && minor >= 9)) return true;
    return connection_fail(connection, "%s is RabbitMQ %s, which has no streams: wsd needs version 3.9 or later",
        connection->server->name, connection->version);
}

/* A user who may not create a stream may use one that exists. */
static bool use_existing(struct connection *connection, const char *name, int code, const char *said) {
    const struct settings *settings = connection->settings;
    const char *server = connection->server->name;
    char ignored[512];
    int passive_code = 0;
    if (code == AMQP_ACCESS_REFUSED) {
        enum outcome exists = declare_queue(connection, name, true, amqp_empty_table, ignored, sizeof ignored, &passive_code);
        if (exists != REFUSED) return exists == DECLARED;
        return connection_fail(connection, "queue \"%s\" does not exist in vhost \"%s\" at %s, and user \"%s\" may not create it: %s",
            name, settings->vhost, server, settings->user, said);
    }
    return connection_fail(connection, "%s refused queue \"%s\": %s", server, name, said);
}

/* Arguments of a queue, of which there are few. */
struct arguments {
    amqp_table_entry_t entries[16];
    int count;
    /* What the entries point to that they did not come with. */
    char texts[16][300];
    int text_count;
};

/* Changes the one argument that the server complains of to what the queue has. False if that can't be: it complains of
 * what all streams have in common, or in words that are not understood. */
static bool adopt_argument(struct arguments *arguments, const char *said, bool *is_stream) {
    char key[128], value[256];
    const char *found = strstr(said, "inequivalent arg '");
    *is_stream = true;
    if (!found || sscanf(found, "inequivalent arg '%127[^']'", key) != 1) return false;
    for (const char *const *common = (const char *const[]){"x-queue-type", "durable", "exclusive", "auto_delete", NULL}; *common; common++)
        if (strcmp(key, *common) == 0) return *is_stream = false;
    int place = 0;
    while (place < arguments->count && !(arguments->entries[place].key.len == strlen(key) &&
        memcmp(arguments->entries[place].key.bytes, key, strlen(key)) == 0)) place++;
    if (strstr(said, "current is none")) {
        if (place == arguments->count) return false;
        arguments->entries[place] = arguments->entries[--arguments->count];
        return true;
    }
    const char *current = strstr(said, "but current is ");
    const char *quote = current ? strchr(current, '\'') : NULL;
    if (!quote || sscanf(quote, "'%255[^']'", value) != 1) return false;
    if (arguments->text_count + 2 > 16 || place == 16) return false;
    bool is_number = strspn(value, "0123456789") == strlen(value);
    char *key_copy = arguments->texts[arguments->text_count++], *value_copy = arguments->texts[arguments->text_count++];
    snprintf(key_copy, sizeof *arguments->texts, "%s", key);
    snprintf(value_copy, sizeof *arguments->texts, "%s", value);
    if (strstr(current, "of type 'bool'"))
        arguments->entries[place] = flag_argument(key_copy, strcmp(value, "true") == 0);
    else
        arguments->entries[place] =
            is_number ? number_argument(key_copy, strtoll(value, NULL, 10)) : text_argument(key_copy, value_copy);
    if (place == arguments->count) arguments->count++;
    return true;
}

static bool declare_stream(struct connection *connection, const char *name, char *note, size_t size) {
    const struct settings *settings = connection->settings;
    char said[512], age[32], text[700] = "";
    int code = 0;
    /* Segments are deleted whole, and an age is looked at when one is begun: RabbitMQ's own 500 MB are too coarse. */
    int64_t segment = settings->retention_byte_count > 0 && settings->retention_byte_count / 4 < SEGMENT_BYTES_MAX
        ? settings->retention_byte_count / 4 : SEGMENT_BYTES_MAX;
    struct arguments arguments = {.entries = {text_argument("x-queue-type", "stream"),
        number_argument("x-stream-max-segment-size-bytes", segment > SEGMENT_BYTES_MIN ? segment : SEGMENT_BYTES_MIN)}, .count = 2};
    if (settings->retention > 0) {
        snprintf(age, sizeof age, "%" PRId64 "s", (settings->retention + 999) / 1000);
        arguments.entries[arguments.count++] = text_argument("x-max-age", age);
    }
    if (settings->retention_byte_count > 0)
        arguments.entries[arguments.count++] = number_argument("x-max-length-bytes", settings->retention_byte_count);
    /* Where a queue exists with other arguments, they are adopted one after the other, as the server names them: so it
     * shows whether it is a stream at all, for which there is no question. */
    for (int attempt = 0; attempt < 8; attempt++) {
        enum outcome declared =
            declare_queue(connection, name, false, (amqp_table_t){arguments.count, arguments.entries}, said, sizeof said, &code);
        if (declared == LOST) return false;
        if (declared == DECLARED) {
            if (*text) add_note(note, size, text);
            return true;
        }
        if (!*text) snprintf(text, sizeof text, "queue \"%s\" is used as it is: %s", name, said);
        bool is_stream = true;
        if (code == AMQP_PRECONDITION_FAILED && adopt_argument(&arguments, said, &is_stream)) continue;
        if (is_stream) break;
        return connection_fail(connection, "queue \"%s\" exists at %s, and is no stream: it must be deleted, or another prefix chosen",
            name, connection->server->name);
    }
    return use_existing(connection, name, code, said);
}

/* Where messages come from that others than wsd publish. Without it the streams are good nevertheless. */
static bool declare_exchange(struct connection *connection, char *note, size_t size) {
    const struct settings *settings = connection->settings;
    amqp_bytes_t exchange = amqp_cstring_bytes(settings->prefix);
    char said[512], text[700];
    int code = 0;
    amqp_exchange_declare(
        connection->amqp, CONTROL_CHANNEL, exchange, amqp_cstring_bytes("topic"), false, true, false, false, amqp_empty_table);
    enum outcome declared = outcome(connection, "the exchange", said, sizeof said, &code);
    if (declared == DECLARED || (declared == REFUSED && code == AMQP_ACCESS_REFUSED)) {
        amqp_queue_bind(connection->amqp, CONTROL_CHANNEL, amqp_cstring_bytes(stream_name(settings, 0).text), exchange,
            amqp_cstring_bytes("#"), amqp_empty_table);
        declared = outcome(connection, "the binding", said, sizeof said, &code);
    }
    if (declared == LOST) return false;
    if (declared == REFUSED) {
        snprintf(text, sizeof text, "exchange \"%s\" can't be used: %s", settings->prefix, said);
        add_note(note, size, text);
    }
    return true;
}

bool topology_declare(struct connection *connection, uint32_t *count, char *note, size_t note_size) {
    const struct settings *settings = connection->settings;
    *note = 0;
    if (!check_version(connection)) return false;
    for (uint32_t i = 0; i < settings->partition_count; i++)
        if (!declare_stream(connection, stream_name(settings, i).text, note, note_size)) return false;
    if (!declare_exchange(connection, note, note_size)) return false;
    if (!count) return true;
    /* Another node may have made more. */
    uint32_t found = settings->partition_count;
    for (; found < PARTITION_LIMIT; found++) {
        char said[512];
        int code = 0;
        enum outcome exists = declare_queue(
            connection, stream_name(settings, found).text, true, amqp_empty_table, said, sizeof said, &code);
        if (exists == LOST) return false;
        if (exists == REFUSED) break;
    }
    *count = found;
    return true;
}

/* Whether a queue that exists is a stream, as far as the server says. It is declared as something that there is not, so
 * that nothing is made, and the server names what the queue is, after arguments that are adopted until it does. False if
 * the connection is lost. */
static bool ask_stream(struct connection *connection, const char *name, bool *is_stream) {
    char said[512];
    int code = 0;
    struct arguments arguments = {.entries = {text_argument("x-queue-type", "none")}, .count = 1};
    *is_stream = connection->may_read_stream = false;
    for (int attempt = 0; attempt < 8; attempt++) {
        bool ignored;
        enum outcome declared =
            declare_queue(connection, name, false, (amqp_table_t){arguments.count, arguments.entries}, said, sizeof said, &code);
        if (declared != REFUSED) return declared != LOST;
        const char *current = strstr(said, "but current is ");
        connection->may_read_stream = code == AMQP_ACCESS_REFUSED;
        *is_stream = strstr(said, "inequivalent arg 'x-queue-type'") && current && strstr(current, "'stream'");
        if (code != AMQP_PRECONDITION_FAILED || !adopt_argument(&arguments, said, &ignored)) return true;
    }
    return true;
}

bool topology_declare_source(struct connection *connection, char *note, size_t note_size) {
    const struct settings *settings = connection->settings;
    const char *server = connection->server->name;
    char said[512], ignored[512];
    int code = 0, passive_code = 0;
    *note = 0;
    amqp_table_entry_t single = flag_argument("x-single-active-consumer", true);
    /* A queue that exists is taken as it is, so that its owner decides on its arguments. */
    enum outcome exists =
        declare_queue(connection, settings->queue, true, amqp_empty_table, ignored, sizeof ignored, &passive_code);
    if (exists == LOST) return false;
    if (exists == REFUSED && passive_code != AMQP_NOT_FOUND)
        return connection_fail(connection, "%s refused queue \"%s\": %s", server, settings->queue, ignored);
    if (exists == REFUSED) {
        enum outcome declared =
            declare_queue(connection, settings->queue, false, (amqp_table_t){1, &single}, said, sizeof said, &code);
        if (declared == LOST) return false;
        if (declared == REFUSED)
            return connection_fail(
                connection, "queue \"%s\" does not exist in vhost \"%s\" at %s, and user \"%s\" may not create it: %s",
                settings->queue, settings->vhost, server, settings->user, said);
    } else {
        bool is_stream;
        if (!ask_stream(connection, settings->queue, &is_stream)) return false;
        if (is_stream)
            return connection_fail(connection, "queue \"%s\" at %s is a stream, and keeps no position for who reads it",
                settings->queue, server);
    }
    if (!settings->exchange) return true;
    amqp_queue_bind(connection->amqp, CONTROL_CHANNEL, amqp_cstring_bytes(settings->queue),
        amqp_cstring_bytes(settings->exchange), amqp_cstring_bytes(settings->binding), amqp_empty_table);
    enum outcome bound = outcome(connection, "the binding", said, sizeof said, &code);
    if (bound == REFUSED && exists == DECLARED && code == AMQP_ACCESS_REFUSED) {
        snprintf(note, note_size, "the binding of queue \"%s\" can't be made, and is taken to exist: %s", settings->queue, said);
        return true;
    }
    if (bound == REFUSED)
        return connection_fail(connection, "%s can't bind queue \"%s\" to exchange \"%s\": %s", server, settings->queue,
            settings->exchange, said);
    return bound == DECLARED;
}
