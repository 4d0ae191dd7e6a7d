"""The graceful end: SIGTERM and SIGINT, as clients and the service manager see them."""

import contextlib
import select
import signal
import socket
import time
from pathlib import Path

import pytest

from rawws import BINARY, CLOSE, ClosedByServer, RawWebSocket
from waiting import wait_until

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


@SIGNALS
def test_every_client_is_told_1001_and_why_and_the_exit_code_is_0(start_wsd, number):
    daemon = start_wsd(workers=3)
    clients = [daemon.connect() for _ in range(30)]
    daemon.signal(number)
    for client in clients:
        code, reason = client.receive_close()
        assert code == 1001 and reason
        client.answer_close(1001)
    assert daemon.wait() == 0
    assert "STOPPING=1" in daemon.notified()


@SIGNALS
def test_without_clients_it_ends_at_once(start_wsd, number):
    daemon = start_wsd('[drain]\nperiod = "10m"\ntimeout = "20m"')
    assert daemon.stop(number) == 0


def test_a_signal_right_after_readiness_is_heeded(start_wsd):
    for number in [signal.SIGTERM, signal.SIGINT] * 20:
        daemon = start_wsd()
        assert daemon.stop(number) == 0


def test_no_new_client_gets_in(start_wsd):
    daemon = start_wsd('[drain]\nperiod = "0s"\ntimeout = "2m"')
    client = daemon.connect()
    daemon.signal()
    assert client.receive_close()[0] == 1001
    # The daemon waits for the answer to its close; meanwhile somebody else tries.
    with pytest.raises(ConnectionRefusedError):
        RawWebSocket(daemon.port)
    client.answer_close(1001)
    assert daemon.wait() == 0


def test_a_handshake_on_its_way_does_not_hold_up_the_end(start_wsd):
    daemon = start_wsd('[server]\nhandshake_timeout = "10m"\n[drain]\nperiod = "0s"\ntimeout = "10m"')
    daemon.wire().send(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    daemon.connect().expect_echo()
    daemon.close_clients()
    daemon.wire().send(b"GET /")
    assert daemon.stop() == 0


def test_what_was_queued_arrives_before_the_close(start_wsd):
    daemon = start_wsd(
        """
        [queue]
        limit = "64MiB"
        write_timeout = "10m"
        [drain]
        period = "0s"
        timeout = "2m"
        [websocket]
        close_timeout = "2m"
        """
    )
    publisher, slow = daemon.connect(), daemon.connect(receive_buffer=4096)
    size, count = 16 << 10, 1000
    for number in range(count):
        publisher.send_binary(number.to_bytes(4, "big") * (size // 4))
        publisher.receive()
    daemon.signal()
    code, _ = publisher.receive_close()
    assert code == 1001
    publisher.answer_close(1001)
    for number in range(count):
        slow.expect_message(BINARY, number.to_bytes(4, "big") * (size // 4))
    got = slow.receive_frame()
    assert got.opcode == CLOSE and got.payload[:2] == (1001).to_bytes(2, "big")
    slow.answer_close(1001)
    assert daemon.wait() == 0


def closed_among(clients):
    """The clients that have something to read, which in a silent channel is a close frame."""
    readable, _, _ = select.select([client.socket for client in clients], [], [], 0.1)
    return [client for client in clients if client.socket in readable]


def test_closes_are_spread_and_those_not_yet_closed_go_on(start_wsd):
    """The period is far longer than the test: nothing here depends on how fast anything is."""
    daemon = start_wsd('[drain]\nperiod = "5m"\ntimeout = "10m"')
    clients = [daemon.connect() for _ in range(100)]
    daemon.signal()
    first = wait_until(lambda: closed_among(clients), "the first client is closed")
    assert len(first) < len(clients) // 2, "the closes are not spread"
    for client in first:
        assert client.receive_close()[0] == 1001
        client.answer_close(1001)
        clients.remove(client)

    # One that is still open says something, and it reaches the others that are.
    clients[-1].send_text("not yet")
    reached = []
    for client in clients:
        try:
            assert client.receive_text() == "not yet"
            reached.append(client)
        except ClosedByServer as closed:  # its turn came before the message
            assert closed.code == 1001
            client.answer_close(1001)
    assert len(reached) > len(clients) // 2

    # A second signal hurries. The daemon waits a second for answers, and may be gone before the last of them.
    daemon.signal()
    for client in reached:
        assert client.receive_close()[0] == 1001
        with contextlib.suppress(OSError):
            client.answer_close(1001)
    assert daemon.wait() == 0


def test_closes_are_spread_evenly_over_the_period(start_wsd):
    """None comes before its time, however busy a machine is, and nothing but a fault makes a pause of half the period."""
    period, count, workers = 5, 50, 2
    daemon = start_wsd(f'[drain]\nperiod = "{period}s"\ntimeout = "2m"', workers=workers)
    waiting = [daemon.connect() for _ in range(count)]
    began = time.monotonic()
    daemon.signal()
    times = []
    while waiting:
        for client in closed_among(waiting):
            times.append(time.monotonic() - began)
            assert client.receive_close()[0] == 1001
            client.answer_close(1001)
            waiting.remove(client)
    assert daemon.wait() == 0
    # Each worker closes its first at once, and then one in each equal part of the period.
    for number, at in enumerate(times):
        assert at >= (number - workers) * period / count - 0.2, f"{number + 1} were closed after {at:.2f} s"
    assert max(later - earlier for earlier, later in zip(times, times[1:])) < period / 2, times


def test_a_third_signal_ends_it_then_and_there(start_wsd):
    """The second waits a second for the clients, without fail; a machine too busy to be faster gets more tries."""
    for _ in range(10):
        daemon = start_wsd('[drain]\nperiod = "10m"\ntimeout = "20m"\n[websocket]\nclose_timeout = "20m"')
        clients = [daemon.connect() for _ in range(5)]
        daemon.signal()
        wait_until(lambda: "STOPPING=1" in daemon.notified(), "the daemon says that it stops")
        second = time.monotonic()
        daemon.signal()
        daemon.wait_for_log("hurrying")
        daemon.signal()
        assert daemon.wait() == 0
        took = time.monotonic() - second
        for client in clients:
            client.receive_to_end()
        if took < 0.9:
            return
    pytest.fail(f"the daemon ended {took:.1f} s after the second signal, although there was a third")


@SIGNALS
def test_a_second_signal_hurries_past_clients_that_never_answer(start_wsd, number):
    daemon = start_wsd('[drain]\nperiod = "10m"\ntimeout = "20m"\n[websocket]\nclose_timeout = "20m"')
    clients = [daemon.connect() for _ in range(20)]
    daemon.signal(number)
    wait_until(lambda: "STOPPING=1" in daemon.notified(), "the daemon says that it stops")
    assert daemon.is_alive()
    daemon.signal(number)
    assert daemon.wait() == 0
    for client in clients:
        client.receive_to_end()


def test_a_client_that_never_answers_is_dropped_by_the_drain_timeout(start_wsd):
    daemon = start_wsd('[drain]\nperiod = "0s"\ntimeout = "1s"\n[websocket]\nclose_timeout = "20m"')
    client = daemon.connect()
    daemon.signal()
    assert client.receive_close()[0] == 1001
    assert daemon.wait() == 0
    client.receive_to_end()


def test_a_client_that_reads_nothing_is_dropped_by_the_drain_timeout(start_wsd):
    daemon = start_wsd(
        '[queue]\nlimit = "64MiB"\nwrite_timeout = "20m"\n[drain]\nperiod = "0s"\ntimeout = "1s"\n'
        '[websocket]\nclose_timeout = "20m"'
    )
    publisher, slow = daemon.connect(), daemon.connect(receive_buffer=4096)
    for _ in range(800):
        publisher.send_binary(bytes(16 << 10))
        publisher.receive()
    daemon.signal()
    assert publisher.receive_close()[0] == 1001
    publisher.answer_close(1001)
    assert daemon.wait() == 0
    slow.discard_to_end()


def test_clients_that_leave_meanwhile_end_it_early(start_wsd):
    daemon = start_wsd('[drain]\nperiod = "10m"\ntimeout = "20m"')
    clients = [daemon.connect() for _ in range(5)]
    daemon.signal()
    wait_until(lambda: "STOPPING=1" in daemon.notified(), "the daemon says that it stops")
    for client in clients:
        client.close()
    assert daemon.wait() == 0


def test_the_service_manager_is_told(start_wsd):
    daemon = start_wsd('[drain]\nperiod = "0s"\ntimeout = "1m"')
    client = daemon.connect()
    assert any(line.startswith("STATUS=") for line in daemon.notified())
    daemon.signal()
    assert client.receive_close()[0] == 1001
    wait_until(lambda: "STOPPING=1" in daemon.notified(), "STOPPING=1")
    wait_until(lambda: any("rain" in line for line in daemon.notified()), "the status tells of the drain")
    client.answer_close(1001)
    assert daemon.wait() == 0


def test_the_control_sockets_are_removed(start_wsd):
    daemon = start_wsd()
    assert Path(daemon.control).is_socket() and Path(daemon.status_path).is_socket()
    assert daemon.stop() == 0
    assert not Path(daemon.control).exists() and not Path(daemon.status_path).exists()


def test_a_drain_waits_for_nobody_who_does_not_read(start_wsd):
    """Not even for the service manager, whose queue holds ten notifications (net.unix.max_dgram_qlen)."""
    daemon = start_wsd("[drain]\nperiod = '1s'")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                others.sendto(b"STATUS=full", str(daemon.notify_path))
    client = daemon.connect()
    daemon.signal()
    assert client.receive_close()[0] == 1001
    client.close()
    assert daemon.wait() == 0
