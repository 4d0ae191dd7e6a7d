"""Connections that come, and go, by the thousand: nobody is refused, nobody who is connected waits, nothing is kept."""

import errno
import socket
import sys
import threading

import pytest

from crowd import Crowd
from rawws import TEXT, Wire, frame, handshake_headers, request
from siege import ENDPOINTS, SO_DETACH_FILTER, siege, status_of, vanish
from waiting import wait_until

MANY = 5000
MEBIBYTE = 1 << 20

# Does what systemd does for a socket unit (sd_listen_fds(3)): binds the configuration's port, and becomes the daemon.
PASS_LISTENER = """
import os, socket, sys, tomllib
config = tomllib.load(open(sys.argv[sys.argv.index("--config") + 1], "rb"))
listener = socket.create_server(("127.0.0.1", int(config["server"]["listen"][0].rpartition(":")[2])), backlog=4096)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "wsd"}
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def besieged(start_wsd):
    """A daemon in a storm: the pair goes on talking, and when it is over, memory and descriptors are as before."""
    daemon = start_wsd(ENDPOINTS)
    descriptors = daemon.descriptor_count
    with siege(daemon, growth=32 * MEBIBYTE) as conversation:
        yield daemon
        conversation.expect_progress()
        wait_until(lambda: daemon.descriptor_count <= descriptors + 2, "the descriptors are given back")
        status = wait_until(lambda: idle_status(daemon), "only the pair is left")
        assert status["refused"].get("connection_limit", 0) == 0
    assert daemon.is_alive()


def idle_status(daemon):
    """The status, once nobody but the pair is connected."""
    status = status_of(daemon)
    return status if status["connections"] == 2 else None


def test_thousands_connect_and_are_reset_at_once(besieged):
    for _ in range(4000):
        Wire(besieged.port).reset()


def test_thousands_connect_and_close_at_once(besieged):
    for _ in range(4000):
        Wire(besieged.port).close()


def test_handshakes_are_reset_at_every_byte_and_before_their_answer(besieged):
    data = request(handshake_headers(f"127.0.0.1:{besieged.port}"))
    for number in range(3000):
        with Wire(besieged.port) as wire:
            wire.send(data[: number % len(data) + 1] if number % 2 else data)
            wire.reset() if number % 3 else wire.close()


def test_those_who_are_connected_are_reset_within_messages_and_with_answers_unread(besieged):
    whole = frame(TEXT, "hit" * 1000)
    for number in range(1500):
        client = besieged.connect()
        client.send(whole * (number % 4) + whole[: number % len(whole)])
        client.reset()


def test_thousands_who_are_connected_are_reset_at_once(besieged):
    for _ in range(2):
        with Crowd(besieged.port, 2000):
            assert status_of(besieged)["connections"] == 2002


def start_directly(start_wsd):
    return start_wsd(ENDPOINTS)


def start_with_a_passed_listener(start_wsd):
    daemon = start_wsd(ENDPOINTS, prefix=(sys.executable, "-c", PASS_LISTENER))
    assert status_of(daemon)["listeners"] == [f"127.0.0.1:{daemon.port}"]
    return daemon


@pytest.mark.parametrize("start", [start_directly, start_with_a_passed_listener])
def test_five_thousand_at_once_are_all_let_in_and_spread_evenly(start_wsd, start):
    daemon = start(start_wsd)
    # Half a page for each connection would be 10 MiB; the buffer of one read for each, 1,250 MiB.
    with siege(daemon, growth=32 * MEBIBYTE) as conversation:
        progress = conversation.exchanged
        with Crowd(daemon.port, MANY):
            assert conversation.exchanged > progress, "the pair was not served while the crowd came"
            conversation.expect_progress()
            status = status_of(daemon)
            assert status["connections"] == status["accepted"] == MANY + 2
            assert sum(status["refused"].values()) == 0
            fewest, most = min(status["connectionsPerWorker"]), max(status["connectionsPerWorker"])
            assert len(status["connectionsPerWorker"]) == 2
            assert most - fewest <= MANY // 50, status["connectionsPerWorker"]
        wait_until(lambda: idle_status(daemon), "the crowd is gone")


def test_peers_that_begin_to_connect_and_fall_silent_keep_nobody_out(start_wsd):
    """The kernel keeps those who never acknowledge (tcp(7), tcp_max_syn_backlog); the daemon never hears of them."""
    daemon = start_wsd(ENDPOINTS)
    silent = []
    try:
        descriptors = daemon.descriptor_count
        with siege(daemon, growth=16 * MEBIBYTE) as conversation:
            for _ in range(1000):
                peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                silent.append(peer)
                vanish(peer)
                assert peer.connect_ex(("127.0.0.1", daemon.port)) == errno.EINPROGRESS
            with Crowd(daemon.port, 200):
                conversation.expect_progress()
                assert status_of(daemon)["connections"] == 202
                assert daemon.descriptor_count <= descriptors + 202 + 8
    finally:
        for peer in silent:
            peer.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            peer.close()


def test_one_storm_after_another_on_each_of_several_threads(besieged):
    """As many come at the same time as there are threads: accept(2) finds more than one, and none, and resets."""

    def storm():
        for number in range(800):
            with Wire(besieged.port) as wire:
                wire.send(request(handshake_headers(wire.host_header)))
                if number % 2:
                    wire.read_response()
                wire.reset()

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
