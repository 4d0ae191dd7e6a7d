#pragma once

#include <stdint.h>

/// The most return addresses of one sample.
#define CLINUX_SAMPLE_DEPTH 96

/// Where a thread was: the innermost address first.
struct clinux_sample {
    int32_t thread;
    int32_t count;
    uint64_t addresses[CLINUX_SAMPLE_DEPTH];
};

/// Begins to look where the process's threads are, `hz` times in each second of a thread's CPU time, by SIGPROF, whose
/// action it takes (timer_create(2)). Room for `capacity` samples; those beyond are counted only. One at a time.
///
/// - Returns: 0, or an errno.
int32_t clinux_sampler_start(int32_t hz, int64_t capacity);

/// Looks where every thread is now, whether it runs or sleeps, and waits for that at most `milliseconds`. In place of
/// `clinux_sampler_start`.
int32_t clinux_sampler_look(int32_t milliseconds);

/// Ends it; no sample is added any more.
void clinux_sampler_stop(void);

/// How many samples there are, and the samples.
int64_t clinux_sampler_count(void);
const struct clinux_sample *clinux_sampler_sample(int64_t index);
/// Samples for which there was no room.
int64_t clinux_sampler_lost(void);

/// Gives the memory back.
void clinux_sampler_free(void);

/// The name of the exported function that holds an address of a shared library, and the library's path; 0 where there is
/// none (dladdr(3)).
const char *clinux_symbol_name(uint64_t address);

/// What malloc(3) has taken from the system, and what of it is in use, in bytes (mallinfo2(3)).
void clinux_heap_use(uint64_t *taken, uint64_t *used, uint64_t *mapped);
