#include <stdio.h>

#include "kafka.h"

static const char *library(void) {
    static char name[64];
    snprintf(name, sizeof name, "librdkafka %s", rd_kafka_version_str());
    return name;
}

__attribute__((visibility("default"))) const struct wsd_plugin wsd_plugin = {
    .abi = WSD_PLUGIN_ABI,
    .name = "kafka",
    .library = library,
    .open = kafka_open,
    .append = kafka_append,
    .read = kafka_read,
    .poll = kafka_poll,
    .close = kafka_close,
    .source_open = kafka_source_open,
    .source_poll = kafka_source_poll,
    .source_settle = kafka_source_settle,
    .source_rewind = kafka_source_rewind,
    .source_lag = kafka_source_lag,
    .source_close = kafka_source_close,
};
