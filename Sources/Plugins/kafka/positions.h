/*
 * The records of a partition that were given out and are not settled, and the position behind what is.
 */
#ifndef WSD_KAFKA_POSITIONS_H
#define WSD_KAFKA_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position {
    int64_t offset;
    /* What it counts towards `held` while it is given out and not settled. */
    size_t size;
    bool is_settled;
    /* False from a rewind until it is given out again. */
    bool is_given;
};

/* All zero is an empty one. */
struct positions {
    /* By rising offsets, from the lowest one that is not settled. */
    struct position *entries;
    size_t first, count, capacity;
    /* The offset behind the highest one that was ever given out, or passed. */
    int64_t next;
    /* The size of all that is given out and not settled. */
    size_t held;
};

/* positions_give notes that a record of a size is given out. False if it must not be: it is settled already, or there is
 * no memory for it. */
bool positions_give(struct positions *positions, int64_t offset, size_t size);

/* positions_pass notes that there is nothing to give out before an offset, where all that was is settled. */
void positions_pass(struct positions *positions, int64_t offset);

/* positions_settle notes that a record is settled. True if the position moved. */
bool positions_settle(struct positions *positions, int64_t offset);

/* positions_committable is the lowest offset that is not settled, or else the one behind the highest that was given. */
int64_t positions_committable(const struct positions *positions);

/* positions_rewind expects all that is not settled again. False if there is nothing. */
bool positions_rewind(struct positions *positions);

void positions_clear(struct positions *positions);

#endif
