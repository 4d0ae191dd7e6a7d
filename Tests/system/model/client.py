"""One connection of the json protocol that can do what a socket can: stall, break off, send many requests at once."""

import asyncio
import json
import socket
import struct
import time
from dataclasses import dataclass, field

from rawws import CLOSE, PING, PONG, RSV1, SAMPLE_ACCEPT, SAMPLE_KEY, TEXT, close_payload, frame, handshake_headers
from rawws import inflate, parse_close, request
from waiting import DEADLINE

SENT, RECEIVED = "sent", "received"


@dataclass
class Event:
    """What a client did or what came to it, in its order."""

    time: float
    kind: str
    message: dict
    # The text as it came.
    text: str = ""


@dataclass
class Record:
    """All that happened on one connection."""

    number: int
    path: str
    since: dict | None = None
    user: str | None = None
    connection: str | None = None
    opened: float = 0.0
    events: list = field(default_factory=list)
    # What a publisher said: by the number of the message, the channel and whether it is to be acknowledged.
    chats: dict = field(default_factory=dict)
    # How it ended: ("closed", code, reason) by a close frame, ("end" or "reset",), or ("ours",) by the client itself.
    ended: tuple | None = None
    ended_at: float = float("inf")
    refused: str | None = None
    faults: list = field(default_factory=list)
    has_stalled: bool = False
    was_kicked: bool = False
    # Messages that the hub dropped and why it was ended, as the hub says.
    dropped: int = 0
    cause: str | None = None

    def chats_without_id(self, channel):
        """How many messages it has published in a channel without being told where they are."""
        return sum(1 for where, has_id in self.chats.values() if where == channel and not has_id)


class Client(asyncio.Protocol):
    """A connection and its record. What comes is seen by `view`, too, as it comes."""

    patience = DEADLINE

    def __init__(self, record, view):
        self.record = record
        self.view = view
        self.opened = asyncio.get_running_loop().create_future()
        self.closed = asyncio.get_running_loop().create_future()
        self.awaited = set()
        self._quiet = None
        self._input = bytearray()
        self._has_upgraded = False
        self._is_closing = False
        self._is_ours = False

    @classmethod
    async def connect(cls, port, record, view, *, headers=(), deflate=False, receive_buffer=None):
        """An open client behind its welcome, or, where the hub refuses it, one whose record says so."""
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        _, client = await loop.create_connection(lambda: cls(record, view), sock=connection)
        client.socket = connection
        fields = handshake_headers(f"127.0.0.1:{port}", SAMPLE_KEY) + list(headers)
        if deflate:
            fields.append(("Sec-WebSocket-Extensions", "permessage-deflate"))
        client.transport.write(request(fields, record.path))
        await asyncio.wait([client.opened, client.closed], timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        return client

    @property
    def is_open(self):
        return self.opened.done() and not self.closed.done() and not self._is_closing

    # What it does.

    def send(self, *requests):
        """Sends requests as one write, each a message of its own."""
        now = time.monotonic()
        data = b""
        for each in requests:
            if "id" in each:
                self.awaited.add(each["id"])
            if each["type"] == "chat":
                self.record.chats[each["data"]["n"]] = (each["channel"], "id" in each)
            self.record.events.append(Event(now, SENT, each))
            self.view.sent(each)
            data += frame(TEXT, json.dumps(each))
        self.transport.write(data)

    async def quiet(self):
        """Waits until every request is answered. What is not within `patience` seconds is a fault, and given up."""
        while self.is_open and self.awaited:
            self._quiet = asyncio.get_running_loop().create_future()
            done, _ = await asyncio.wait(
                [self._quiet, self.closed], timeout=self.patience, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                text = f"no answer to {sorted(self.awaited)[:5]} within {self.patience:g} s"
                self.record.faults.append(("answered", text))
                self.awaited.clear()

    def _leave(self):
        if not self.record.ended:
            self._is_ours = True
            self.record.ended = ("ours",)
            self.record.ended_at = time.monotonic()

    def stall(self):
        self.record.has_stalled = True
        self.transport.pause_reading()

    def read_on(self):
        if not self.closed.done():
            self.transport.resume_reading()

    def reset(self):
        """Breaks off by a TCP reset."""
        self._leave()
        if self.closed.done():
            return
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def cut(self):
        """Ends the stream without a word."""
        self._leave()
        self.transport.close()

    def close(self, code=1000):
        """Says goodbye; `closed` is done when the hub has, too."""
        if self.is_open:
            self._leave()
            self._is_closing = True
            self.transport.write(frame(CLOSE, close_payload(code)))
        elif self.transport:
            self.transport.abort()

    # What comes.

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self._input += data
        if not self._has_upgraded:
            self._take_head()
        if self._has_upgraded:
            try:
                self._take_frames()
            except Exception as fault:
                self.record.faults.append(("alive", f"{fault!r} at {bytes(self._input[:40])!r}"))
                self.reset()

    def _take_head(self):
        end = self._input.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._input[:end].decode()
        if " 101 " in head.split("\r\n", 1)[0] and SAMPLE_ACCEPT in head:
            del self._input[: end + 4]
            self._has_upgraded = True
        else:
            self.record.refused = self._input.decode(errors="replace")
            self._is_ours = True
            self.transport.abort()

    def _take_frames(self):
        data, start = self._input, 0
        while len(data) - start >= 2:
            first, length, body = data[start], data[start + 1], start + 2
            if length == 126:
                length, body = int.from_bytes(data[start + 2 : start + 4]), start + 4
            elif length == 127:
                length, body = int.from_bytes(data[start + 2 : start + 10]), start + 10
            if len(data) < body + length:
                break
            self._take(first, bytes(data[body : body + length]))
            start = body + length
        del data[:start]

    def _take(self, first, payload):
        opcode = first & 0x0F
        if self.record.ended and self.record.ended[0] == "closed":
            self.record.faults.append(("ended", f"opcode {opcode}, {payload[:80]!r} behind the close frame"))
        elif opcode == TEXT:
            text = (inflate(payload) if first >> 4 & RSV1 else payload).decode()
            self._receive(text, json.loads(text))
        elif opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            code, reason = parse_close(payload)
            if not self.record.ended:
                self.record.ended = ("closed", code, reason)
                self.record.ended_at = time.monotonic()
                self.transport.write(frame(CLOSE, payload[:2]))
            self.transport.close()
        elif opcode != PONG:
            raise ValueError(f"opcode {opcode}")

    def _receive(self, text, message):
        self.record.events.append(Event(time.monotonic(), RECEIVED, message, text))
        self.view.received(message)
        if "id" in message:
            self.awaited.discard(message["id"])
        if not self.opened.done():
            self.record.user, self.record.connection = message["user"], message["connection"]
            self.record.opened = time.monotonic()
            self.opened.set_result(None)
        if self._quiet and not self._quiet.done() and not self.awaited:
            self._quiet.set_result(None)

    def connection_lost(self, error):
        if not self.record.ended:
            self.record.ended = ("ours",) if self._is_ours else ("reset" if error else "end",)
            self.record.ended_at = time.monotonic()
        if not self.closed.done():
            self.closed.set_result(None)
