"""The plugins for brokers, loaded as wsd loads them: Sources/CBrokerPlugin/include/wsd-plugin.h by ctypes."""

import ctypes
import dataclasses
import functools
import os
import select
import subprocess
import tempfile
import time
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

from waiting import DEADLINE, wait_until

UP, DOWN, APPENDED, FAILED, RECORD, CAUGHT_UP, LOST, REPLACED, GRANTED, REVOKED = range(1, 11)
UNCERTAIN, FINAL, TOO_LARGE = 1, 2, 4
FROM_OFFSET, FROM_TIME, FROM_END = range(3)


class _Option(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class _Header(Structure):
    _fields_ = [("name", c_char_p), ("value", c_void_p), ("value_count", c_size_t)]


class _Event(Structure):
    _fields_ = [
        ("kind", c_uint32),
        ("flags", c_uint32),
        ("partition", c_uint32),
        ("header_count", c_uint32),
        ("offset", c_uint64),
        ("offset2", c_uint64),
        ("token", c_uint64),
        ("timestamp", c_int64),
        ("key", c_void_p),
        ("key_count", c_size_t),
        ("value", c_void_p),
        ("value_count", c_size_t),
        ("headers", POINTER(_Header)),
        ("text", c_char_p),
    ]


_OPEN = ctypes.CFUNCTYPE(c_void_p, POINTER(_Option), c_size_t, c_int, c_char_p, c_size_t)
_POLL = ctypes.CFUNCTYPE(c_size_t, c_void_p, POINTER(_Event), c_size_t)
_CLOSE = ctypes.CFUNCTYPE(None, c_void_p, c_uint32)


class _Plugin(Structure):
    _fields_ = [
        ("abi", c_uint32),
        ("name", c_char_p),
        ("library", ctypes.CFUNCTYPE(c_char_p)),
        ("open", _OPEN),
        ("append", ctypes.CFUNCTYPE(c_int, c_void_p, c_uint32, c_char_p, c_size_t, c_char_p, c_size_t, c_uint64)),
        ("read", ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_int64)),
        ("poll", _POLL),
        ("close", _CLOSE),
        ("source_open", _OPEN),
        ("source_poll", _POLL),
        ("source_settle", ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_uint64, c_char_p)),
        ("source_rewind", ctypes.CFUNCTYPE(None, c_void_p)),
        ("source_lag", ctypes.CFUNCTYPE(c_int64, c_void_p)),
        ("source_close", _CLOSE),
    ]


@dataclasses.dataclass
class Event:
    """A copy of a `struct wsd_event`."""

    kind: int
    flags: int
    partition: int
    offset: int
    offset2: int
    token: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list
    text: str | None


class Refused(Exception):
    """What a plugin says of options that it can't use."""


@functools.cache
def plugin(name):
    """The table of a plugin, that is built for this process of tests: `name`.so of $WSD_PLUGIN_DIR if that is set."""
    directory = os.environ.get("WSD_PLUGIN_DIR")
    if not directory:
        directory = tempfile.mkdtemp(prefix="wsd-plugins-")
        build = Path(__file__).parents[2] / "packaging" / "plugins"
        subprocess.run([build, directory, name], check=True)
    table = _Plugin.in_dll(ctypes.CDLL(f"{directory}/{name}.so"), "wsd_plugin")
    assert table.abi == 1 and table.name.decode() == name
    return table


class _Handle:
    """What logs and sources have in common: a handle, its wake descriptor, and the events that it gave out."""

    def __init__(self, name, opens, polls, closes, options):
        self._table = plugin(name)
        self._poll, self._close = getattr(self._table, polls), getattr(self._table, closes)
        self._waking, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._batch = (_Event * 64)()
        # All events so far, in order, and how many of them were looked at.
        self.events = []
        self._seen = 0
        error = ctypes.create_string_buffer(1024)
        entries = [_Option(key.encode(), str(value).encode()) for key, value in options.items()]
        array = (_Option * len(entries))(*entries)
        self.handle = getattr(self._table, opens)(array, len(entries), self._wake, error, len(error))
        if not self.handle:
            os.close(self._waking)
            os.close(self._wake)
            raise Refused(error.value.decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close(0)

    def close(self, milliseconds=5000):
        if self.handle:
            self._close(self.handle, milliseconds)
            self.handle = None
            os.close(self._waking)
            os.close(self._wake)

    def poll(self):
        """Takes the events that there are; their number."""
        count = self._poll(self.handle, self._batch, len(self._batch))
        self.events += [_copy(event) for event in self._batch[:count]]
        return count

    def _sleep(self, seconds):
        """Polls; sleeps until the plugin wakes it where there was nothing."""
        if self.poll() == 0:
            select.select([self._waking], [], [], max(seconds, 0))
            try:
                os.read(self._waking, 65536)
            except BlockingIOError:
                pass

    def wait(self, condition, what, deadline=DEADLINE):
        """Polls until `condition()` is true, woken by nothing but the plugin; fails naming `what` at the deadline."""
        end = time.monotonic() + deadline
        while not (result := condition()):
            left = end - time.monotonic()
            if left <= 0:
                last = "\n".join(map(str, self.events[-10:]))
                raise AssertionError(f"after {deadline:g} s still waiting until {what}; the last events:\n{last}")
            self._sleep(left)
        return result

    def poll_until(self, condition, what, deadline=DEADLINE):
        """Polls until `condition()` is true of what no event tells."""

        def is_true():
            self.poll()
            return condition()

        return wait_until(is_true, what, deadline)

    def expect(self, kind, accepts=lambda event: True, deadline=DEADLINE):
        """The next event of a kind that `accepts` takes, passing over all others."""

        def find():
            while self._seen < len(self.events):
                event = self.events[self._seen]
                self._seen += 1
                if event.kind == kind and accepts(event):
                    return event
            return None

        return self.wait(find, f"an event of kind {kind} comes", deadline)

    def given(self, kind):
        return [event for event in self.events if event.kind == kind]

    def idle(self, seconds):
        """Polls for a time, for what should not come."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._sleep(left)


class Log(_Handle):
    """A log of a broker. `with` closes it at once."""

    def __init__(self, name, **options):
        super().__init__(name, "open", "poll", "close", _dotted(options))
        self._tokens = iter(range(1, 1 << 62))

    def append(self, partition, value, key=b"k"):
        """The record's token; None if there is no room, or no connection."""
        token = next(self._tokens)
        result = self._table.append(self.handle, partition, key, len(key), value, len(value), token)
        assert result in (0, -1), result
        return token if result == 0 else None

    def append_all(self, partition, values):
        """Appends values one after the other, and waits until the broker has them; again what it has not, as wsd does."""
        waiting, seen = {}, len(self.events)
        values = list(values)
        while values or waiting:
            while values and (token := self.append(partition, values[0])):
                waiting[token] = values.pop(0)
            self.wait(lambda: len(self.events) > seen, "records are answered")
            answers = [event for event in self.events[seen:] if event.token in waiting]
            seen = len(self.events)
            values[:0] = [waiting[event.token] for event in answers if event.kind == FAILED and not event.flags & FINAL]
            for event in answers:
                waiting.pop(event.token)

    def read(self, partition, start, place=0):
        self._table.read(self.handle, partition, start, place)

    def values(self, partition):
        """The values of the records that were read of a partition."""
        return [event.value for event in self.given(RECORD) if event.partition == partition]


class Source(_Handle):
    """A source of records. `with` closes it at once."""

    def __init__(self, name, **options):
        super().__init__(name, "source_open", "source_poll", "source_close", _dotted(options))

    def settle(self, event, fault=None):
        self._table.source_settle(self.handle, event.partition, event.offset, fault)

    def rewind(self):
        self._table.source_rewind(self.handle)

    def lag(self):
        return self._table.source_lag(self.handle)


def _dotted(options):
    """Options by their names in C: `property__linger_ms` is property.linger.ms."""
    return {
        "property." + key[10:].replace("_", ".") if key.startswith("property__") else key: value
        for key, value in options.items()
    }


def _bytes(address, count):
    return None if address is None else ctypes.string_at(address, count)


def _copy(event):
    headers = [event.headers[i] for i in range(event.header_count)]
    return Event(
        event.kind,
        event.flags,
        event.partition,
        event.offset,
        event.offset2,
        event.token,
        event.timestamp,
        _bytes(event.key, event.key_count),
        _bytes(event.value, event.value_count),
        [(header.name.decode(), _bytes(header.value, header.value_count)) for header in headers],
        event.text.decode() if event.text is not None else None,
    )
