"""The daemon refuses what exceeds its limits, and goes on."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from ports import free_port
from rawws import (
    BINARY,
    SAMPLE_KEY,
    TEXT,
    ConnectionEnded,
    Wire,
    check_refusal,
    check_upgrade,
    exchange,
    frame,
    handshake_headers,
    request,
)
from siege import processor_ticks
from waiting import wait_until
from wsdaemon import binary, clean_environment


def good_request(daemon, *extra):
    return request([*handshake_headers(f"127.0.0.1:{daemon.port}"), *extra])


def until_connected(daemon, **options):
    """Connects as soon as there is a slot."""

    def attempt():
        try:
            return daemon.connect(**options)
        except (AssertionError, ConnectionEnded, ConnectionResetError):
            return None

    return wait_until(attempt, "a slot is free again")


def test_one_connection_too_many_gets_503_and_when_to_come_again(start_wsd):
    daemon = start_wsd("[server]\nmax_connections = 5")
    clients = [daemon.connect() for _ in range(5)]
    for _ in range(3):
        response = check_refusal(exchange(daemon.port, good_request(daemon)), 503)
        assert int(response.header("Retry-After")) >= 1
    for client in clients:
        client.expect_echo()
        for other in clients:
            if other is not client:
                other.expect_message(TEXT, "still there")
    daemon.wait_for_log("max_connections")


def test_a_slot_is_used_again(start_wsd):
    daemon = start_wsd("[server]\nmax_connections = 3")
    clients = [daemon.connect() for _ in range(3)]
    for _ in range(10):
        check_refusal(exchange(daemon.port, good_request(daemon)), 503)
        clients.pop(0).close_properly()
        clients.append(until_connected(daemon))
    clients[-1].reset()
    until_connected(daemon).expect_echo()


def test_refused_handshakes_use_up_no_slot(start_wsd):
    daemon = start_wsd("[server]\nmax_connections = 2\nmax_connections_per_ip = 2")
    for _ in range(20):
        check_refusal(exchange(daemon.port, request([("Host", "x")], "/nope")), 404)
    first, second = until_connected(daemon), until_connected(daemon)
    first.expect_echo()
    second.expect_message(TEXT, "still there")


def test_one_connection_too_many_from_one_address_gets_429(start_wsd):
    daemon = start_wsd("[server]\nmax_connections_per_ip = 2")
    mine = [daemon.connect() for _ in range(2)]
    check_refusal(exchange(daemon.port, good_request(daemon)), 429)
    theirs = [daemon.connect(source="127.0.0.2") for _ in range(2)]
    check_refusal(exchange(daemon.port, good_request(daemon), source="127.0.0.2"), 429)
    mine[0].close_properly()
    until_connected(daemon).expect_echo()
    check_refusal(exchange(daemon.port, good_request(daemon)), 429)
    theirs[0].expect_message(TEXT, "still there")


TRUSTING = '[server]\nmax_connections_per_ip = 2\ntrusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]'


def forwarded(value):
    return [("X-Forwarded-For", value)]


def test_behind_a_trusted_proxy_the_forwarded_address_counts(start_wsd):
    daemon = start_wsd(TRUSTING)
    for address in ["198.51.100.7", "198.51.100.8", "2001:db8::7"]:
        for _ in range(2):
            daemon.connect(headers=forwarded(address))
        check_refusal(exchange(daemon.port, good_request(daemon, *forwarded(address))), 429)


def test_only_what_the_trusted_proxy_added_is_believed(start_wsd):
    daemon = start_wsd(TRUSTING)
    for spoofed in ["203.0.113.1", "203.0.113.2"]:
        daemon.connect(headers=forwarded(f"{spoofed}, 198.51.100.7"))
    third = forwarded("203.0.113.3, 198.51.100.7")
    check_refusal(exchange(daemon.port, good_request(daemon, *third)), 429)
    several = [("X-Forwarded-For", "203.0.113.4"), ("X-Forwarded-For", "198.51.100.7")]
    check_refusal(exchange(daemon.port, good_request(daemon, *several)), 429)
    through_two = forwarded("203.0.113.5, 198.51.100.7, 10.1.2.3")
    check_refusal(exchange(daemon.port, good_request(daemon, *through_two)), 429)
    daemon.connect(headers=forwarded("198.51.100.7, 198.51.100.9"))


def test_from_anyone_else_the_forwarded_address_is_not_believed(start_wsd):
    daemon = start_wsd(TRUSTING)
    for spoofed in ["203.0.113.1", "203.0.113.2"]:
        daemon.connect(source="127.0.0.2", headers=forwarded(spoofed))
    third = good_request(daemon, *forwarded("203.0.113.3"))
    check_refusal(exchange(daemon.port, third, source="127.0.0.2"), 429)


def test_a_forwarded_address_that_is_none_harms_nothing(start_wsd):
    daemon = start_wsd(TRUSTING)
    for value in ["", "unknown", "999.1.1.1", ",,,", "[::1", "x" * 5000]:
        wire = daemon.wire()
        wire.send(good_request(daemon, *forwarded(value)))
        assert wire.read_response().status in (101, 400, 429)
        wire.close()
    until_connected(daemon, headers=forwarded("198.51.100.7")).expect_echo()


def test_the_timers_exist_before_descriptors_can_run_out(start_wsd):
    """The runtime creates them for its first sleep, and ends the process if there is no descriptor for them."""
    daemon = start_wsd()
    with open("/proc/net/tcp") as table:
        inode = next(row.split()[9] for row in table if row.split()[1].endswith(f":{daemon.port:04X}"))
    clocks, listener = {}, None
    for number in map(int, os.listdir(f"/proc/{daemon.pid}/fd")):
        with contextlib.suppress(OSError), open(f"/proc/{daemon.pid}/fdinfo/{number}") as file:
            clocks |= {line.split()[1]: number for line in file if line.startswith("clockid:")}
            if os.readlink(f"/proc/{daemon.pid}/fd/{number}") == f"socket:[{inode}]":
                listener = number
    # That of CLOCK_BOOTTIME, which sleeps use, came before there was a listener.
    assert clocks["7"] < listener


def test_running_out_of_descriptors_harms_nobody_who_is_connected(start_wsd):
    daemon = start_wsd(prefix=("prlimit", "--nofile=160:160"))
    connected, waiting = [], []
    for _ in range(300):
        wire = Wire(daemon.port)
        daemon._clients.append(wire)
        wire.send(good_request(daemon))
        waiting.append(wire)

    # Each is accepted, refused properly, or waits in the backlog without an answer.
    for wire in waiting:
        wire.socket.settimeout(0.5 if len(connected) > 50 else 30)
        try:
            response = wire.read_response()
        except TimeoutError:
            continue
        if response.status == 101:
            check_upgrade(response, SAMPLE_KEY)
            connected.append(wire)
        else:
            check_refusal(response, 503)
            wire.close()
    assert 50 < len(connected) < 160, f"{len(connected)} of 300 connected"

    # Those connected go on.
    connected[0].send(frame(BINARY, b"go on"))
    for wire in connected:
        wire.socket.settimeout(30)
        assert wire.read(7) == b"\x82\x05go on"

    # Once some leave, new ones get in.
    for wire in waiting:
        if wire is not connected[0]:
            wire.close()
    until_connected(daemon).expect_echo("a new one")
    assert connected[0].read(11) == b"\x81\x09a new one"


def test_what_caps_the_open_files_is_named(start_wsd, tmp_path):
    """LimitNOFILE= is of use to a unit only, and not in a container that has less itself."""
    few = ("prlimit", "--nofile=160:160")
    text = "the limit of open files allows 118 connections, not server.max_connections = 100000; "
    log = start_wsd(prefix=few).log()
    container = Path("/run/systemd/container")
    if container.exists():
        name = container.read_text().strip()
        assert f"{text}raise the limit of the {name} container" in log and "which caps LimitNOFILE= in the unit" in log
    else:
        assert f"{text}raise LimitNOFILE= in the unit, and fs.nr_open where that is lower" in log
    (tmp_path / "wsd.toml").write_text("[api]\nlisten = []\n")
    by_hand = subprocess.Popen(
        [*few, binary("wsd"), "--config", tmp_path / "wsd.toml", "--listen", f"127.0.0.1:{free_port()}",
         "--control", tmp_path / "io.wsd.Control"],
        env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with by_hand:
        line = next(line for line in by_hand.stderr if "limit of open files" in line)
        by_hand.terminate()
    assert f"{text}raise the hard limit (ulimit -Hn;" in line and "LimitNOFILE" not in line


def test_running_out_of_descriptors_does_not_spin(start_wsd):
    daemon = start_wsd(prefix=("prlimit", "--nofile=160:160"))
    for _ in range(300):
        wire = daemon.wire()
        wire.send(good_request(daemon))
    for _ in range(3):
        before = processor_ticks(daemon)
        with Wire(daemon.port) as idle:
            assert idle.socket.fileno() >= 0
            try:
                idle.socket.settimeout(1)
                idle.socket.recv(1)
            except (TimeoutError, ConnectionResetError):
                pass
        used = processor_ticks(daemon) - before
        if used < 50:
            return
    pytest.fail(f"{used} ticks of the processor in a second of waiting")


def test_too_many_messages_a_second_close_with_1008(start_wsd):
    daemon = start_wsd("[limits]\nmessages_per_second = 5\nburst = 10")
    client, bystander = daemon.connect(), daemon.connect()
    client.send(b"".join(frame(TEXT, f"flood {number}") for number in range(100)))
    client.expect_failure(1008)
    got = [bystander.receive_text() for _ in range(10)]
    assert got == [f"flood {number}" for number in range(10)]
    bystander.send_text("calm")
    while (last := bystander.receive_text()) != "calm":
        assert last.startswith("flood")


def test_a_burst_within_the_limit_is_let_through(start_wsd):
    daemon = start_wsd("[limits]\nmessages_per_second = 1\nburst = 20")
    client = daemon.connect()
    for number in range(20):
        client.expect_echo(f"message {number}")


def test_fragments_and_pings_are_no_messages(start_wsd):
    daemon = start_wsd("[limits]\nmessages_per_second = 1\nburst = 3")
    client = daemon.connect()
    client.send_frame(TEXT, "", fin=False)
    for _ in range(50):
        client.send_frame(0, "x", fin=False)
    client.send_frame(0, "")
    client.expect_message(TEXT, "x" * 50)
