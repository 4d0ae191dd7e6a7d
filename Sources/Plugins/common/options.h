/*
 * The options that a plugin is opened with, and the errors that name them.
 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsd-plugin.h"

/* Options, and where an error about them is told. */
struct plugin_options {
    const struct wsd_option *options;
    size_t count;
    char *error;
    size_t error_size;
};

/* plugin_fail tells an error, formatted as by printf(3), and is false. */
bool plugin_fail(const struct plugin_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* plugin_text is the value of an option; NULL if it was not given or is empty. */
const char *plugin_text(const struct plugin_options *options, const char *key);

/* plugin_required is the value of an option; NULL, with an error told, if it was not given or is empty. */
const char *plugin_required(const struct plugin_options *options, const char *key);

/* plugin_flag reads "true" or "false", `otherwise` where the option was not given. False if it is neither. */
bool plugin_flag(const struct plugin_options *options, const char *key, bool otherwise, bool *value);

/* plugin_number reads a decimal number from `low` to `high`, `otherwise` where the option was not given. False if it is
 * none, with an error told. */
bool plugin_number(
    const struct plugin_options *options, const char *key, int64_t low, int64_t high, int64_t otherwise, int64_t *value);

#endif
