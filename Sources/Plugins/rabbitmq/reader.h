/*
 * The thread that reads: it consumes streams, each on a channel of its own, and follows where each of them ends.
 */
#ifndef RABBITMQ_READER_H
#define RABBITMQ_READER_H

#include "log.h"
#include "wsd-plugin.h"

/* reader_start makes it, and its thread; NULL if that can't be. */
struct reader *reader_start(struct wsd_log *log);

/* reader_read begins to read a stream, or anew elsewhere. */
void reader_read(struct reader *reader, uint32_t partition, enum wsd_from from, int64_t place);

/* reader_sift drops events of readings that have been begun anew since; the number of those that are left. */
size_t reader_sift(struct reader *reader, struct wsd_event *events, size_t count);

/* reader_go_on is called after events have been taken: where too many waited, the reader goes on. */
void reader_go_on(struct reader *reader);

/* reader_stop ends the thread. It does not wait for the end. */
void reader_stop(struct reader *reader);

/* reader_break ends what the thread waits for. */
void reader_break(struct reader *reader);

/* reader_free frees it. Its thread has ended. */
void reader_free(struct reader *reader);

#endif
