"""A client of the json protocol on asyncio, for thousands of them in one process, that keeps a ledger of what it hears."""

import asyncio
import itertools
import json
import socket

from rawws import CLOSE, PING, PONG, SAMPLE_KEY, TEXT, frame, handshake_headers, request
from waiting import DEADLINE


class Talker(asyncio.Protocol):
    """One connection. `stays` are the channels that it is in."""

    def __init__(self, ledger, name):
        self.ledger = ledger
        self.name = name
        self.stays = {}
        self.user = None
        self.notices = []
        # Ids of requests → (what was asked, who waits for the answer).
        self._asked = {}
        self._ids = itertools.count(1)
        self._input = bytearray()
        self._has_upgraded = False
        self.opened = asyncio.get_running_loop().create_future()
        self.closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, port, ledger, name, *, path="/chat", headers=()):
        """An open client behind its welcome. OSError if the node refuses it or is not there."""
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, ("127.0.0.1", port))
            _, talker = await loop.create_connection(lambda: cls(ledger, name), sock=connection)
        except OSError:
            connection.close()
            raise
        fields = handshake_headers(f"127.0.0.1:{port}", SAMPLE_KEY) + list(headers)
        talker.transport.write(request(fields, path))
        await asyncio.wait([talker.opened, talker.closed], timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if not talker.is_open:
            talker.transport.abort()
            raise ConnectionError(f"no welcome: {bytes(talker._input[:200])!r}")
        return talker

    @property
    def is_open(self):
        return self.opened.done() and not self.closed.done()

    @property
    def unanswered(self):
        return len(self._asked)

    # What it does.

    def ask(self, kind, **members):
        """Sends a request; its answer, or None if the connection ends before."""
        waiter = asyncio.get_running_loop().create_future()
        number = next(self._ids)
        if not self.is_open:
            waiter.set_result(None)
            return waiter
        self._asked[number] = kind, members, waiter
        if kind == "chat":
            self.ledger.sent(members["channel"], members["data"])
        # A mask of zeros leaves the bytes as they are.
        self.transport.write(frame(TEXT, json.dumps({"id": number, "type": kind, **members}).encode(), key=bytes(4)))
        return waiter

    def join(self, channel, since=None):
        """Joins, from a position on if one is given."""
        position = {"since": {"epoch": since[0], "seq": since[1]}} if since else {}
        return self.ask("join", channel=channel, **position)

    def publish(self, channel, data):
        return self.ask("chat", channel=channel, data=data)

    def close(self):
        """Says goodbye."""
        if self.is_open:
            self.transport.write(frame(CLOSE, (1000).to_bytes(2, "big")))
            self.transport.close()

    def cut(self):
        """Ends the connection without a word."""
        self.transport.abort()

    # What comes.

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self._input += data
        if not self._has_upgraded:
            end = self._input.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._input.startswith(b"HTTP/1.1 101"):
                return self.transport.abort()
            del self._input[: end + 4]
            self._has_upgraded = True
        self._take_frames()

    def _take_frames(self):
        data, start = self._input, 0
        while len(data) - start >= 2:
            opcode, length, body = data[start] & 0x0F, data[start + 1], start + 2
            if length == 126:
                length, body = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
            elif length == 127:
                length, body = int.from_bytes(data[start + 2 : start + 10], "big"), start + 10
            if len(data) < body + length:
                break
            self._take(opcode, bytes(data[body : body + length]))
            start = body + length
        del data[:start]

    def _take(self, opcode, payload):
        if opcode == TEXT:
            self._hear(json.loads(payload))
        elif opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.notices.append({"closed": payload})
            self.transport.write(frame(CLOSE, payload[:2]))
            self.transport.close()

    def _hear(self, message):
        kind, channel = message["type"], message.get("channel")
        if kind in ("ack", "error") and "id" in message:
            return self._answer(message)
        if not self.opened.done():
            self.user = message["user"]
            self.opened.set_result(None)
        elif channel in self.stays and ("seq" in message or message.get("event") == "gap"):
            self.ledger.hear(self.stays[channel], message)
        else:
            self.notices.append(message)

    def _answer(self, message):
        kind, members, waiter = self._asked.pop(message["id"])
        channel = members.get("channel")
        if kind == "chat":
            self.ledger.answered(members["data"], message)
        elif message["type"] == "ack" and kind == "join":
            since = members.get("since")
            position = (since["epoch"], since["seq"]) if since else None
            self.stays[channel] = self.ledger.begin(self.name, channel, message, position)
        elif message["type"] == "ack" and kind == "leave":
            self.stays.pop(channel, None)
        if not waiter.done():
            waiter.set_result(message)

    def connection_lost(self, error):
        if not self.closed.done():
            self.closed.set_result(None)
        for _, _, waiter in self._asked.values():
            if not waiter.done():
                waiter.set_result(None)
        self._asked.clear()
