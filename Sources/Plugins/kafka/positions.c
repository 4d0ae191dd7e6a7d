#include "positions.h"

#include <stdlib.h>
#include <string.h>

/* The first entry whose offset is not below this one. */
static size_t search(const struct positions *positions, int64_t offset) {
    size_t low = positions->first, high = positions->first + positions->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (positions->entries[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Makes room for one more entry: by moving them to the front where that frees half of the memory, else by more of it. */
static bool make_room(struct positions *positions) {
    if (positions->first + positions->count < positions->capacity) return true;
    if (positions->first > 0 && positions->first >= positions->count) {
        memmove(
            positions->entries, positions->entries + positions->first, positions->count * sizeof *positions->entries);
        positions->first = 0;
        return true;
    }
    size_t capacity = positions->capacity ? 2 * positions->capacity : 64;
    struct position *grown = reallocarray(positions->entries, capacity, sizeof *grown);
    if (!grown) return false;
    positions->entries = grown;
    positions->capacity = capacity;
    return true;
}

/* Drops what is settled up to the first that is not. True if there was something. */
static bool advance(struct positions *positions) {
    size_t before = positions->count;
    while (positions->count > 0 && positions->entries[positions->first].is_settled) {
        positions->first++;
        positions->count--;
    }
    if (positions->count == 0) positions->first = 0;
    return positions->count < before;
}

bool positions_give(struct positions *positions, int64_t offset, size_t size) {
    size_t end = positions->first + positions->count;
    size_t place = search(positions, offset);
    /* What was expected again before this offset is gone from the partition. */
    for (size_t i = positions->first; i < place; i++)
        if (!positions->entries[i].is_given) positions->entries[i].is_settled = true;
    if (place < end && positions->entries[place].offset == offset) {
        struct position *entry = &positions->entries[place];
        if (entry->is_given) return false;
        entry->is_given = true;
        if (entry->is_settled) return false;
        entry->size = size;
        positions->held += size;
        return true;
    }
    /* Settled, since a rewind went back to it. */
    if (offset < positions->next || !make_room(positions)) return false;
    positions->entries[positions->first + positions->count++] =
        (struct position){.offset = offset, .size = size, .is_given = true};
    positions->held += size;
    positions->next = offset + 1;
    return true;
}

void positions_pass(struct positions *positions, int64_t offset) {
    if (positions->count == 0) positions->next = offset;
}

bool positions_settle(struct positions *positions, int64_t offset) {
    size_t place = search(positions, offset);
    if (place >= positions->first + positions->count || positions->entries[place].offset != offset) return false;
    struct position *entry = &positions->entries[place];
    if (entry->is_given && !entry->is_settled) positions->held -= entry->size;
    entry->is_settled = true;
    return advance(positions);
}

int64_t positions_committable(const struct positions *positions) {
    return positions->count > 0 ? positions->entries[positions->first].offset : positions->next;
}

bool positions_rewind(struct positions *positions) {
    advance(positions);
    for (size_t i = positions->first; i < positions->first + positions->count; i++)
        positions->entries[i].is_given = false;
    positions->held = 0;
    return positions->count > 0;
}

void positions_clear(struct positions *positions) {
    free(positions->entries);
    *positions = (struct positions){0};
}
