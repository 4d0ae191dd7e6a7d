"""Tools for attacks, and checks of what these must not disturb: other clients' pings, the process, and its memory.

The hub runs with one worker where not said otherwise, so that those who measure are on the worker that is attacked.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from rawws import RSV1, TEXT, RawWebSocket, deflate, frame
from siege import forget_peak, peak_resident_bytes
from waiting import DEADLINE, wait_until

MEBIBYTE = 1 << 20
KEY = b"\x11\x22\x33\x44"
OFFER = "permessage-deflate"

# Attackers use /ws and /chat. Those who must not notice have endpoints of their own.
ENDPOINTS = """
[[endpoint]]
path = "/ws"
[[endpoint]]
path = "/chat"
protocol = "json"
channel = ""
[[endpoint]]
path = "/honest"
channel = "honest"
[[endpoint]]
path = "/honest-chat"
protocol = "json"
channel = ""
"""
# Nobody is closed because of errors: what is measured is what they cost.
FORGIVING = "[limits]\nerrors_per_minute = 0\n"

# The one time that is asserted: how long others' pings may take. The aim, on a machine with nothing else to do, is 50, by
# WSD_PING_MILLISECONDS=50; what a stalled hub needs is seconds, and only that is a fault where other things run, too. What a
# busy machine adds is seen in the pings before the attack, and in how long the hub's threads waited for a processor.
PING_MILLISECONDS = int(os.environ.get("WSD_PING_MILLISECONDS", "400"))
NOISE_FACTOR = 5


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class HonestPings:
    """Others' pings while something happens: `with HonestPings(daemon) as pings:` fails where they were answered late."""

    def __init__(self, daemon, *, path="/honest", json_path="/honest-chat", baseline=0.5, limit=PING_MILLISECONDS):
        self._daemon = daemon
        self._limit = limit
        prefer(daemon)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("pinger.py")), str(daemon.port), path, json_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )
        assert self._process.stdout.readline() == "ready\n", "the honest clients can't connect"
        # The baseline is a duration of measuring, not a wait for something.
        time.sleep(baseline)
        self.before = self.take()
        self._schedule = schedule(daemon)

    def take(self):
        """All latencies since the last call, in milliseconds, of both clients: at least one of each."""
        taken = {"ping": [], "json ping": []}

        def is_enough():
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            assert line, "an honest client was cut off"
            for kind, latencies in zip(taken, json.loads(line)):
                taken[kind] += latencies
            return all(taken.values())

        wait_until(is_enough, "a ping of each client is answered")
        return taken

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.expect_answered()
        finally:
            self.close()

    def close(self):
        self._process.stdin.close()
        self._process.wait(DEADLINE)

    def expect_answered(self):
        """Whether the pings since the beginning, or since the last call, were answered in time."""
        during = self.take()
        ran, waited = (now - then for now, then in zip(schedule(self._daemon), self._schedule))
        slowness = (ran + waited) / max(1, ran)
        faults = []
        for kind, latencies in during.items():
            usual = percentile(self.before[kind], 0.99)
            allowed = max(self._limit * slowness, NOISE_FACTOR * usual)
            seen = percentile(latencies, 0.99)
            print(
                f"{kind}: p50 {percentile(latencies, 0.5):.1f}, p99 {seen:.1f}, most {max(latencies):.1f} ms of "
                f"{len(latencies)}; before p99 {usual:.1f} ms; the hub had {1 / slowness:.0%} of the processor it wanted"
            )
            if seen > allowed:
                faults.append(f"p99 of others' {kind}s is {seen:.0f} ms, where {allowed:.0f} ms are allowed")
        assert not faults, "; ".join(faults)


class Memory:
    """`with Memory(daemon, growth):` fails where the peak of resident memory grew by more bytes."""

    def __init__(self, daemon, growth):
        self._daemon = daemon
        self._growth = growth

    def __enter__(self):
        self._before = self._daemon.resident_bytes
        forget_peak(self._daemon)
        return self

    @property
    def grown(self):
        return peak_resident_bytes(self._daemon) - self._before

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        assert self._daemon.is_alive(), f"the daemon ended: {self._daemon.log()[-2000:]}"
        grown = self.grown
        print(f"{grown >> 10} KiB more memory at the most, where {self._growth >> 10} KiB are enough")
        assert grown < self._growth, f"{grown >> 20} MiB more memory, where {self._growth >> 20} MiB are enough"


def schedule(daemon):
    """The time that all its threads have run, and waited for a processor, in nanoseconds (proc(5), schedstat)."""
    ran = waited = 0
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            values = (task / "schedstat").read_text().split()
            ran, waited = ran + int(values[0]), waited + int(values[1])
    return ran, waited


def processor_nanoseconds(daemon):
    """The processor time of all its threads so far."""
    return schedule(daemon)[0]


def prefer(daemon):
    """Puts the hub before whatever else this machine does, where that is allowed."""
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), -10)


def text_frame(text):
    """A text message, the same bytes each time."""
    return frame(TEXT, text, key=KEY)


def deflated_frame(text, opcode=TEXT):
    """A deflated message, as small as it gets."""
    return frame(opcode, deflate(text, level=9), rsv=RSV1, key=KEY)


def asking(kind, **members):
    """The text of a request of the json protocol."""
    return json.dumps({"type": kind, **members}, separators=(",", ":"))


def escaped(text):
    """A JSON string of this text in which every character is an escape."""
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'


def yield_to_others():
    """Gives this thread the last place at the processor (on Linux each thread has its own): an attacker has a machine of his
    own, and what is measured is not how long the hub waits for a processor that the attacker is using."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


class Flood:
    """Threads that each send the same bytes to one connection again and again, until told to stop or cut off.

    With `reads`, what comes back is read and thrown away; without, nobody reads.
    """

    def __init__(self, wires, data, *, times=None, reads=True):
        self._is_over = False
        self._times = times
        self.sent_bytes = 0
        self._threads = [threading.Thread(target=self._send, args=(wire, data), daemon=True) for wire in wires]
        if reads:
            self._threads += [threading.Thread(target=self._read, args=(wire,), daemon=True) for wire in wires]
        self._wires = wires

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over = True
        for wire in self._wires:
            # A sender that is held back by the hub waits in a call that only this ends.
            with contextlib.suppress(OSError):
                wire.socket.shutdown(2)
        for thread in self._threads:
            thread.join()

    def _send(self, wire, data):
        yield_to_others()
        rounds = 0
        while not self._is_over and (self._times is None or rounds < self._times):
            try:
                wire.socket.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                return
            self.sent_bytes += len(data)
            rounds += 1

    def _read(self, wire):
        yield_to_others()
        while not self._is_over:
            try:
                if not wire.socket.recv(1 << 18):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


def reading(wires):
    """Reads and throws away what comes to these while the block runs; then they are cut off."""
    return Flood(wires, b"", times=0)


def worker_of(connection):
    """The number of the worker that a connection began with: 6 bits of its id, above 34."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    value = 0
    for digit in connection:
        value = value * 32 + digits.index(digit)
    return value >> 34 & 63


def joined(daemon, channels, *, path="/chat", **options):
    """A json client in these channels, which have their answers read."""
    client = RawWebSocket(daemon.port, path, **options)
    daemon._clients.append(client)
    client.worker = worker_of(json.loads(client.receive_text())["connection"])
    for number, channel in enumerate(channels):
        client.send_text(asking("join", channel=channel, id=number))
    for _ in channels:
        answer = json.loads(client.receive_text())
        assert answer["type"] == "ack", answer
    return client


def home(name, workers=2):
    """FNV-1a, as the hub finds a channel's home."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value % workers


def channel_count(daemon, pattern="*"):
    """The number of channels that match this pattern and have members or history."""
    shown = daemon.wsctl("channels", "--json", pattern)
    assert shown.returncode in (0, 1), shown.stderr
    return len(shown.stdout.splitlines())
