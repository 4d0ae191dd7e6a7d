"""No input, however wrong, ends the process, costs memory without bound, or disturbs others."""

import random
import struct

import pytest

from rawws import PING, PONG, TEXT, Wire, frame, handshake_headers, request
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


def test_hundreds_of_connections_that_say_nothing_are_let_go(besieged):
    wires = [besieged.wire() for _ in range(500)]
    for wire in wires:
        try:
            while wire.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
