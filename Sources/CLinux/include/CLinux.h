// Static-inline shims for what Swift cannot import by itself: the packed epoll_event, variadic
// calls, function-like macros and CPU sets. One call each, no logic of our own.
#ifndef CLINUX_H
#define CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

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

/// How many CPUs this process may run on (sched_getaffinity(2)); at least 1.
static inline int clinux_usable_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

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
static inline int clinux_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/// accept4(2), non-blocking and closed on exec; fills in the peer's address.
static inline int clinux_accept(int listener, struct sockaddr_storage *peer) {
    socklen_t length = sizeof *peer;
    return accept4(listener, (struct sockaddr *)peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/// A stream socket, non-blocking and closed on exec.
static inline int clinux_stream_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int clinux_bind(int fd, const struct sockaddr_storage *address, socklen_t length) {
    return bind(fd, (const struct sockaddr *)address, length);
}

static inline int clinux_local_address(int fd, struct sockaddr_storage *address) {
    socklen_t length = sizeof *address;
    return getsockname(fd, (struct sockaddr *)address, &length);
}

/// A descriptor of nothing, to be given up when descriptors run out.
static inline int clinux_open_null(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/// An eventfd(2), non-blocking and closed on exec.
static inline int clinux_event_descriptor(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Private memory that takes no pages until it is touched; null where there is no address space.
static inline void *clinux_reserve(size_t byte_count) {
    void *address = mmap(0, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? 0 : address;
}

static inline void clinux_set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static inline int clinux_set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

/// The calling thread's name as `top -H` and /proc show it; 15 bytes at most.
static inline void clinux_name_this_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

/// Blocks every signal in the calling thread, so that only the control plane sees them.
static inline void clinux_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
}

/// The soft limit of open files, raised to the hard one where that is allowed.
static inline uint64_t clinux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

#endif
