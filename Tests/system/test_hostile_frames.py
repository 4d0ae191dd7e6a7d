"""Messages without end, lengths that nobody has, and floods of frames: each costs what the limits allow, no more."""

import threading
import time

import pytest

from rawws import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from siege import ENDPOINTS, many, processor_ticks, siege, status_of, wait_for_closed
from waiting import wait_until

MEBIBYTE = 1 << 20


def test_messages_byte_by_byte_cost_what_has_come_and_not_what_was_announced(start_wsd):
    """There is no time by which a message has to end: whoever sends shows that it is there, however little it is."""
    daemon = start_wsd('[websocket]\nping_interval = "500ms"\npong_timeout = "500ms"' + ENDPOINTS)
    data = frame(BINARY, b"", announce=MEBIBYTE - 1)
    # As announced it would be 300 MiB.
    with siege(daemon, growth=16 * MEBIBYTE):
        clients = [daemon.connect() for _ in range(300)]
        last = time.monotonic() + 2
        sent = 0
        while time.monotonic() < last or sent < len(data) + 20:
            for client in clients:
                client.send(data[sent : sent + 1] or b"x")
            sent += 1
            time.sleep(0.02)
        assert status_of(daemon)["connections"] == 302
        for client in clients[1:]:
            client.reset()
        # And it may end.
        clients[0].send(bytes(MEBIBYTE - 1 - (sent - len(data))))
        assert len(clients[0].receive()[1]) == MEBIBYTE - 1


def test_a_message_begun_and_left_alone_ends_with_the_heartbeat(start_wsd):
    daemon = start_wsd(
        '[websocket]\nping_interval = "2s"\npong_timeout = "3s"\nclose_timeout = "300ms"' + ENDPOINTS
    )
    with siege(daemon, growth=64 * MEBIBYTE):
        clients = [daemon.connect() for _ in range(60)]
        before = daemon.resident_bytes
        for number, client in enumerate(clients):
            begun = frame(BINARY, bytes(512 << 10), announce=MEBIBYTE)
            client.send(begun if number % 3 else begun[: number % 14 + 1])
        for client in clients:
            client.expect_failure(3008)
        wait_for_closed(daemon, "pong_timeout", len(clients))
        wait_until(lambda: daemon.resident_bytes < before + 8 * MEBIBYTE, "what they had sent is forgotten")


@pytest.mark.parametrize(
    "announced, code", [(1 << 40, 1009), ((1 << 63) - 1, 1009), (1 << 63, 1002), ((1 << 64) - 1, 1002)]
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, PING])
def test_lengths_that_nobody_has_are_refused_at_once(start_wsd, announced, code, opcode):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=8 * MEBIBYTE):
        for _ in range(20):
            client = daemon.connect()
            if opcode == CONTINUATION:
                client.send_frame(TEXT, "begun", fin=False)
            client.send_frame(opcode, b"", announce=announced)
            client.expect_failure(1002 if opcode == PING else code)


FLOODS = {
    "pongs": many(100_000, PONG, b"x"),
    "empty pongs": many(100_000, PONG),
    "empty fragments": frame(TEXT, b"", fin=False) + many(100_000, CONTINUATION, fin=False),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_million_frames_that_ask_for_nothing_cost_nothing(start_wsd, name):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=16 * MEBIBYTE) as conversation:
        ticks = processor_ticks(daemon)
        client = daemon.connect()
        client.send(FLOODS[name])
        rest = FLOODS[name] if "fragments" not in name else many(100_000, CONTINUATION, fin=False)
        for _ in range(9):
            client.send(rest)
        conversation.expect_progress()
        if "fragments" in name:
            client.send_frame(CONTINUATION, b"the end")
            client.expect_message(TEXT, "the end")
        client.expect_echo()
        used = processor_ticks(daemon) - ticks
    assert used < 400, f"{used} ticks of the processor for a million frames"


def test_a_message_of_a_million_fragments_of_a_byte_is_a_message(start_wsd):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=16 * MEBIBYTE):
        ticks = processor_ticks(daemon)
        client = daemon.connect()
        client.send(frame(TEXT, b"x", fin=False) + many(MEBIBYTE - 2, CONTINUATION, b"x", fin=False))
        client.send(frame(CONTINUATION, b"x"))
        client.expect_message(TEXT, b"x" * MEBIBYTE)
        used = processor_ticks(daemon) - ticks
    assert used < 400, f"{used} ticks of the processor for a million frames"


def test_fragments_of_a_byte_without_end_are_refused_at_the_limit(start_wsd):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=32 * MEBIBYTE):
        clients = [daemon.connect() for _ in range(4)]
        for client in clients:
            client.send(frame(BINARY, b"", fin=False) + many(MEBIBYTE, CONTINUATION, b"x", fin=False))
        for client in clients:
            client.send(many(1, CONTINUATION, b"x", fin=False))
            client.expect_failure(1009)


def test_control_frames_between_fragments_flood_nobody_and_damage_nothing(start_wsd):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=16 * MEBIBYTE):
        client = daemon.connect()
        part = frame(CONTINUATION, b"part", fin=False) + frame(PING, b"p") + frame(PONG, b"q") * 3
        client.send_frame(TEXT, b"begin", fin=False)
        for _ in range(200):
            client.send(part * 100)
            pongs = frame(PONG, b"p", masked=False) * 100
            assert client.read(len(pongs)) == pongs
        client.send_frame(CONTINUATION, b"end")
        client.expect_message(TEXT, b"begin" + b"part" * 20_000 + b"end")


@pytest.mark.parametrize("opcode, payload", [(PONG, b""), (CONTINUATION, b"")], ids=["pongs", "fragments"])
def test_more_who_flood_than_a_turn_takes_starve_nobody(start_wsd, opcode, payload):
    """A worker's turn takes 4 MiB, in reads of 256 KiB: whoever is ready behind sixteen such has its turn as well."""
    daemon = start_wsd(ENDPOINTS)
    data = many(40_000, opcode, payload, fin=opcode == PONG)
    is_over = threading.Event()

    def flood(client):
        try:
            while not is_over.is_set():
                client.send(data)
        except OSError:
            pass

    with siege(daemon, growth=48 * MEBIBYTE) as conversation:
        clients = [daemon.connect() for _ in range(40)]
        if opcode == CONTINUATION:
            for client in clients:
                client.send_frame(TEXT, b"", fin=False)
        threads = [threading.Thread(target=flood, args=(client,), daemon=True) for client in clients]
        try:
            for thread in threads:
                thread.start()
            wait_until(lambda: status_of(daemon)["bytesIn"] > 100 * MEBIBYTE, "the flood is on")
            conversation.expect_progress(10)
            # Nor does it keep newcomers out.
            daemon.connect("/pair").close()
        finally:
            is_over.set()
            for client in clients:
                client.reset()
            for thread in threads:
                thread.join()
