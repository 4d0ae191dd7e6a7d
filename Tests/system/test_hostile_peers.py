"""Peers that go on after the end, that are no longer there, or that read a byte at a time."""

import pytest

from rawws import BINARY, CLOSE, TEXT, close_payload, frame
from siege import ENDPOINTS, many, send_until_cut_off, siege, status_of, vanish, wait_for_closed
from waiting import wait_until

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("end", ["close", "protocol error", "kick"])
def test_a_flood_after_the_end_is_not_heard_and_cut_off(start_wsd, end):
    daemon = start_wsd('[websocket]\nclose_timeout = "300ms"' + ENDPOINTS)
    with siege(daemon, growth=16 * MEBIBYTE):
        bystander, client = daemon.connect(), daemon.connect()
        flood = many(1, TEXT, b"too late" * 1000) * 100
        if end == "close":
            client.send(frame(CLOSE, close_payload(1000, "bye")) + flood)
            assert client.receive_close() == (1000, "")
        elif end == "protocol error":
            client.send(frame(TEXT, b"", rsv=7) + flood)
            assert client.receive_close()[0] == 1002
        else:
            [row] = [row for row in daemon.connections() if row["port"] == client.socket.getsockname()[1]]
            assert daemon.wsctl("kick", row["id"], "--code", "4001").returncode == 0
            assert client.receive_close()[0] == 4001
        send_until_cut_off(client, flood)
        daemon.wait_for_connections(3)
        bystander.expect_echo("nothing else")


def test_peers_that_vanished_end_with_the_heartbeat(start_wsd):
    daemon = start_wsd(
        '[websocket]\nping_interval = "300ms"\npong_timeout = "500ms"\nclose_timeout = "300ms"' + ENDPOINTS
    )
    descriptors = daemon.descriptor_count
    with siege(daemon, growth=16 * MEBIBYTE):
        clients = [daemon.connect() for _ in range(100)]
        for client in clients:
            vanish(client.socket)
        wait_for_closed(daemon, "pong_timeout", len(clients))
        wait_until(lambda: daemon.descriptor_count <= descriptors + 2, "their descriptors are given back")
        daemon.wait_for_log("no pong within")
        for client in clients:
            client.reset()


def test_peers_that_vanished_while_messages_flow_end_with_the_write_timeout(start_wsd):
    daemon = start_wsd(
        '[queue]\nlimit = "64MiB"\nwrite_timeout = "500ms"\n[websocket]\nping_interval = "0s"' + ENDPOINTS
    )
    with siege(daemon, growth=48 * MEBIBYTE):
        publisher, *clients = (daemon.connect() for _ in range(31))
        for client in clients:
            vanish(client.socket)
        # More than the kernel holds for each; 30 copies of it would be 480 MiB.
        for number in range(256):
            publisher.send_binary(bytes([number]) * (64 << 10))
            publisher.expect_message(BINARY, bytes([number]) * (64 << 10))
        wait_for_closed(daemon, "write_timeout", len(clients))
        publisher.expect_echo()
        for client in clients:
            client.reset()


def test_one_who_reads_byte_by_byte_gets_everything_and_delays_nobody(start_wsd):
    daemon = start_wsd('[queue]\nlimit = "64MiB"' + ENDPOINTS)
    with siege(daemon, growth=32 * MEBIBYTE):
        publisher, reader = daemon.connect(), daemon.connect(receive_buffer=1)
        expected = bytearray()
        for number in range(128):
            message = f"{number:08d}".encode() * 8192
            publisher.send_binary(message)
            publisher.expect_message(BINARY, message)
            expected += frame(BINARY, message, masked=False)
            for _ in range(300):
                reader.buffered += reader.socket.recv(1)
        assert status_of(daemon)["slowConsumers"] == 1
        assert reader.read(len(expected)) == expected


def test_one_who_reads_byte_by_byte_less_than_it_is_sent_ends_as_a_slow_consumer(start_wsd):
    daemon = start_wsd('[queue]\nlimit = "256KiB"\n[websocket]\nclose_timeout = "10m"' + ENDPOINTS)
    message = bytes(64 << 10)
    with siege(daemon, growth=32 * MEBIBYTE):
        publisher, reader = daemon.connect(), daemon.connect(receive_buffer=1)
        taken = bytearray()
        for _ in range(400):
            publisher.send_binary(message)
            publisher.expect_message(BINARY, message)
            for _ in range(100):
                taken += reader.socket.recv(1)
        daemon.wait_for_log("slow consumer")
        reader.buffered = taken
        frames = reader.receive_to_end()
        assert all((got.opcode, got.payload) == (BINARY, message) for got in frames[:-1]) and len(frames) < 400
        assert frames[-1].opcode == CLOSE
        assert frames[-1].payload == close_payload(1008, f"slow consumer: more than {256 << 10} bytes queued")
