"""The memory that clients can make the hub hold: `limits.memory` bounds the sum, and those that cause it pay for it."""

import contextlib
import json
import selectors
import socket
import time

import pytest

from attacks import (
    ENDPOINTS, FORGIVING, KEY, MEBIBYTE, OFFER, Flood, HonestPings, Memory, asking, channel_count, deflated_frame,
    home, joined, reading, text_frame,
)  # fmt: skip
from rawws import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, ConnectionEnded, RawWebSocket, exchange, frame, handshake_headers,
    parse_close, request,
)  # fmt: skip
from siege import status_of, wait_for_closed
from waiting import DEADLINE, wait_until

LIMIT = 64 * MEBIBYTE
BOUNDED = '[limits]\nmemory = "64MiB"\nerrors_per_minute = 0\n'
# What the process itself may need beyond the account, and what the allocator keeps.
ROOM = 64 * MEBIBYTE


def test_publishers_that_deflate_well_fill_no_mailbox(start_wsd):
    """8 publishers, 6 windows to deflate for, two workers: the home is slower than those who publish."""
    daemon = start_wsd(BOUNDED + ENDPOINTS)
    windows = [f"permessage-deflate; server_max_window_bits={bits}" for bits in range(9, 15)]
    subscribers = [daemon.connect("/ws", offer=window) for window in windows]
    publishers = [daemon.connect("/ws", offer=OFFER) for _ in range(8)]
    message = deflated_frame("".join(f"{number % 97} well, " for number in range(40_000))[: 256 << 10])
    with Memory(daemon, LIMIT + ROOM), HonestPings(daemon), reading(subscribers), Flood(publishers, message * 8):
        time.sleep(4)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_message_into_each_of_many_channels_is_bounded_with_its_channel(start_wsd, workers):
    history = '[channels."*"]\nhistory = 10\nhistory_ttl = "3s"\n'
    daemon = start_wsd(FORGIVING + 'history_bytes = "8MiB"\n' + history + ENDPOINTS, workers=workers)
    attackers = [daemon.connect("/chat") for _ in range(2)]
    count = 100_000
    frames = [
        b"".join(text_frame(asking("chat", channel=f"{name}.{number}", data=0)) for number in range(count))
        for name in range(len(attackers))
    ]
    with Memory(daemon, 64 * MEBIBYTE), HonestPings(daemon):
        with reading(attackers):
            for attacker, data in zip(attackers, frames):
                attacker.send(data)
            for attacker in attackers:
                attacker.send_text(asking("ping", id="end"))
            wait_until(lambda: status_of(daemon)["messagesIn"] >= 2 * count, "all is read")
    wait_until(lambda: channel_count(daemon) <= 2, "emptied channels are gone")


class Unfinished:
    """Clients that send the beginning of a message and then only answer pings, until they are closed."""

    def __init__(self, port, count, size, path="/ws"):
        self._selector = selectors.DefaultSelector()
        self.closes, self.refused, self.pongs = [], 0, 0
        self._left = set()
        beginning = request(handshake_headers(f"127.0.0.1:{port}"), path)
        beginning += frame(BINARY, bytes(size), fin=False, key=KEY)
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            state = {"output": memoryview(beginning), "input": bytearray(), "open": False}
            self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, state)
            self._left.add(connection)

    def close(self):
        for connection in list(self._left):
            self._forget(connection)
        self._selector.close()

    def _forget(self, connection):
        self._left.discard(connection)
        self._selector.unregister(connection)
        connection.close()

    def run(self, seconds):
        """Sends and answers for so long, or until all are closed; how many are left."""
        end = time.monotonic() + seconds
        while self._left and time.monotonic() < end:
            for key, events in self._selector.select(0.1):
                try:
                    self._serve(key.fileobj, key.data, events)
                except (ConnectionResetError, BrokenPipeError, EOFError):
                    self._forget(key.fileobj)
        return len(self._left)

    def _serve(self, connection, state, events):
        if events & selectors.EVENT_READ:
            data = connection.recv(65536)
            if not data:
                raise EOFError
            state["input"] += data
            self._answer(state)
        if state["output"]:
            with contextlib.suppress(BlockingIOError):
                state["output"] = state["output"][connection.send(state["output"][:65536]) :]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if state["output"] else 0)
        self._selector.modify(connection, wanted, state)

    def _answer(self, state):
        buffered = state["input"]
        if not state["open"]:
            head, end, rest = bytes(buffered).partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.refused += 1
                raise EOFError
            state["open"], state["input"] = True, bytearray(rest)
            buffered = state["input"]
        while len(buffered) >= 2 and len(buffered) >= 2 + buffered[1]:
            opcode, payload = buffered[0] & 0xF, bytes(buffered[2 : 2 + buffered[1]])
            del buffered[: 2 + len(payload)]
            if opcode == PING and not state["output"]:
                state["output"] = memoryview(frame(PONG, payload, key=KEY))
                self.pongs += 1
            elif opcode == CLOSE:
                self.closes.append(parse_close(payload))
                raise EOFError


def test_unfinished_messages_are_bounded_together_and_end_in_time(start_wsd):
    websocket = '[websocket]\nping_interval = "500ms"\npong_timeout = "20s"\nmessage_timeout = "4s"\n'
    daemon = start_wsd(BOUNDED + websocket + ENDPOINTS, workers=1)
    with Memory(daemon, LIMIT + ROOM), HonestPings(daemon):
        clients = Unfinished(daemon.port, 300, MEBIBYTE - 1000)
        try:
            left = clients.run(DEADLINE)
        finally:
            clients.close()
    codes = {code for code, _ in clients.closes}
    print(f"closes {codes}, {clients.refused} refused, {clients.pongs} pongs")
    assert left == 0, f"{left} of 300 unfinished messages are still held"
    # Those whose time was up, and those that the hub itself kept waiting.
    assert codes <= {1013, 3008}
    reasons = {reason for code, reason in clients.closes if code == 1013}
    assert all("limits.memory" in reason for reason in reasons), reasons


@pytest.mark.parametrize("how", ["pongs", "empty fragments", "a byte at a time", "an unfinished frame"])
def test_an_unfinished_message_ends_in_time_however_alive_its_sender_is(start_wsd, how):
    daemon = start_wsd('[websocket]\nmessage_timeout = "1s"\n' + ENDPOINTS, workers=1)
    client = daemon.connect("/ws")
    head = frame(BINARY, b"", announce=100_000, key=KEY)
    client.send(head if how in ("a byte at a time", "an unfinished frame") else frame(BINARY, b"x", fin=False, key=KEY))
    piece = {
        "pongs": frame(PONG, b"", key=KEY),
        "empty fragments": frame(CONTINUATION, b"", fin=False, key=KEY),
        "a byte at a time": b"x",
        "an unfinished frame": b"",
    }[how]

    def is_closed():
        with contextlib.suppress(OSError):
            client.send(piece)
        client.socket.settimeout(0.02)
        try:
            return bool(client.socket.recv(1, socket.MSG_PEEK)) or True
        except TimeoutError:
            return False

    wait_until(is_closed, "an unfinished message is closed")
    client.socket.settimeout(DEADLINE)
    code, reason = client.receive_close()
    assert code == 3008 and "message" in reason, reason
    client.answer_close(code)
    wait_for_closed(daemon, "message_timeout", 1)


def test_messages_that_end_in_time_are_not_closed_by_the_time_of_others(start_wsd):
    daemon = start_wsd('[websocket]\nmessage_timeout = "1s"\n' + ENDPOINTS, workers=1)
    client = daemon.connect("/ws")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        client.send(frame(BINARY, b"a", fin=False, key=KEY) + frame(CONTINUATION, b"b", fin=False, key=KEY))
        time.sleep(0.1)
        client.send(frame(CONTINUATION, b"c", key=KEY) + frame(BINARY, b"d", fin=False, key=KEY))
        client.expect_message(BINARY, b"abc")
        client.send(frame(CONTINUATION, b"e", key=KEY))
        client.expect_message(BINARY, b"de")


def test_what_waits_for_one_keeps_nothing_of_others_answers(start_wsd):
    """Answers to several of another worker's clients come in one piece; a slow one's share must not keep all of it."""
    rooms = '[channels."room:*"]\nhistory = 1000\nhistory_bytes = "4MiB"\n'
    queue = '[queue]\nwrite_timeout = "10m"\nlimit = "64MiB"\n'
    daemon = start_wsd(FORGIVING + queue + rooms + ENDPOINTS)
    clients = [joined(daemon, [], receive_buffer=4096) for _ in range(12)]
    stuck, reader = [client for client in clients if client.worker == clients[0].worker][:2]
    # A channel whose home is the other worker.
    room = next(name for name in (f"room:{n}" for n in range(100)) if home(name) != stuck.worker)
    for client in (stuck, reader):
        client.send_text(asking("join", channel=room, id=1))
        client.receive_text()
    filler = joined(daemon, [room])
    filler.send(b"".join(text_frame(asking("chat", channel=room, data="x" * 900)) for _ in range(1000)))
    # A pong of their own worker may come before what the home sends.
    filler.send_text(asking("chat", channel=room, data="the last"))
    for client in (filler, reader, stuck):
        while '"the last"' not in client.receive_text():
            pass
    page, one = (text_frame(asking("history", channel=room, id=2, limit=limit)) for limit in (500, 1))
    # Something waits for the slow one before it begins.
    stuck.send(page * 20)
    wait_until(lambda: status_of(daemon)["slowConsumers"] == 1, "something waits for the slow one")
    # All twenty answers may be made at once, which is not what is measured.
    waiting = []

    def is_over():
        waiting.append(status_of(daemon)["queuedBytes"])
        return waiting[-1] > 0 and waiting[-10:] == waiting[-1:] * 10

    wait_until(is_over, "its answers are made")
    reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    # The home is busy, so that it finds the questions of both at once.
    busy = [client for client in clients if client.worker != stuck.worker][:3]
    with Memory(daemon, 48 * MEBIBYTE), Flood(busy, frame(PING, b"", key=KEY) * 20_000):
        for _ in range(150):
            reader.send(page)
            stuck.send(one * 2)
            while '"id":2' not in reader.receive_text()[:100]:
                pass
        print(f"{status_of(daemon)['queuedBytes']} bytes wait")


def test_backlogs_of_many_who_read_nothing_are_bounded_together(start_wsd):
    """Each queue is within its limit, of 16 MiB, and 60 of them are 250 MiB."""
    rooms = '[channels."room:*"]\nhistory = 1000\nhistory_bytes = "4MiB"\n'
    daemon = start_wsd(BOUNDED + '[queue]\nwrite_timeout = "10m"\nlimit = "16MiB"\n' + rooms + ENDPOINTS, workers=1)
    filler = joined(daemon, ["room:1"])
    filler.send(b"".join(text_frame(asking("chat", channel="room:1", data="x" * 900)) for _ in range(900)))
    filler.send_text(asking("ping", id="p"))
    while '"id":"p"' not in filler.receive_text():
        pass
    with Memory(daemon, LIMIT + ROOM), HonestPings(daemon):
        for _ in range(60):
            # Some are refused, or cut off, once the limit is near.
            with contextlib.suppress(AssertionError, OSError, ConnectionEnded):
                client = RawWebSocket(daemon.port, "/chat", receive_buffer=4096)
                daemon._clients.append(client)
                client.send_text(asking("join", channel="room:1", id=1))
                client.send(text_frame(asking("history", channel="room:1", id=2, limit=1000)) * 8)
        time.sleep(1)
    assert status_of(daemon)["connections"] > 2


def test_the_account_of_memory_is_shown_and_refuses_newcomers_before_it_closes_anybody(start_wsd):
    daemon = start_wsd('[limits]\nmemory = "8MiB"\n[websocket]\nmessage_timeout = "10m"\n' + ENDPOINTS, workers=1)
    clients = Unfinished(daemon.port, 30, 900_000)
    handshake = request(handshake_headers(f"127.0.0.1:{daemon.port}"), "/ws")
    try:
        seen = None
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and seen is None:
            clients.run(0.2)
            with contextlib.suppress(AssertionError):
                seen = exchange(daemon.port, handshake)
        assert seen is not None and seen.status == 503, "nobody is refused while memory is used up"
        assert b"limits.memory" in seen.body
        status = status_of(daemon)
        assert status["refused"]["memory_limit"] > 0
        assert status["memory"]["limit"] == 8 * MEBIBYTE
        assert 0 < status["memory"]["used"] <= 10 * MEBIBYTE, status["memory"]
        print(status["memory"])
    finally:
        clients.close()
    # Once they are gone, newcomers are let in.
    wait_until(lambda: connects(daemon), "newcomers are let in again")


def connects(daemon):
    try:
        RawWebSocket(daemon.port, "/ws").close()
        return True
    except AssertionError:
        return False
