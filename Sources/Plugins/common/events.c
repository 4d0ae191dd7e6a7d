#include "events.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An event and, behind it in the same block of memory, its headers and bytes. */
struct node {
    struct node *next;
    size_t size;
    struct wsd_event event;
};

struct plugin_events {
    pthread_mutex_t lock;
    struct node *first;
    struct node **end;
    size_t size;
    /* The last call of plugin_events_take found nothing: the next event wakes. */
    bool is_awaited;
    int wake;
    /* What the last call of plugin_events_take gave out. Only its thread touches it. */
    struct node *taken;
};

struct plugin_events *plugin_events_new(int wake) {
    struct plugin_events *queue = calloc(1, sizeof *queue);
    if (!queue) return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    queue->end = &queue->first;
    queue->is_awaited = true;
    queue->wake = wake;
    return queue;
}

static void free_nodes(struct node *node) {
    while (node) {
        struct node *next = node->next;
        free(node);
        node = next;
    }
}

void plugin_events_free(struct plugin_events *queue) {
    if (!queue) return;
    free_nodes(queue->first);
    free_nodes(queue->taken);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* Copies bytes to where `place` points, which it moves on behind them; NULL if there are none to copy. A NUL follows. */
static const void *put_bytes(char **place, const void *bytes, size_t count) {
    if (!bytes) return NULL;
    char *copy = *place;
    memcpy(copy, bytes, count);
    copy[count] = 0;
    *place += count + 1;
    return copy;
}

size_t plugin_event_size(const struct wsd_event *event) {
    size_t size = sizeof(struct node) + event->header_count * sizeof(struct wsd_header);
    for (uint32_t i = 0; i < event->header_count; i++)
        size += strlen(event->headers[i].name) + 1 + event->headers[i].value_count + 1;
    size += event->key_count + 1 + event->value_count + 1;
    return size + (event->text ? strlen(event->text) + 1 : 0);
}

static struct node *copy_of(const struct wsd_event *event) {
    size_t size = plugin_event_size(event);
    struct node *node = malloc(size);
    if (!node) return NULL;
    node->next = NULL;
    node->size = size;
    node->event = *event;
    struct wsd_header *headers = (struct wsd_header *)(node + 1);
    char *place = (char *)(headers + event->header_count);
    for (uint32_t i = 0; i < event->header_count; i++) {
        const struct wsd_header *header = &event->headers[i];
        headers[i].name = put_bytes(&place, header->name, strlen(header->name));
        headers[i].value = put_bytes(&place, header->value, header->value_count);
        headers[i].value_count = header->value_count;
    }
    node->event.headers = event->header_count ? headers : NULL;
    node->event.key = put_bytes(&place, event->key, event->key_count);
    node->event.value = put_bytes(&place, event->value, event->value_count);
    node->event.text = event->text ? put_bytes(&place, event->text, strlen(event->text)) : NULL;
    return node;
}

bool plugin_events_put(struct plugin_events *queue, const struct wsd_event *event) {
    struct node *node = copy_of(event);
    if (!node) return false;
    pthread_mutex_lock(&queue->lock);
    *queue->end = node;
    queue->end = &node->next;
    queue->size += node->size;
    /* Under the lock, so that nothing is written once it is muted. */
    if (queue->is_awaited && queue->wake >= 0) plugin_wake(queue->wake);
    queue->is_awaited = false;
    pthread_mutex_unlock(&queue->lock);
    return true;
}

bool plugin_events_putf(struct plugin_events *queue, enum wsd_event_kind kind, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return plugin_events_put(queue, &(struct wsd_event){.kind = kind, .timestamp = -1, .text = text});
}

size_t plugin_events_take(struct plugin_events *queue, struct wsd_event *events, size_t limit) {
    return plugin_events_take_within(queue, events, limit, SIZE_MAX);
}

size_t plugin_events_take_within(struct plugin_events *queue, struct wsd_event *events, size_t limit, size_t byte_limit) {
    free_nodes(queue->taken);
    queue->taken = NULL;
    struct node **end = &queue->taken, **place = &queue->first;
    size_t count = 0, size = 0;
    pthread_mutex_lock(&queue->lock);
    while (count < limit && *place) {
        struct node *node = *place;
        bool is_record = node->event.kind == WSD_EVENT_RECORD;
        if (is_record && size >= byte_limit) {
            place = &node->next;
            continue;
        }
        if (is_record) size += node->size;
        *place = node->next;
        if (!*place) queue->end = place;
        queue->size -= node->size;
        events[count++] = node->event;
        node->next = NULL;
        *end = node;
        end = &node->next;
    }
    queue->is_awaited = count == 0;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void plugin_events_mute(struct plugin_events *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->wake = -1;
    pthread_mutex_unlock(&queue->lock);
}

size_t plugin_events_size(struct plugin_events *queue) {
    pthread_mutex_lock(&queue->lock);
    size_t size = queue->size;
    pthread_mutex_unlock(&queue->lock);
    return size;
}

void plugin_wake(int descriptor) {
    if (write(descriptor, "", 1) < 0) return;
}
