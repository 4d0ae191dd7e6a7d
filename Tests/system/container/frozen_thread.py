"""Stops one thread of a process and leaves the others running, as a deadlock or an endless loop in it would.

SIGSTOP stops all threads; ptrace(2) stops one. The tracer is a process of its own: when it ends, however it ends, the
kernel lets the thread go on.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000


@contextlib.contextmanager
def frozen(thread: int) -> Iterator[None]:
    """Keeps the thread with this number (as seen from here) stopped while the block runs, or until it is killed."""
    tracer = subprocess.Popen([sys.executable, __file__, str(thread)], stdout=subprocess.PIPE, text=True)
    try:
        if tracer.stdout.readline() != "stopped\n":
            raise RuntimeError(f"can't stop thread {thread}: ptrace(2) exited with {tracer.wait()}")
        yield
    finally:
        tracer.kill()
        tracer.wait()
        tracer.stdout.close()


def thread_named(process: int, name: str) -> int:
    """The number of the thread of a process that calls itself so."""
    for task in Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise LookupError(f"process {process} has no thread named {name}")


def _trace(thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) < 0:
            sys.exit(os.strerror(ctypes.get_errno()))
    while True:
        # First the stop, then the death: until it is reaped here, a killed thread keeps its process from ending.
        _, status = os.waitpid(thread, WALL)
        if not os.WIFSTOPPED(status):
            return
        print("stopped", flush=True)


if __name__ == "__main__":
    _trace(int(sys.argv[1]))
