/*
 * A message as it comes from a server, in several frames.
 */
#ifndef RABBITMQ_DELIVERY_H
#define RABBITMQ_DELIVERY_H

#include "connection.h"
#include "wsd-plugin.h"

/* What wsd's own records have: the channel's name, and the time in milliseconds since 1970, which counts for nothing in
 * what comes by the exchange. */
#define KEY_HEADER "x-key"
#define TIME_HEADER "x-time"
/* What a record has that is no record, but shows its reader where the stream ends. */
#define MARKER_HEADER "x-marker"

/* The headers that are given out at most; a source's message with more is too large, as is one that has so many bytes on
 * top of the limit of its body. */
#define HEADER_LIMIT 512
#define SPARE_BYTES 65536

struct delivery {
    /* Begin: `consumer` and `number` are AMQP's consumer and delivery tags. */
    char consumer[32];
    uint64_t number;
    /* What was published to that exchange has its routing key as key; the rest the header's, if there is one. NULL for
     * what is not a log's: there the routing key is the key, and no header is wsd's. */
    const char *exchange;
    char routing_key[256];
    size_t routing_key_count;
    bool is_keyed_by_route;

    /* Properties. An offset of -1 is none, as is a timestamp. */
    int64_t offset, timestamp;
    /* Whether what is not a log's has an offset nevertheless: its queue is a stream, or somebody has put it there. */
    bool has_foreign_offset;
    const void *key;
    size_t key_count;
    char marker[64];
    struct wsd_header *headers;
    uint32_t header_count;
    bool has_more_headers;

    /* The body: `body` is NULL if it is larger than the limit, or all of the message is; `excess` is the size then. */
    uint64_t body_size, body_count, excess;
    char *body;

    /* Memory that is used again: the body's, and that of the headers and of what the properties point to. */
    char *body_memory, *property_memory;
    size_t body_room, property_room;
    enum { AWAITS_BEGIN, AWAITS_PROPERTIES, AWAITS_BODY } state;
};

/* delivery_begin takes the method that begins a message. */
void delivery_begin(struct delivery *delivery, const amqp_basic_deliver_t *method);

/* delivery_take takes a frame behind it. 1 if the message is complete, 0 if it is not, -1 if there is no memory or the
 * frame is not one that may come. A body of more than `limit` bytes is counted only, as is that of a message that is too
 * large. */
int delivery_take(struct delivery *delivery, const amqp_frame_t *frame, uint64_t limit);

/* delivery_event makes an event of a message that is complete. */
struct wsd_event delivery_event(const struct delivery *delivery, uint32_t partition, uint64_t offset);

/* delivery_print is a number by which a message is known again. */
uint64_t delivery_print(const struct delivery *delivery);

void delivery_free(struct delivery *delivery);

#endif
