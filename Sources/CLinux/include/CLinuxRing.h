// A ring of io_uring(7) that carries nothing but sends which are done within the call. What is done per send is
// static inline. One thread owns a ring: the one that opened it.
#ifndef CLINUX_RING_H
#define CLINUX_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/// The parts of the memory shared with the kernel. The kernel writes `submission_head` and `completion_tail`, we
/// write the other two; whoever reads what the other side wrote acquires, whoever publishes releases.
struct clinux_ring {
    int descriptor;
    /// Submission entries; there are twice as many completion entries. A power of two.
    uint32_t entry_count;
    struct io_uring_sqe *submissions;
    struct io_uring_cqe *completions;
    const uint32_t *submission_head;
    uint32_t *submission_tail;
    uint32_t *completion_head;
    const uint32_t *completion_tail;
    /// The tail with what is queued and not yet shown to the kernel.
    uint32_t queued_tail;
    /// Submissions that the kernel did not take, done with send(2) and not yet reported, which begin at `queued_tail`.
    uint32_t refused_count;
    void *memory;
    size_t memory_size;
};

/// Opens a ring on the calling thread and sends one byte through it, so that a ring that opens is a ring that works.
/// Needs Linux 6.1. Returns 0, or an errno: ENOSYS, EPERM or EACCES where io_uring is missing or forbidden (seccomp,
/// kernel.io_uring_disabled), EINVAL on an older kernel, EMFILE, ENFILE, ENOMEM, EOPNOTSUPP where the trial failed.
int clinux_ring_open(struct clinux_ring *ring, uint32_t entry_count);

void clinux_ring_close(struct clinux_ring *ring);

/// The number of sends that are queued and not yet shown to the kernel.
static inline uint32_t clinux_ring_queued_count(const struct clinux_ring *ring) {
    return ring->queued_tail - *ring->submission_tail;
}

/// Queues a send(2) that never blocks and never raises SIGPIPE. There must be room: fewer than `entry_count` queued.
static inline void clinux_ring_queue_send(
    struct clinux_ring *ring, int fd, const void *bytes, uint32_t count, uint64_t user_data) {
    struct io_uring_sqe *entry = &ring->submissions[ring->queued_tail & (ring->entry_count - 1)];
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_SEND;
    entry->fd = fd;
    entry->addr = (uint64_t)(uintptr_t)bytes;
    entry->len = count;
    // Also what makes it complete at once: io_uring neither polls for nor hands to a thread what must not wait.
    entry->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    entry->user_data = user_data;
    ring->queued_tail++;
}

/// Does what is queued: all of it is done when this returns. Every completion must be taken before more is queued. What
/// the kernel does not take from the ring goes by send(2).
void clinux_ring_submit(struct clinux_ring *ring);

/// Takes a completion: the send's `user_data`, and what send(2) would have returned or a negative errno. False where
/// there is none.
static inline bool clinux_ring_next(struct clinux_ring *ring, uint64_t *user_data, int32_t *result) {
    uint32_t head = *ring->completion_head;
    if (head != __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE)) {
        const struct io_uring_cqe *entry = &ring->completions[head & (ring->entry_count * 2 - 1)];
        *user_data = entry->user_data;
        *result = entry->res;
        __atomic_store_n(ring->completion_head, head + 1, __ATOMIC_RELEASE);
        return true;
    }
    if (ring->refused_count == 0) return false;
    const struct io_uring_sqe *refused =
        &ring->submissions[(ring->queued_tail + --ring->refused_count) & (ring->entry_count - 1)];
    *user_data = refused->user_data;
    *result = (int32_t)refused->len;
    return true;
}

#endif
