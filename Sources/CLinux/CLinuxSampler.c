#define _GNU_SOURCE
#include "CLinuxSampler.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct range {
    uint64_t start, end;
};

static struct {
    struct clinux_sample *samples;
    int64_t capacity;
    _Atomic int64_t taken;
    _Atomic int64_t finished;
    /// Memory that can be read and written: the stacks are in there. In order.
    struct range *writable;
    int writable_count;
    /// The program's own code.
    struct range code;
    timer_t *timers;
    int timer_count;
} sampler;

/// Whether the handler may touch `sampler`, and how many handlers do.
static atomic_int is_on;
static atomic_int inside;

static int find(uint64_t address, struct range *found) {
    int low = 0, high = sampler.writable_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (sampler.writable[middle].end <= address) low = middle + 1;
        else high = middle;
    }
    if (low == sampler.writable_count || sampler.writable[low].start > address) return 0;
    *found = sampler.writable[low];
    return 1;
}

static int is_own(uint64_t address) { return address >= sampler.code.start + 8 && address < sampler.code.end; }

/// Whether 16 bytes can be read: a mapping may have gone since they were listed. The kernel reads the first 8 of a page before
/// it finds that there is no such way to change the mask, or faults (sigprocmask(2)).
static int is_readable(uint64_t address, uint64_t *known) {
    for (uint64_t place = address;; place = address + 8) {
        uint64_t page = place & ~4095ULL;
        if (page != *known) {
            if (syscall(SYS_rt_sigprocmask, ~0, place & ~7ULL, 0, 8) == 0 || errno == EFAULT) return 0;
            *known = page;
        }
        if (place != address) return 1;
    }
}

/// Whether a call stands before an address, so that it can be one to return to.
static int follows_call(uint64_t address) {
#if defined(__x86_64__)
    const uint8_t *code = (const uint8_t *)address;
    return code[-5] == 0xE8 || (code[-2] == 0xFF && (code[-1] & 0x38) == 0x10) ||
           (code[-3] == 0xFF && (code[-2] & 0x38) == 0x10) || (code[-6] == 0xFF && (code[-5] & 0x38) == 0x10);
#else
    return 1;
#endif
}

/// Follows the frame pointers. The C library has none, so that its caller is looked for on the stack.
static void look(struct clinux_sample *sample, const ucontext_t *context) {
#if defined(__x86_64__)
    uint64_t pc = context->uc_mcontext.gregs[REG_RIP];
    uint64_t frame = context->uc_mcontext.gregs[REG_RBP];
    uint64_t stack = context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    uint64_t pc = context->uc_mcontext.pc;
    uint64_t frame = context->uc_mcontext.regs[29];
    uint64_t stack = context->uc_mcontext.sp;
#else
    uint64_t pc = 0, frame = 0, stack = 0;
#endif
    int count = 0;
    sample->addresses[count++] = pc;
    struct range bounds;
    uint64_t known = 0;
    if (find(stack, &bounds)) {
        uint64_t end = bounds.end - 16;
        if (!is_own(pc)) {
            uint64_t limit = frame > stack && frame < end ? frame : stack + 1024 < end ? stack + 1024 : end;
            for (uint64_t place = (stack + 7) & ~7ULL; place < limit && is_readable(place, &known); place += 8) {
                uint64_t value = *(const uint64_t *)place;
                if (is_own(value) && follows_call(value)) {
                    sample->addresses[count++] = value - 1;
                    break;
                }
            }
        }
        while (count < CLINUX_SAMPLE_DEPTH && frame >= stack && frame <= end && (frame & 7) == 0 &&
               is_readable(frame, &known)) {
            uint64_t next = ((const uint64_t *)frame)[0];
            uint64_t address = ((const uint64_t *)frame)[1];
            if (address < 4096) break;
            sample->addresses[count++] = address - 1;
            if (next <= frame) break;
            frame = next;
        }
    }
    sample->count = count;
    sample->thread = (int32_t)syscall(SYS_gettid);
}

static void handle(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    int error = errno;
    atomic_fetch_add(&inside, 1);
    if (atomic_load(&is_on)) {
        int64_t index = atomic_fetch_add(&sampler.taken, 1);
        if (index < sampler.capacity) {
            look(&sampler.samples[index], context);
            atomic_fetch_add(&sampler.finished, 1);
        }
    }
    atomic_fetch_sub(&inside, 1);
    errno = error;
}

/// The memory that is writable, and the program's code, which this function is part of.
static int read_maps(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    if (!file) return errno;
    char line[4352];
    int capacity = 0;
    uint64_t here = (uint64_t)(uintptr_t)&read_maps;
    while (fgets(line, sizeof line, file)) {
        unsigned long start, end;
        char permissions[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3) continue;
        if (here >= start && here < end) sampler.code = (struct range){start, end};
        if (strncmp(permissions, "rw", 2) != 0) continue;
        if (sampler.writable_count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            struct range *larger = realloc(sampler.writable, capacity * sizeof *larger);
            if (!larger) break;
            sampler.writable = larger;
        }
        sampler.writable[sampler.writable_count++] = (struct range){start, end};
    }
    fclose(file);
    return 0;
}

/// The ids of the process's threads; the caller frees them.
static int threads(pid_t **found) {
    DIR *directory = opendir("/proc/self/task");
    if (!directory) return 0;
    int count = 0, capacity = 0;
    pid_t *ids = 0;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        pid_t id = atoi(entry->d_name);
        if (id <= 0) continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            pid_t *larger = realloc(ids, capacity * sizeof *larger);
            if (!larger) break;
            ids = larger;
        }
        ids[count++] = id;
    }
    closedir(directory);
    *found = ids;
    return count;
}

static int32_t prepare(int64_t capacity) {
    memset(&sampler, 0, sizeof sampler);
    sampler.samples = calloc(capacity, sizeof *sampler.samples);
    if (!sampler.samples) return ENOMEM;
    sampler.capacity = capacity;
    int error = read_maps();
    if (error) return error;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, 0) != 0) return errno;
    atomic_store(&is_on, 1);
    return 0;
}

int32_t clinux_sampler_start(int32_t hz, int64_t capacity) {
    int32_t error = prepare(capacity);
    if (error) return error;
    pid_t *ids = 0;
    int count = threads(&ids);
    sampler.timers = calloc(count > 0 ? count : 1, sizeof *sampler.timers);
    for (int i = 0; sampler.timers && i < count; i++) {
        // The CPU time of another thread of this process (timer_create(2); the kernel's posix-timers.h).
        clockid_t clock = (clockid_t)(~(unsigned)ids[i] << 3 | 6);
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
        event.sigev_notify_thread_id = ids[i];
        timer_t timer;
        if (timer_create(clock, &event, &timer) != 0) {
            error = errno;
            continue;
        }
        struct timespec period = {.tv_nsec = 1000000000 / hz};
        struct itimerspec when = {.it_interval = period, .it_value = period};
        timer_settime(timer, 0, &when, 0);
        sampler.timers[sampler.timer_count++] = timer;
    }
    free(ids);
    return sampler.timer_count > 0 ? 0 : error ? error : ESRCH;
}

int32_t clinux_sampler_look(int32_t milliseconds) {
    pid_t *ids = 0;
    int count = threads(&ids);
    int32_t error = prepare(count > 0 ? count : 1);
    int64_t asked = 0;
    for (int i = 0; !error && i < count; i++) {
        if (syscall(SYS_tgkill, getpid(), ids[i], SIGPROF) == 0) asked++;
    }
    free(ids);
    for (int32_t waited = 0; !error && waited < milliseconds; waited++) {
        if (atomic_load(&sampler.finished) >= asked) break;
        usleep(1000);
    }
    return error;
}

void clinux_sampler_stop(void) {
    for (int i = 0; i < sampler.timer_count; i++) timer_delete(sampler.timers[i]);
    sampler.timer_count = 0;
    atomic_store(&is_on, 0);
    while (atomic_load(&inside) > 0) usleep(100);
    // A signal that is still on its way finds nothing to end.
    signal(SIGPROF, SIG_IGN);
}

int64_t clinux_sampler_count(void) {
    int64_t taken = atomic_load(&sampler.taken);
    return taken < sampler.capacity ? taken : sampler.capacity;
}

int64_t clinux_sampler_lost(void) { return atomic_load(&sampler.taken) - clinux_sampler_count(); }

const struct clinux_sample *clinux_sampler_sample(int64_t index) { return &sampler.samples[index]; }

void clinux_sampler_free(void) {
    free(sampler.samples);
    free(sampler.writable);
    free(sampler.timers);
    memset(&sampler, 0, sizeof sampler);
}

const char *clinux_symbol_name(uint64_t address) {
    Dl_info info;
    return dladdr((void *)(uintptr_t)address, &info) && info.dli_sname ? info.dli_sname : 0;
}

void clinux_heap_use(uint64_t *taken, uint64_t *used, uint64_t *mapped) {
    struct mallinfo2 info = mallinfo2();
    *taken = info.arena;
    *used = info.uordblks;
    *mapped = info.hblkhd;
}
