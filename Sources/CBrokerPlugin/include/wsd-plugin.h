/*
 * The interface between wsd and its plugins for brokers whose client library is in C.
 *
 * A plugin is a shared object in /usr/lib/wsd that exports one object, `wsd_plugin`. It knows how to append records to
 * the logs of a broker and to read them; what the records mean is wsd's business. wsd calls all functions that take the
 * same handle from one thread. Only `open`, `close`, `source_open` and `source_close` may take time; none of the others
 * waits for the network. A plugin writes nothing to standard output or error, and ends no process.
 *
 * A change that an older plugin or an older wsd would misunderstand raises WSD_PLUGIN_ABI, and with it the name of the
 * virtual package wsd-plugin-abi-N.
 */
#ifndef WSD_PLUGIN_H
#define WSD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define WSD_PLUGIN_ABI 1

/* A setting. Both are UTF-8 and end with a NUL; they live as long as the call. */
struct wsd_option {
    const char *key;
    const char *value;
};

/* A header, or property, of a record. */
struct wsd_header {
    const char *name;
    const void *value;
    size_t value_count;
};

enum wsd_event_kind {
    /* The broker can be used. `partition` is the number of partitions. It comes after each connection that was made
     * anew, and when the number has grown. */
    WSD_EVENT_UP = 1,
    /* The broker can't be used: `text` is the reason. Comes again when the reason changes. The plugin goes on trying. */
    WSD_EVENT_DOWN = 2,
    /* The broker has the record that was appended with `token`. */
    WSD_EVENT_APPENDED = 3,
    /* The broker has not, or did not say that it has, the record that was appended with `token`: `text` is the reason,
     * and WSD_UNCERTAIN and WSD_FINAL may be set. */
    WSD_EVENT_FAILED = 4,
    /* A record: `partition`, `offset`, `timestamp`, `key`, `value`, `headers`. */
    WSD_EVENT_RECORD = 5,
    /* Everything has been given that was in the partition when its reading began: the records before `offset`. */
    WSD_EVENT_CAUGHT_UP = 6,
    /* Records of the partition that were to be read are gone, as the broker keeps them no longer. Reading goes on at
     * `offset`; that of a source at the first record that there is, and `text` is the reason. What a source gave out of the
     * partition before is then void, and the offsets may be those of other records. */
    WSD_EVENT_LOST = 7,
    /* The partition ends, with `offset`, before a record that has been read: data is lost, or it is another log.
     * Nothing more of it is read until `read` is called. */
    WSD_EVENT_REPLACED = 8,
    /* Sources: this reader gets records of `partition` from now on, and no longer. `text` is who reads instead, if that is
     * known. Only this takes a partition from it: WSD_EVENT_DOWN does not. */
    WSD_EVENT_GRANTED = 9,
    WSD_EVENT_REVOKED = 10,
};

enum wsd_event_flags {
    /* WSD_EVENT_FAILED: the broker may have the record nevertheless. */
    WSD_UNCERTAIN = 1,
    /* WSD_EVENT_FAILED: it would not take it at another time either, for instance as it is too large. */
    WSD_FINAL = 2,
    /* WSD_EVENT_FAILED with WSD_FINAL: the record is the reason, by its size, and nothing that may be put right.
     * WSD_EVENT_RECORD: the value is larger than what the option "max_record" allows, and is not given; `offset2` is
     * its size in bytes. Of a source it may be the whole record that is too large: then nothing of it is given. */
    WSD_TOO_LARGE = 4,
};

struct wsd_event {
    uint32_t kind;
    uint32_t flags;
    uint32_t partition;
    /* The number of headers. */
    uint32_t header_count;
    uint64_t offset;
    uint64_t offset2;
    uint64_t token;
    /* In milliseconds since 1970; -1 if the broker does not say. */
    int64_t timestamp;
    /* NULL if there is none. */
    const void *key;
    size_t key_count;
    const void *value;
    size_t value_count;
    const struct wsd_header *headers;
    /* NULL if there is none. */
    const char *text;
};

enum wsd_from {
    /* The record with this offset. */
    WSD_FROM_OFFSET = 0,
    /* The first record that is not older than this time, in milliseconds since 1970. */
    WSD_FROM_TIME = 1,
    /* What is appended from now on. */
    WSD_FROM_END = 2,
};

/* The partitions of a broker that records are appended to and read from; and a source of records. */
struct wsd_log;
struct wsd_source;

struct wsd_plugin {
    /* WSD_PLUGIN_ABI. The first member in every version. */
    uint32_t abi;
    /* The value of broker.type. */
    const char *name;
    /* The client library and its version, such as "librdkafka 2.0.2". */
    const char *(*library)(void);

    /* Begins to connect. NULL if an option can't be used: `error` then says which and why, and ends with a NUL.
     *
     * `wake` is a descriptor that does not block: the plugin writes a byte to it when there are events to be polled
     * after `poll` has returned none. It stays wsd's. */
    struct wsd_log *(*open)(
        const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);

    /* Hands over a record, of which the plugin makes a copy. Records of one partition are appended in the order of the
     * calls. Each is answered by WSD_EVENT_APPENDED or WSD_EVENT_FAILED. Returns 0; -1 if the plugin has no room for it
     * at present, or is not connected. */
    int (*append)(
        struct wsd_log *log, uint32_t partition, const void *key, size_t key_count, const void *value,
        size_t value_count, uint64_t token);

    /* Begins to read a partition, or begins anew elsewhere: `poll` gives out nothing more of an earlier reading. After a
     * lost connection the plugin goes on by itself where it was. */
    void (*read)(struct wsd_log *log, uint32_t partition, enum wsd_from from, int64_t place);

    /* Takes up to `limit` events, and returns their number. What they point to is valid until the next call of `poll`. */
    size_t (*poll)(struct wsd_log *log, struct wsd_event *events, size_t limit);

    /* Disconnects, after at most so many milliseconds in which what was appended is sent. */
    void (*close)(struct wsd_log *log, uint32_t milliseconds);

    /* The same for a source that is read by one of several readers at a time, or in parts, and whose position the
     * broker keeps. */
    struct wsd_source *(*source_open)(
        const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);
    /* Gives out no more records than a bound on what is not settled allows; those that it has kept back come after the
     * settling, for which it does not wake. It is called every few seconds, if not for an event. */
    size_t (*source_poll)(struct wsd_source *source, struct wsd_event *events, size_t limit);
    /* Settles a record that was given out: it is not given out again. With a `fault` it goes where the source keeps
     * what nobody could use, if there is such a place. */
    void (*source_settle)(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault);
    /* Gives all records out again that have not been settled. */
    void (*source_rewind)(struct wsd_source *source);
    /* Records that nobody has read yet; -1 if that is not known. */
    int64_t (*source_lag)(struct wsd_source *source);
    void (*source_close)(struct wsd_source *source, uint32_t milliseconds);
};

/* What a plugin exports. */
extern const struct wsd_plugin wsd_plugin;

#endif
