"""Much of what is small: frames, fragments, channels, users and connections that come and go by the thousand."""

import contextlib
import itertools
import threading
import time

import pytest

from attacks import (
    ENDPOINTS, FORGIVING, KEY, MEBIBYTE, Flood, HonestPings, Memory, asking, channel_count, joined, reading, text_frame,
)  # fmt: skip
from crowd import Crowd
from rawws import BINARY, CONTINUATION, PING, PONG, RawWebSocket, frame
from siege import status_of
from waiting import wait_until

CONFIGURATION = FORGIVING + ENDPOINTS
BOUNDED = '[limits]\nmemory = "64MiB"\nerrors_per_minute = 0\n'
ROOM = 64 * MEBIBYTE


def test_frames_one_byte_at_a_time_from_many_keep_nobody_waiting(start_wsd):
    daemon = start_wsd(CONFIGURATION, workers=1)
    attackers = [daemon.connect("/ws") for _ in range(50)]
    message = frame(BINARY, b"slow", key=KEY)
    with HonestPings(daemon), Memory(daemon, 16 * MEBIBYTE):
        end = time.monotonic() + 2
        for position in itertools.cycle(range(len(message))):
            if time.monotonic() > end:
                break
            for attacker in attackers:
                attacker.send(message[position : position + 1])
            for attacker in attackers if position == len(message) - 1 else ():
                with contextlib.suppress(BlockingIOError):
                    attacker.socket.setblocking(False)
                    while attacker.socket.recv(65536):
                        pass
                attacker.socket.settimeout(30)


@pytest.mark.parametrize("kind", ["empty pings", "full pings", "empty fragments", "fragments of a byte", "pongs"])
def test_floods_of_small_frames_keep_nobody_waiting(start_wsd, kind):
    daemon = start_wsd('[queue]\nwrite_timeout = "10m"\n' + CONFIGURATION, workers=1)
    begin = frame(BINARY, b"", fin=False, key=KEY)
    one = {
        "empty pings": frame(PING, b"", key=KEY),
        "full pings": frame(PING, b"x" * 125, key=KEY),
        "empty fragments": frame(CONTINUATION, b"", fin=False, key=KEY),
        "fragments of a byte": frame(CONTINUATION, b"x", fin=False, key=KEY),
        "pongs": frame(PONG, b"", key=KEY),
    }[kind]
    attackers = [daemon.connect("/ws", receive_buffer=4096) for _ in range(4)]
    for attacker in attackers:
        attacker.send(begin)
    # Fragments of a byte reach the largest message's size one day; that is another test's.
    times = 9 if kind == "fragments of a byte" else None
    with HonestPings(daemon), Memory(daemon, 32 * MEBIBYTE), Flood(attackers, one * 100_000, reads=False, times=times):
        time.sleep(2)


def test_joins_and_leaves_of_names_nobody_else_knows_leave_nothing(start_wsd):
    """200,000 of them, by names that never come again, some of channels with presence and history."""
    rooms = '[channels."room:*"]\npresence = true\njoin_leave = true\nhistory = 10\n'
    daemon = start_wsd(CONFIGURATION + rooms)
    attackers = [daemon.connect("/chat") for _ in range(2)]
    data = [
        b"".join(
            text_frame(asking(kind, channel=f"{'room' if number % 2 else 'c'}:{place}.{number}"))
            for number in range(50_000)
            for kind in ("join", "leave")
        )
        for place in range(len(attackers))
    ]
    with HonestPings(daemon), Memory(daemon, 48 * MEBIBYTE), reading(attackers):
        before = status_of(daemon)["messagesIn"]
        for attacker, joins in zip(attackers, data):
            attacker.send(joins)
        wait_until(lambda: status_of(daemon)["messagesIn"] >= before + 200_000, "all is read")
    wait_until(lambda: channel_count(daemon) <= 2, "nobody's channels are gone")


def test_users_who_come_and_are_cut_off_keep_nobody_waiting_beside_many_channels(start_wsd):
    """Each who is lost is given up later; that must not be a walk over all channels for each."""
    rooms = '[channels."lobby"]\npresence = true\njoin_leave = true\nleave_delay = "100ms"\n'
    kept = '[channels."kept:*"]\nhistory = 1\n'
    endpoint = '[[endpoint]]\npath = "/lobby"\nprotocol = "json"\nchannel = "lobby"\n'
    limits = '[limits]\nerrors_per_minute = 0\nhistory_bytes = "1GiB"\n'
    daemon = start_wsd(limits + ENDPOINTS + endpoint + rooms + kept, workers=1)
    filler = daemon.connect("/chat")
    filler.receive_text()
    filler.send(b"".join(text_frame(asking("chat", channel=f"kept:{number}", data=0)) for number in range(100_000)))
    filler.send_text(asking("ping", id=1))
    filler.receive_text()
    is_over = threading.Event()

    def come_and_break():
        while not is_over.is_set():
            RawWebSocket(daemon.port, "/lobby").reset()

    threads = [threading.Thread(target=come_and_break) for _ in range(2)]
    with HonestPings(daemon):
        for thread in threads:
            thread.start()
        time.sleep(2)
        is_over.set()
        for thread in threads:
            thread.join()


def test_a_thousand_clients_in_as_many_channels_as_they_may_be_are_bounded(start_wsd):
    """128 channels of its own for each of 1,000: 128,000 channels."""
    daemon = start_wsd(BOUNDED + '[channels."*"]\npresence = true\njoin_leave = true\n' + ENDPOINTS)
    clients = []
    with HonestPings(daemon), Memory(daemon, 64 * MEBIBYTE + ROOM):
        for number in range(1000):
            with contextlib.suppress(AssertionError, OSError):
                client = RawWebSocket(daemon.port, "/chat")
                clients.append(client)
                joins = (asking("join", channel=f"{number}.{place}" + "x" * 200) for place in range(128))
                client.send(b"".join(map(text_frame, joins)))
        status_of(daemon)
    for client in clients:
        client.reset()
    wait_until(lambda: channel_count(daemon) <= 2, "nobody's channels are gone")


def test_connections_that_come_and_go_keep_nobody_waiting(start_wsd):
    daemon = start_wsd(CONFIGURATION, workers=1)
    with HonestPings(daemon), Memory(daemon, 32 * MEBIBYTE):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with Crowd(daemon.port, 500):
                pass


def test_many_who_chat_in_one_room_do_not_starve_who_is_elsewhere(start_wsd):
    """100 members who all speak: each message is a hundred, 10,000 in a round."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    members = [joined(daemon, ["room"]) for _ in range(100)]
    chats = text_frame(asking("chat", channel="room", data="x" * 100)) * 10
    with HonestPings(daemon), reading(members):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for member in members:
                # On a busy machine some members read too slowly, and are closed.
                with contextlib.suppress(OSError):
                    member.send(chats)


def test_many_who_speak_at_once_where_nobody_hears_himself_keep_nobody_waiting(start_wsd):
    """`echo = false`: what a sender is not to get is no walk over what all others are not to get."""
    daemon = start_wsd(CONFIGURATION + '[channels."quiet"]\necho = false\n', workers=1)
    members = [joined(daemon, ["quiet"]) for _ in range(100)]
    chats = text_frame('{"type":"chat","channel":"quiet","data":0}') * 100
    with HonestPings(daemon), reading(members):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for member in members:
                member.send(chats)
            # Each round is a million deliveries: as many as the hub takes, and not a queue of them.
            wait_until(lambda: status_of(daemon)["slowConsumers"] == 0, "the members have it all")
