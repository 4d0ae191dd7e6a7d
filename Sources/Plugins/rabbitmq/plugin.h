/*
 * The functions of the plugin: see wsd-plugin.h.
 */
#ifndef RABBITMQ_PLUGIN_H
#define RABBITMQ_PLUGIN_H

#include "wsd-plugin.h"

struct wsd_log *log_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);
int log_append(
    struct wsd_log *log, uint32_t partition, const void *key, size_t key_count, const void *value, size_t value_count,
    uint64_t token);
void log_read(struct wsd_log *log, uint32_t partition, enum wsd_from from, int64_t place);
size_t log_poll(struct wsd_log *log, struct wsd_event *events, size_t limit);
void log_close(struct wsd_log *log, uint32_t milliseconds);

struct wsd_source *source_open(
    const struct wsd_option *options, size_t option_count, int wake, char *error, size_t error_size);
size_t source_poll(struct wsd_source *source, struct wsd_event *events, size_t limit);
void source_settle(struct wsd_source *source, uint32_t partition, uint64_t offset, const char *fault);
void source_rewind(struct wsd_source *source);
int64_t source_lag(struct wsd_source *source);
void source_close(struct wsd_source *source, uint32_t milliseconds);

#endif
