"""No input, however wrong, ends the process, costs memory without bound, or disturbs others."""

import random
import struct

import pytest

from rawws import BINARY, CLOSE, PING, PONG, TEXT, Wire, frame, handshake_headers, request
from waiting import wait_until

# What a daemon that leaks nothing may have grown by: allocators keep some of what they once had.
SLACK = 48 << 20


@pytest.fixture
def besieged(start_wsd):
    """A daemon with a witness connected, who must hear and be heard after the siege; memory and descriptors checked."""
    daemon = start_wsd('[server]\nhandshake_timeout = "3s"')
    witness = daemon.connect()
    witness.expect_echo("before")
    memory, descriptors = daemon.resident_bytes, daemon.descriptor_count
    yield daemon
    assert daemon.is_alive(), f"the daemon ended with {daemon.process.returncode}"
    witness.expect_alive()
    daemon.connect().expect_alive()
    daemon.close_clients()
    wait_until(lambda: daemon.descriptor_count <= descriptors + 4, "the descriptors are given back")
    assert daemon.resident_bytes < memory + SLACK, f"from {memory >> 20} to {daemon.resident_bytes >> 20} MiB"


def test_a_storm_of_connections_reset_at_once(besieged):
    for _ in range(3000):
        Wire(besieged.port).reset()


def test_a_storm_of_handshakes_reset_before_their_answer(besieged):
    data = request(handshake_headers(f"127.0.0.1:{besieged.port}"))
    for number in range(2000):
        wire = Wire(besieged.port)
        wire.send(data[: number % len(data) + 1] if number % 2 else data)
        wire.reset()


def test_a_storm_of_established_connections_reset_among_messages(besieged):
    for _ in range(300):
        client = besieged.connect()
        client.send(frame(TEXT, "hit") + frame(TEXT, "and run")[:6])
        client.reset()


def send_and_forget(wire, data):
    """Sends what the server still wants to hear."""
    try:
        wire.send(data)
    except OSError:
        pass


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_instead_of_a_handshake(besieged, seed):
    choice = random.Random(seed)
    for _ in range(100):
        with Wire(besieged.port) as wire:
            send_and_forget(wire, choice.randbytes(choice.randrange(1, 3000)))


@pytest.mark.parametrize("seed", range(4))
def test_a_handshake_with_random_damage(besieged, seed):
    choice = random.Random(seed)
    good = request(handshake_headers(f"127.0.0.1:{besieged.port}"))
    for _ in range(200):
        data = bytearray(good)
        for _ in range(choice.randrange(1, 6)):
            position = choice.randrange(len(data))
            match choice.randrange(3):
                case 0:
                    data[position] = choice.randrange(256)
                case 1:
                    del data[position : position + choice.randrange(1, 20)]
                case 2:
                    data[position:position] = choice.randbytes(choice.randrange(1, 20))
            if not data:
                break
        with Wire(besieged.port) as wire:
            send_and_forget(wire, data)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_instead_of_frames(besieged, seed):
    choice = random.Random(seed)
    for _ in range(100):
        client = besieged.connect()
        send_and_forget(client, choice.randbytes(choice.randrange(1, 5000)))
        client.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_frames_cut_at_random(besieged, seed):
    choice = random.Random(seed)
    for _ in range(60):
        client = besieged.connect()
        data = b"".join(
            frame(
                choice.choice([0, 1, 1, 2, 2, 8, 9, 10, choice.randrange(16)]),
                choice.randbytes(choice.choice([0, 1, 125, 126, 1000])),
                fin=choice.random() < 0.7,
                rsv=choice.choice([0] * 9 + [choice.randrange(8)]),
                masked=choice.random() < 0.95,
                length_bytes=8,
            )
            for _ in range(8)
        )
        while data:
            size = choice.randrange(1, 400)
            send_and_forget(client, data[:size])
            data = data[size:]
        client.close()


def test_peers_that_close_only_their_half(besieged):
    for number in range(200):
        client = besieged.connect()
        client.send(frame(TEXT, f"half {number}")[: 3 if number % 2 else None])
        client.half_close()
        client.receive_to_end()
        client.close()


def test_a_thousand_pings_at_once_are_answered_in_order_up_to_the_last(besieged):
    client = besieged.connect()
    client.send(b"".join(frame(PING, struct.pack("!I", number)) for number in range(1000)))
    # A server may answer only the latest of several pings (RFC 6455, section 5.5.3).
    answered = []
    while not answered or answered[-1] != 999:
        got = client.receive_frame()
        assert got.opcode == PONG
        answered.append(struct.unpack("!I", got.payload)[0])
    assert answered == sorted(set(answered))


def test_a_flood_of_pings_whose_answers_nobody_reads_costs_no_memory(besieged):
    client = besieged.connect(receive_buffer=4096)
    client.socket.settimeout(2)
    flood = frame(PING, "x" * 125) * 1000
    try:
        for _ in range(400):
            client.send(flood)
    except OSError:
        pass
    assert besieged.resident_bytes < 200 << 20


def test_huge_announced_lengths_cost_no_memory(besieged):
    for announced in (1 << 24, 1 << 31, 1 << 40, (1 << 63) - 1):
        clients = [besieged.connect() for _ in range(20)]
        for client in clients:
            send_and_forget(client, frame(BINARY, b"", announce=announced))
        for client in clients:
            assert client.receive_close()[0] == 1009


def test_many_messages_begun_and_never_finished_cost_what_was_sent_and_no_more(besieged):
    clients = [besieged.connect() for _ in range(200)]
    for client in clients:
        client.send(frame(BINARY, b"", announce=1 << 20) + b"only a little")
    witness = besieged.connect()
    witness.expect_echo("meanwhile")
    assert besieged.resident_bytes < 100 << 20
    for client in clients:
        client.reset()


def test_a_flood_of_empty_fragments_ends_or_goes_on_but_costs_no_memory(besieged):
    client = besieged.connect()
    client.send_frame(TEXT, "", fin=False)
    empty = frame(0, "", fin=False) * 2000
    for _ in range(100):
        send_and_forget(client, empty)
    send_and_forget(client, frame(0, ""))
    got = client.receive_frame()
    assert got.opcode in (TEXT, CLOSE)


def test_hundreds_of_connections_that_say_nothing_are_let_go(besieged):
    wires = [besieged.wire() for _ in range(500)]
    for wire in wires:
        try:
            while wire.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
