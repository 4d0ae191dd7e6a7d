/*
 * The events of a plugin that wait to be polled, from any of its threads, and the descriptor that wakes wsd for them.
 */
#ifndef PLUGIN_EVENTS_H
#define PLUGIN_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "wsd-plugin.h"

struct plugin_events;

/* plugin_events_new makes a queue that wakes by writing to `wake`; NULL if there is no memory. */
struct plugin_events *plugin_events_new(int wake);

void plugin_events_free(struct plugin_events *queue);

/* plugin_events_put adds a copy of an event, with all that it points to. False, and nothing is added, if there is no
 * memory. How much may wait is the caller's business: see plugin_events_size. */
bool plugin_events_put(struct plugin_events *queue, const struct wsd_event *event);

/* plugin_events_putf adds an event of one kind that has a text, which is formatted as by printf(3), and nothing else. */
bool plugin_events_putf(struct plugin_events *queue, enum wsd_event_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* plugin_events_take moves up to `limit` events out, in the order in which they were added. What they point to is valid
 * until the next call. After a call that found none, the next event that is added wakes. */
size_t plugin_events_take(struct plugin_events *queue, struct wsd_event *events, size_t limit);

/* plugin_events_take_within is the same, but leaves records in the queue once it has moved as many bytes of them; other
 * events overtake those that are left. */
size_t plugin_events_take_within(struct plugin_events *queue, struct wsd_event *events, size_t limit, size_t byte_limit);

/* plugin_event_size is the memory of an event with all that it points to, in bytes. */
size_t plugin_event_size(const struct wsd_event *event);

/* plugin_events_mute makes it wake nobody from now on, as the descriptor is no longer the plugin's to write to. */
void plugin_events_mute(struct plugin_events *queue);

/* plugin_events_size is the memory of the events that wait, in bytes. */
size_t plugin_events_size(struct plugin_events *queue);

/* plugin_wake writes a byte to a descriptor that does not block. A pipe that is full wakes anyway. */
void plugin_wake(int descriptor);

#endif
