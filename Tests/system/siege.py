"""Checks that a hostile peer neither disturbs others nor takes more than its share of memory and CPU time."""

import contextlib
import ctypes
import json
import socket
import struct
import threading
from pathlib import Path

from rawws import TEXT, frame
from waiting import wait_until

# Attackers use /ws. The two who must not notice have a channel of their own.
ENDPOINTS = """
[[endpoint]]
path = "/ws"
[[endpoint]]
path = "/pair"
channel = "pair"
"""


class Conversation:
    """Two clients, one on each of two workers, that go on talking in a thread of their own.

    What each says in turn, both have to hear next, and nothing else.
    """

    def __init__(self, daemon):
        self.pair = [daemon.connect("/pair"), daemon.connect("/pair")]
        self.exchanged = 0
        self.fault = None
        self._is_over = False
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over = True
        self._thread.join()
        for client in self.pair:
            client.close()

    def _talk(self):
        try:
            while not self._is_over:
                text = f"exchange {self.exchanged}"
                self.pair[self.exchanged % 2].send_text(text)
                for client in self.pair:
                    client.expect_message(TEXT, text)
                self.exchanged += 1
        except Exception as fault:
            self.fault = fault

    def expect_progress(self, count=50):
        """Shows that they are served while others do their worst: so many more exchanges happen."""
        wanted = self.exchanged + count
        wait_until(lambda: self.fault or self.exchanged >= wanted, "the well-behaved pair has gone on talking")
        assert self.fault is None, f"after {self.exchanged} exchanges the well-behaved pair: {self.fault!r}"


@contextlib.contextmanager
def siege(daemon, *, growth):
    """A conversation that must go on meanwhile; `growth` is how many bytes of memory the daemon may take for it all."""
    with Conversation(daemon) as conversation:
        conversation.expect_progress()
        before = daemon.resident_bytes
        forget_peak(daemon)
        yield conversation
        conversation.expect_progress()
    grown = peak_resident_bytes(daemon) - before
    print(f"{grown >> 10} KiB more memory at the most, where {growth >> 10} KiB are enough")
    assert grown < growth, f"{grown >> 20} MiB more memory, where {growth >> 20} MiB are enough"


def forget_peak(daemon):
    """Begins to measure the peak of resident memory anew (proc(5), clear_refs)."""
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")


def peak_resident_bytes(daemon):
    """The most memory that was resident since `forget_peak` (proc(5), VmHWM)."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def processor_ticks(daemon):
    """The processor time used so far, in hundredths of a second (proc(5), utime and stime)."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def context_switches(daemon):
    """The number of times that its threads have gone to sleep (proc(5), voluntary_ctxt_switches)."""
    count = 0
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                count += int(line.split()[1])
    return count


def status_of(daemon):
    """The output of `wsctl status --json`."""
    shown = daemon.wsctl("status", "--json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def wait_for_closed(daemon, cause, count):
    """Waits until so many connections have ended for this reason; the status then."""

    def status_when_closed():
        status = status_of(daemon)
        return status if status["closed"].get(cause, 0) >= count else None

    return wait_until(status_when_closed, f"{count} connections are closed: {cause}")


class FilterProgram(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def vanish(peer):
    """Makes a socket deaf, as if its host had lost power: nothing that is sent to it arrives or is acknowledged, and it
    never says so. Its filter (socket(7), SO_ATTACH_FILTER) is a program of one instruction: drop the packet."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = FilterProgram(1, ctypes.cast(drop, ctypes.c_void_p))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


# asm-generic/socket.h.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


def many(count, opcode, payload=b"", **options):
    """The bytes of one frame, `count` times."""
    return frame(opcode, payload, key=b"\x11\x22\x33\x44", **options) * count


def send_until_cut_off(wire, data):
    """Sends `data` again and again until the server cuts the connection.

    How much that is says nothing: a fast machine takes gigabytes within the time that a connection has for closing.
    """

    def is_cut_off():
        try:
            wire.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    wait_until(is_cut_off, "the server cuts off who goes on sending", pause=0)
