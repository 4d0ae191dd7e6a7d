"""Input whose work grows faster than its bytes: a small message must not be seconds of the worker's time."""

import json
import shutil
import tempfile
import time

import pytest

import hostile_cost
from attacks import (
    ENDPOINTS, FORGIVING, KEY, OFFER, Flood, HonestPings, deflated_frame, escaped, joined, processor_nanoseconds,
    text_frame,
)  # fmt: skip
from rawws import BINARY, RSV1, TEXT, Wire, frame
from siege import status_of
from wsdaemon import Daemon

CONFIGURATION = FORGIVING + ENDPOINTS
# What a byte of refused input may cost. The aim is 5 ns (hostile_cost.py shows all); this is what only a fault reaches on a
# busy machine, where the caches are others' as well, and where a connection's own cost is in the figure.
NANOSECONDS_PER_BYTE = 80

TEXTS = hostile_cost.json_kinds()


@pytest.mark.parametrize("kind", ["escaped member name", "escaped member name, \\n"])
def test_an_escaped_member_name_of_a_mebibyte_keeps_nobody_waiting(start_wsd, kind):
    daemon = start_wsd(CONFIGURATION, workers=1)
    attacker = daemon.connect("/chat", offer=OFFER, timeout=60)
    attacker.receive_text()
    message = deflated_frame(TEXTS[kind])
    assert len(message) < 2000
    with HonestPings(daemon):
        attacker.send(message * 10)
        for _ in range(10):
            assert json.loads(attacker.receive_text())["type"] in ("ack", "error")


def test_escaped_names_of_the_channels_one_is_in_keep_nobody_waiting(start_wsd):
    """Each is compared with every channel that the client is in: 128 of them, a few bytes deflated."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    names = [f"{number:03d}" + "x" * 252 for number in range(128)]
    attacker = joined(daemon, names, offer=OFFER, timeout=60)
    chat = deflated_frame('{"type":"chat","data":0,"channel":%s}' % escaped(names[-1]))
    with HonestPings(daemon), Flood([attacker], chat * 1000, times=1):
        time.sleep(2)


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind[0] != "("])
def test_a_byte_of_json_costs_little_whatever_it_says(shared_worker, kind):
    attacker = shared_worker.connect("/chat", timeout=60)
    attacker.receive_text()
    data = frame(TEXT, TEXTS[kind], key=KEY)
    before = processor_nanoseconds(shared_worker)
    attacker.send(data)
    attacker.send_text('{"type":"ping","id":"the end"}')
    while '"id":"the end"' not in attacker.receive_text():
        pass
    attacker.close()
    cost = (processor_nanoseconds(shared_worker) - before) / len(data)
    print(f"{cost:.1f} ns a byte")
    assert cost < NANOSECONDS_PER_BYTE, f"{cost:.0f} ns a byte of {kind!r}"


HEADS = {**hostile_cost.heads(), **hostile_cost.accepted_heads()}


@pytest.mark.parametrize("kind", HEADS)
def test_a_byte_of_a_request_costs_little_whatever_it_says(shared_worker, kind):
    count = 8
    # A connection has a price of its own, which a short request shows.
    costs = []
    for data in (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", HEADS[kind]):
        before = processor_nanoseconds(shared_worker)
        for _ in range(count):
            with Wire(shared_worker.port) as wire:
                wire.send(data)
                wire.read_response()
        opened = shared_worker.connect("/honest")
        opened.close_properly()
        costs.append((processor_nanoseconds(shared_worker) - before) / count)
    cost = (costs[1] - costs[0]) / len(HEADS[kind])
    print(f"{cost:.1f} ns a byte, {costs[0]:.0f} ns a connection")
    assert cost < NANOSECONDS_PER_BYTE, f"{cost:.0f} ns a byte of {kind!r}"


@pytest.fixture(scope="module")
def shared_worker():
    """A daemon with one worker for the tests that measure."""
    directory = tempfile.mkdtemp(prefix="wsd-")
    daemon = Daemon(directory, hostile_cost.CONFIGURATION, workers=1)
    yield daemon
    daemon.finish()
    shutil.rmtree(directory)


DEFLATED = {kind: payload for kind, payload in hostile_cost.bad_deflate().items() if "bomb" not in kind}


@pytest.mark.parametrize("kind", DEFLATED)
def test_deflate_blocks_that_say_nothing_keep_nobody_waiting(start_wsd, kind):
    """A mebibyte of blocks without content inflates to nothing, and each wants its tables."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    attackers = [daemon.connect("/ws", offer=OFFER) for _ in range(4)]
    with HonestPings(daemon), Flood(attackers, frame(BINARY, DEFLATED[kind], rsv=RSV1, key=KEY)):
        time.sleep(2)


@pytest.mark.parametrize("path", ["/ws", "/chat"])
def test_bombs_in_one_packet_keep_nobody_waiting(start_wsd, path):
    """A thousand messages of a mebibyte, a kilobyte deflated each: what is budgeted is what comes out of them."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    attackers = [daemon.connect(path, offer=OFFER) for _ in range(4)]
    bomb = deflated_frame("0" * (1 << 20))
    with HonestPings(daemon), Flood(attackers, bomb * 200):
        time.sleep(2)


def test_requests_of_many_fields_from_many_connections_keep_nobody_waiting(start_wsd):
    """300 at once, each of 16 KiB with 4,000 fields."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    data = HEADS["head: smallest fields"]
    with HonestPings(daemon):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            wires = [daemon.wire() for _ in range(300)]
            for wire in wires:
                wire.send(data[:-2])
            for wire in wires:
                wire.send(data[-2:])
            for wire in wires:
                wire.read_response()
            daemon.close_clients()


def test_chats_past_a_client_that_reads_nothing_cost_no_walk_over_its_queue(start_wsd):
    """`drop-oldest` with a queue full of small messages, each a turn's own: one more drops one."""
    queue = '[queue]\npolicy = "drop-oldest"\nlimit = "16KiB"\nwrite_timeout = "10m"\n'
    daemon = start_wsd(queue + CONFIGURATION, workers=1)
    talker = daemon.connect("/ws")
    small = text_frame("tiny")

    def cost_of(count):
        before = processor_nanoseconds(daemon)
        for _ in range(count):
            talker.send(small)
            talker.receive_frame()
        return (processor_nanoseconds(daemon) - before) / count

    usual = cost_of(1000)
    stuck = [daemon.connect("/ws", receive_buffer=4096) for _ in range(4)]
    large = frame(BINARY, bytes(4 << 10), key=KEY)
    while status_of(daemon)["slowConsumers"] < len(stuck):
        talker.send(large)
        talker.receive_frame()
    cost_of(16 * 1024 // len("12tiny") + 1000)
    # The least of several: a walk would cost each of them, and what else the machine does only some.
    full = min(cost_of(100) for _ in range(5))
    print(f"{usual:.0f} ns for a message, {full:.0f} ns with {len(stuck)} queues that are full")
    assert full < usual + len(stuck) * 10_000
