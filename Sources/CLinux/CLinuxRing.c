#define _GNU_SOURCE
#include "CLinuxRing.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The last two came with Linux 6.0 and 6.1 (Debian bookworm's). With nothing left to do later they save little; they
// make sure that only our thread, and only within our calls, ever works for the ring.
static const uint32_t setup_flags =
    IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
static const uint32_t needed_features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;

static int enter(const struct clinux_ring *ring, uint32_t submit_count, uint32_t completion_count) {
    return (int)syscall(
        SYS_io_uring_enter, ring->descriptor, submit_count, completion_count, IORING_ENTER_GETEVENTS, NULL, (size_t)0);
}

/// One byte through a socket pair, and it has to be done when the call returns.
static int try_out(struct clinux_ring *ring) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
    clinux_ring_queue_send(ring, pair[0], "", 1, 1);
    clinux_ring_submit(ring);
    bool is_refused = ring->refused_count > 0;
    uint64_t user_data = 0;
    int32_t result = 0;
    bool is_done = clinux_ring_next(ring, &user_data, &result) && user_data == 1 && result == 1;
    close(pair[0]);
    close(pair[1]);
    return is_done && !is_refused ? 0 : EOPNOTSUPP;
}

int clinux_ring_open(struct clinux_ring *ring, uint32_t entry_count) {
    struct io_uring_params parameters = {.flags = setup_flags, .cq_entries = entry_count * 2};
    memset(ring, 0, sizeof *ring);
    ring->submissions = MAP_FAILED;
    ring->memory = MAP_FAILED;
    ring->descriptor = (int)syscall(SYS_io_uring_setup, entry_count, &parameters);
    if (ring->descriptor < 0) return errno;
    int error = EOPNOTSUPP;
    if ((parameters.features & needed_features) != needed_features) goto failed;
    if (parameters.sq_entries != entry_count || parameters.cq_entries != entry_count * 2) goto failed;

    size_t submissions_end = parameters.sq_off.array + entry_count * sizeof(uint32_t);
    size_t completions_end = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    ring->entry_count = entry_count;
    ring->memory_size = submissions_end > completions_end ? submissions_end : completions_end;
    int protection = PROT_READ | PROT_WRITE;
    int flags = MAP_SHARED | MAP_POPULATE;
    ring->memory = mmap(0, ring->memory_size, protection, flags, ring->descriptor, IORING_OFF_SQ_RING);
    ring->submissions = mmap(
        0, entry_count * sizeof *ring->submissions, protection, flags, ring->descriptor, IORING_OFF_SQES);
    error = errno;
    if (ring->memory == MAP_FAILED || ring->submissions == MAP_FAILED) goto failed;

    char *base = ring->memory;
    ring->submission_head = (uint32_t *)(base + parameters.sq_off.head);
    ring->submission_tail = (uint32_t *)(base + parameters.sq_off.tail);
    ring->completion_head = (uint32_t *)(base + parameters.cq_off.head);
    ring->completion_tail = (uint32_t *)(base + parameters.cq_off.tail);
    ring->completions = (struct io_uring_cqe *)(base + parameters.cq_off.cqes);
    // Entries are used in the order of their slots, for good.
    uint32_t *order = (uint32_t *)(base + parameters.sq_off.array);
    for (uint32_t index = 0; index < entry_count; index++) order[index] = index;

    error = try_out(ring);
    if (error == 0) return 0;
failed:
    clinux_ring_close(ring);
    return error;
}

void clinux_ring_close(struct clinux_ring *ring) {
    if (ring->submissions != MAP_FAILED) munmap(ring->submissions, ring->entry_count * sizeof *ring->submissions);
    if (ring->memory != MAP_FAILED) munmap(ring->memory, ring->memory_size);
    close(ring->descriptor);
}

static uint32_t completed_count(const struct clinux_ring *ring) {
    return __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE) - *ring->completion_head;
}

/// Takes back what the kernel has not taken, which it doesn't mind: it looks at the tail only while it is entered. The
/// entry's length becomes its result.
static void send_refused(struct clinux_ring *ring, uint32_t taken) {
    ring->refused_count = ring->queued_tail - taken;
    for (uint32_t position = taken; position != ring->queued_tail; position++) {
        struct io_uring_sqe *entry = &ring->submissions[position & (ring->entry_count - 1)];
        ssize_t count = send(entry->fd, (const void *)(uintptr_t)entry->addr, entry->len, (int)entry->msg_flags);
        entry->len = (uint32_t)(count < 0 ? -errno : (int32_t)count);
    }
    ring->queued_tail = taken;
    __atomic_store_n(ring->submission_tail, taken, __ATOMIC_RELEASE);
}

void clinux_ring_submit(struct clinux_ring *ring) {
    uint32_t first = *ring->submission_tail;
    uint32_t end = ring->queued_tail;
    // Earlier completions have been taken and there is room for two per entry, so none of these can overflow.
    __atomic_store_n(ring->submission_tail, end, __ATOMIC_RELEASE);
    uint32_t taken = first;
    while (taken != end) {
        int result = enter(ring, end - taken, end - first);
        // Nothing taken: no memory for requests (EAGAIN), a seccomp filter that came late (EPERM), another thread's
        // ring (EEXIST). Not to be retried: the sends go without the ring.
        if (result == 0 || (result < 0 && errno != EINTR)) break;
        taken = __atomic_load_n(ring->submission_head, __ATOMIC_ACQUIRE);
    }
    // None is missing where the kernel does at once what must not wait, as all versions do. The bytes are only lent:
    // rather than return while it may read them, wait; and if that cannot be, end.
    while (completed_count(ring) < taken - first) {
        if (enter(ring, 0, taken - first) < 0 && errno != EINTR) abort();
    }
    if (taken != end) send_refused(ring, taken);
}
