#pragma once

#include <stdint.h>

/// The maximum number of return addresses of one sample.
#define CLINUX_SAMPLE_DEPTH 96

/// The stack of a thread: the innermost address first.
struct clinux_sample {
    int32_t thread;
    int32_t count;
    uint64_t addresses[CLINUX_SAMPLE_DEPTH];
};

/// Begins to sample the stacks of the process's threads, `hz` times per second of a thread's CPU time, by SIGPROF,
/// whose action it takes (timer_create(2)). Room for `capacity` samples; further ones are only counted. One at a time.
///
/// - Returns: 0, or an errno.
int32_t clinux_sampler_start(int32_t hz, int64_t capacity);

/// Samples the stack of every thread now, whether it runs or sleeps, and waits at most `milliseconds` for that. Used
/// instead of `clinux_sampler_start`.
int32_t clinux_sampler_look(int32_t milliseconds);

/// Ends the sampling; no sample is added any more.
void clinux_sampler_stop(void);

/// The number of samples, and the samples.
int64_t clinux_sampler_count(void);
const struct clinux_sample *clinux_sampler_sample(int64_t index);
/// The number of samples for which there was no room.
int64_t clinux_sampler_lost(void);

/// Frees the memory.
void clinux_sampler_free(void);

/// The name of the exported function that contains an address of a shared library, and the library's path; 0 if there
/// is none (dladdr(3)).
const char *clinux_symbol_name(uint64_t address);

/// The memory that malloc(3) has taken from the system, and the part of it in use, in bytes (mallinfo2(3)).
void clinux_heap_use(uint64_t *taken, uint64_t *used, uint64_t *mapped);
