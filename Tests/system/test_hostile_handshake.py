"""Handshakes that never end, or are larger than any: answered in time, forgotten, and unnoticed by others."""

import select
import time

import pytest

from rawws import TEXT, check_refusal, frame, handshake_headers, request
from siege import ENDPOINTS, processor_ticks, siege, status_of
from waiting import DEADLINE, wait_until

MEBIBYTE = 1 << 20

DRIPS = {
    "in the request line": (b"GET /", b"a"),
    "in one header line": (b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a"),
    "in header after header": (b"GET /ws HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n"),
}


def drip_until_answered(wires, drops):
    """Sends to each a byte at a time until it has an answer; how many bytes each was sent by then, at least."""
    rounds = 0
    end = time.monotonic() + DEADLINE
    poll = select.poll()
    for wire in wires:
        poll.register(wire.socket, select.POLLIN)
    left = {wire.socket.fileno(): wire for wire in wires}
    while left:
        assert time.monotonic() < end, f"{len(left)} of {len(wires)} are still waited for after {rounds} bytes each"
        for wire in left.values():
            wire.send(drops[rounds % len(drops) : rounds % len(drops) + 1])
        rounds += 1
        for descriptor, _ in poll.poll(20):
            poll.unregister(descriptor)
            del left[descriptor]
    return rounds


@pytest.mark.parametrize("name", DRIPS)
def test_a_handshake_that_comes_byte_by_byte_and_never_ends_gets_408_in_time(start_wsd, name):
    start, drops = DRIPS[name]
    daemon = start_wsd('[server]\nhandshake_timeout = "1s"\n[websocket]\nclose_timeout = "300ms"' + ENDPOINTS)
    # A buffer of one read for each would be 100 MiB.
    with siege(daemon, growth=24 * MEBIBYTE):
        descriptors = daemon.descriptor_count
        begun = time.monotonic()
        wires = [daemon.wire() for _ in range(400)]
        for wire in wires:
            wire.send(start)
        assert drip_until_answered(wires, drops) >= 10, "too few to show that what comes doesn't put the end off"
        assert time.monotonic() - begun > 0.9, "they were not given the time they have"
        for wire in wires:
            check_refusal(wire.read_response(), 408)
            wire.expect_end(reset_allowed=True)
        assert status_of(daemon)["refused"] == {"timeout": 400}
        # They have not closed their side: the daemon closes its own all the same.
        wait_until(lambda: daemon.descriptor_count <= descriptors, "their descriptors are given back")


def test_a_handshake_and_messages_that_come_byte_by_byte_are_as_good_as_any(start_wsd):
    daemon = start_wsd(ENDPOINTS)
    with siege(daemon, growth=8 * MEBIBYTE):
        wires = [daemon.wire() for _ in range(4)]
        for wire in wires:
            wire.send_by_byte(request(handshake_headers(wire.host_header)))
            assert wire.read_response().status == 101
        text = b"byte by byte " * 400
        for speaker in wires:
            speaker.send_by_byte(frame(TEXT, text[:2000], fin=False) + frame(0, text[2000:]))
            for listener in wires:
                assert listener.read(4 + len(text)) == frame(TEXT, text, masked=False)


ENDLESS = {
    "a request line without end": (b"GET /", b"a" * 65536),
    "a header line without end": (b"GET /ws HTTP/1.1\r\nX-Long: ", b"a" * 65536),
    "a header name without end": (b"GET /ws HTTP/1.1\r\n", b"a" * 65536),
    "header after header": (b"GET /ws HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    "empty header values": (b"GET /ws HTTP/1.1\r\n", b"a:\r\n" * 16_000),
}


@pytest.mark.parametrize("limit", ["16KiB", "1MiB"])
@pytest.mark.parametrize("name", ENDLESS)
def test_a_header_without_end_gets_431_at_the_limit(start_wsd, name, limit):
    start, more = ENDLESS[name]
    daemon = start_wsd(f'[server]\nhandshake_timeout = "10m"\nmax_header_size = "{limit}"' + ENDPOINTS)
    # Each sends 4 MiB; all of it would be 80 MiB.
    with siege(daemon, growth=24 * MEBIBYTE):
        for _ in range(20):
            wire = daemon.wire()
            wire.send(start)
            for _ in range(64):
                wire.send(more)
            check_refusal(wire.read_response(), 431)
        assert status_of(daemon)["refused"] == {"header_too_large": 20}


def test_a_header_up_to_the_limit_byte_by_byte_costs_no_more_than_its_bytes(start_wsd):
    """Earlier bytes are scanned again only where a line may end: otherwise 16 KiB would cost 16,384 passes."""
    daemon = start_wsd('[server]\nhandshake_timeout = "10m"' + ENDPOINTS)
    with siege(daemon, growth=16 * MEBIBYTE):
        ticks = processor_ticks(daemon)
        wires = [daemon.wire() for _ in range(4)]
        for wire in wires:
            wire.send(b"GET /ws HTTP/1.1\r\nX-Long: ")
            wire.send_by_byte(b"a" * 16_000)
        used = processor_ticks(daemon) - ticks
        for wire in wires:
            wire.send(b"a" * 1000)
            check_refusal(wire.read_response(), 431)
    assert used < 400, f"{used} ticks of the processor for 64,000 bytes"
