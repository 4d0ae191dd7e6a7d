#include "plugin.h"

#include <amqp.h>
#include <stdio.h>

static const char *library(void) {
    static char text[64];
    snprintf(text, sizeof text, "librabbitmq %s", amqp_version());
    return text;
}

__attribute__((visibility("default"))) const struct wsd_plugin wsd_plugin = {
    .abi = WSD_PLUGIN_ABI,
    .name = "rabbitmq",
    .library = library,
    .open = log_open,
    .append = log_append,
    .read = log_read,
    .poll = log_poll,
    .close = log_close,
    .source_open = source_open,
    .source_poll = source_poll,
    .source_settle = source_settle,
    .source_rewind = source_rewind,
    .source_lag = source_lag,
    .source_close = source_close,
};
