// Shims for what Swift cannot import by itself: the packed epoll_event, variadic calls, function-like macros, CPU sets.
// One call each, no logic of our own. Those of the data plane are static inline. What needs _GNU_SOURCE is in CLinux.c:
// defined here it would give the C library's types another shape than Swift's own import of them has.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "CLinuxRing.h"

/// epoll_ctl(2) with the event's fields as plain arguments.
static inline int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll, operation, fd, &event);
}

/// The size of one struct epoll_event, for the caller's buffer.
static inline size_t clinux_epoll_event_size(void) { return sizeof(struct epoll_event); }

/// epoll_wait(2) into a raw buffer of `count` events.
static inline int clinux_epoll_wait(int epoll, void *buffer, int count, int timeout_milliseconds) {
    return epoll_wait(epoll, (struct epoll_event *)buffer, count, timeout_milliseconds);
}

static inline uint32_t clinux_epoll_events(const void *buffer, int index) {
    return ((const struct epoll_event *)buffer)[index].events;
}

static inline uint64_t clinux_epoll_data(const void *buffer, int index) {
    return ((const struct epoll_event *)buffer)[index].data.u64;
}

/// CLOCK_MONOTONIC in nanoseconds.
static inline uint64_t clinux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// CLOCK_REALTIME in milliseconds since 1970.
static inline int64_t clinux_realtime_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// The number of CPUs that this process may run on (sched_getaffinity(2)); at least 1.
int clinux_usable_cpu_count(void);

/// send(2) that never blocks and never raises SIGPIPE.
static inline ssize_t clinux_send(int fd, const void *bytes, size_t count) {
    return send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// sendmsg(2) of several pieces that never blocks and never raises SIGPIPE.
static inline ssize_t clinux_send_vector(int fd, const struct iovec *pieces, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Makes close(2) send a reset instead of lingering with unsent data.
int clinux_reset_on_close(int fd);

/// Whether other processes of the same user may look into this one, and core dumps are made of it (prctl(2), PR_SET_DUMPABLE).
int clinux_set_dumpable(int is_dumpable);

/// The present value of that.
int clinux_dumpable(void);

/// accept4(2), non-blocking and closed on exec; fills in the peer's address.
int clinux_accept(int listener, struct sockaddr_storage *peer);

/// A stream socket, non-blocking and closed on exec.
int clinux_stream_socket(int family);

int clinux_bind(int fd, const struct sockaddr_storage *address, socklen_t length);

int clinux_local_address(int fd, struct sockaddr_storage *address);

/// A descriptor of nothing, to be closed when descriptors run out.
int clinux_open_null(void);

/// openat(2) of a directory with O_PATH, for going on from it.
int clinux_open_directory(int directory, const char *name, int follows_link);

/// An eventfd(2), non-blocking and closed on exec.
int clinux_event_descriptor(void);

/// Private memory that takes no pages until it is touched; null if there is no address space.
void *clinux_reserve(size_t byte_count);

/// malloc_trim(3): gives the heap's free pages back to the system.
void clinux_trim_heap(void);

/// From this size on, a block of the heap has pages of its own, which go back to the system as soon as it is freed (mallopt(3),
/// M_MMAP_THRESHOLD). Without, that size depends on what was freed before.
void clinux_map_blocks(size_t byte_count);

/// A number of the socket that no other one has until the machine is restarted, whatever process has it (SO_COOKIE,
/// socket(7)); 0 if it can't be had.
uint64_t clinux_socket_cookie(int fd);

void clinux_set_nonblocking(int fd);

int clinux_set_option(int fd, int level, int name, int value);

/// Sets the calling thread's name, which `top -H` and /proc show; 15 bytes at most.
void clinux_name_this_thread(const char *name);

/// Blocks every signal in the calling thread but SIGPROF and those of a fault of its own, so that only the control plane
/// sees them.
void clinux_block_signals(void);

/// Sends a text to `$NOTIFY_SOCKET` as sd_notify(3) does, but without waiting if the reader's queue is full; with it a
/// descriptor, unless that is negative. Returns 0, or an errno.
int clinux_notify_now(const char *text, int descriptor);

/// Sends a message with up to `CLINUX_DESCRIPTORS_AT_ONCE` descriptors (SCM_RIGHTS, unix(7)) without waiting. Returns 0,
/// or an errno.
int clinux_send_descriptors(int socket, const int *descriptors, size_t count, const void *bytes, size_t byte_count);

/// Receives such a message without waiting, its descriptors closed on exec. Returns its size in bytes, 0 at the end, or
/// a negative errno; `count` becomes the number of descriptors, of which there may be more or fewer than were sent.
ssize_t clinux_receive_descriptors(int socket, int *descriptors, size_t *count, void *bytes, size_t byte_count);

/// The maximum number of descriptors in a message (SCM_MAX_FD, unix(7)).
#define CLINUX_DESCRIPTORS_AT_ONCE 253

/// A file in memory that can be sealed (memfd_create(2)), closed on exec; negative if there is none, with `errno`.
int clinux_memory_file(const char *name);

/// Forbids all changes of a file in memory (F_ADD_SEALS, fcntl(2)). Returns 0, or an errno.
int clinux_seal(int fd);

/// The number of files that the process has open, which Linux 6.2 and later reports; 0 on older kernels.
int64_t clinux_open_descriptor_count(void);

/// The soft limit of open files, raised to the hard one if that is permitted.
uint64_t clinux_raise_descriptor_limit(void);

#endif
