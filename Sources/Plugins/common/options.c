#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool plugin_fail(const struct plugin_options *options, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options->error, options->error_size, format, arguments);
    va_end(arguments);
    return false;
}

const char *plugin_text(const struct plugin_options *options, const char *key) {
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->options[i].key, key) == 0) {
            const char *value = options->options[i].value;
            return value && *value ? value : NULL;
        }
    return NULL;
}

const char *plugin_required(const struct plugin_options *options, const char *key) {
    const char *value = plugin_text(options, key);
    if (!value) plugin_fail(options, "%s is missing", key);
    return value;
}

bool plugin_flag(const struct plugin_options *options, const char *key, bool otherwise, bool *value) {
    const char *text = plugin_text(options, key);
    *value = text ? strcmp(text, "true") == 0 : otherwise;
    if (!text || *value || strcmp(text, "false") == 0) return true;
    return plugin_fail(options, "%s is \"%s\", which is neither true nor false", key, text);
}

bool plugin_number(
    const struct plugin_options *options, const char *key, int64_t low, int64_t high, int64_t otherwise, int64_t *value) {
    const char *text = plugin_text(options, key);
    *value = otherwise;
    if (!text) return true;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end || number < low || number > high)
        return plugin_fail(
            options, "%s is \"%s\", which is no whole number from %" PRId64 " to %" PRId64, key, text, low, high);
    *value = number;
    return true;
}
