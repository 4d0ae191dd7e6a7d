"""A clock of a daemon's own, which a test sets forward instead of waiting."""

import mmap
import struct
import subprocess
from pathlib import Path

# Adds the number of seconds in a file to what clock_gettime(2) says.
LIBRARY = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("WSD_TEST_CLOCK"), O_RDONLY);
    ahead = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (ahead == MAP_FAILED) abort();
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID) time->tv_sec += *ahead;
    return result;
}
"""


class Clock:
    """Give `environment` to the daemon. Its clocks go on by themselves, and jump when a test says so.

    The kernel's timers don't know of that: what the daemon has set one for, it finds due when something else wakes it.
    """

    def __init__(self, directory):
        source, library, shared = (Path(directory) / f"clock.{kind}" for kind in ("c", "so", "now"))
        source.write_text(LIBRARY)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        shared.write_bytes(bytes(8))
        with open(shared, "r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "WSD_TEST_CLOCK": str(shared)}

    def forward(self, seconds):
        """Sets the clock forward by whole seconds."""
        (ahead,) = struct.unpack("=q", self._ahead)
        self._ahead[:] = struct.pack("=q", ahead + seconds)
