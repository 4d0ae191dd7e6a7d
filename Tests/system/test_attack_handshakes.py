"""Handshakes that never end, or that say too much."""

import contextlib
import socket
import ssl

import pytest

from attacks import ENDPOINTS, FORGIVING, MEBIBYTE, HonestPings, Memory
from rawws import (
    TEXT, RawWebSocket, Wire, changed, check_refusal, exchange, frame, handshake_headers, request,
)  # fmt: skip
from certificates import client_context
from securedaemon import SecureDaemon
from siege import status_of
from waiting import DEADLINE, wait_until

TRUSTING = 'trusted_proxies = ["127.0.0.1/32"]\n'


def half_open(daemon, count, source=None):
    """Connections on which nothing, or half a request, was ever sent."""
    wires = []
    for number in range(count):
        wire = daemon.wire(source=source)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            wire.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"")
        wires.append(wire)
    return wires


def is_ended(wire):
    """Whether the server has said something or gone."""
    wire.socket.settimeout(0)
    try:
        wire.socket.recv(1, socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        wire.socket.settimeout(DEADLINE)


def good(daemon, *fields):
    return request([*handshake_headers(f"127.0.0.1:{daemon.port}"), *fields])


def test_open_handshakes_of_an_address_are_as_many_as_its_connections(start_wsd):
    daemon = start_wsd('[server]\nmax_connections_per_ip = 20\nhandshake_timeout = "10m"\n')
    before = daemon.descriptor_count
    wires = half_open(daemon, 200)
    wait_until(lambda: sum(map(is_ended, wires)) >= 180, "180 of 200 open handshakes are refused")
    refused = [wire for wire in wires if is_ended(wire)]
    assert len(refused) == 180
    silent = [wire for wire in refused if wires.index(wire) % 2 == 0]
    check_refusal(silent[0].read_response(), 429)
    wait_until(lambda: daemon.descriptor_count <= before + 24, "what is refused is not held")
    # One more of the same address, in full, is refused; another address is not concerned.
    check_refusal(exchange(daemon.port, good(daemon)), 429)
    RawWebSocket(daemon.port, source="127.0.0.2").close()
    # Those that are held can still become connections, and those that end make room.
    held = [wire for wire in wires if wire not in refused]
    for wire in held:
        wire.close()
    wait_until(lambda: let_in(daemon), "there is room again")
    assert status_of(daemon)["refused"]["per_address_limit"] >= 181


def let_in(daemon):
    try:
        RawWebSocket(daemon.port).close()
        return True
    except (AssertionError, OSError):
        return False


def test_open_handshakes_and_connections_of_an_address_count_together(start_wsd):
    daemon = start_wsd('[server]\nmax_connections_per_ip = 4\nhandshake_timeout = "10m"\n')
    clients = [daemon.connect() for _ in range(2)]
    wires = half_open(daemon, 2)
    # Another worker may not have looked at them yet.
    wait_until(lambda: not let_in(daemon), "they are counted")
    check_refusal(exchange(daemon.port, good(daemon)), 429)
    # A handshake that is held becomes a connection, and is not counted twice.
    wires[0].send(good(daemon))
    assert wires[0].read_response().status == 101
    check_refusal(exchange(daemon.port, good(daemon)), 429)
    clients[0].close_properly()
    wait_until(lambda: let_in(daemon), "there is room again")


def test_open_handshakes_through_a_proxy_are_not_the_proxys(start_wsd):
    daemon = start_wsd('[server]\nmax_connections_per_ip = 4\nhandshake_timeout = "10m"\n' + TRUSTING)
    wires = half_open(daemon, 40)
    daemon.connect(headers=[("X-Forwarded-For", "198.51.100.7")])
    assert not any(map(is_ended, wires))


def test_open_handshakes_have_a_total(start_wsd):
    """The limit holds for all addresses together: a hundred are as bad as one."""
    daemon = start_wsd('[server]\nmax_connections = 40\nhandshake_timeout = "10m"\n')
    wires = [wire for number in range(10) for wire in half_open(daemon, 40, source=f"127.0.1.{number + 1}")]
    wait_until(lambda: sum(map(is_ended, wires)) >= 200, "most of 400 open handshakes are refused")
    first = next(wire for wire in wires[::2] if is_ended(wire))
    check_refusal(first.read_response(), 503)


@pytest.mark.parametrize("prefix", ["2001:db8:1:2", "fd00:1:2:3"])
def test_addresses_of_a_64_are_one_customer(start_wsd, prefix):
    daemon = start_wsd("[server]\nmax_connections_per_ip = 2\n" + TRUSTING)
    for end in ("::1", ":a:b:c:d"):
        daemon.connect(headers=[("X-Forwarded-For", prefix + end)])
    for end in ("::2", "::1", ":ffff:ffff:ffff:ffff"):
        check_refusal(exchange(daemon.port, good(daemon, ("X-Forwarded-For", prefix + end))), 429)
    # The next /64 is somebody else, and an IPv4 address is one address.
    neighbour = prefix[:-1] + "9::1"
    daemon.connect(headers=[("X-Forwarded-For", neighbour)])
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        for _ in range(2):
            daemon.connect(headers=[("X-Forwarded-For", address)])
        check_refusal(exchange(daemon.port, good(daemon, ("X-Forwarded-For", address))), 429)


def test_a_64_is_given_back_by_whichever_of_its_addresses_goes(start_wsd):
    daemon = start_wsd("[server]\nmax_connections_per_ip = 2\n" + TRUSTING)
    for number in range(20):
        client = RawWebSocket(daemon.port, headers=[("X-Forwarded-For", f"2001:db8::{number + 1}")])
        client.close_properly()
        # The daemon has ended its side, and counts the client until the client's end has come, too.
        wait_until(lambda: not daemon.connections(), "the client is counted no more")
    first, second = (daemon.connect(headers=[("X-Forwarded-For", f"2001:db8::{end}")]) for end in "ab")
    check_refusal(exchange(daemon.port, good(daemon, ("X-Forwarded-For", "2001:db8::c"))), 429)
    assert first and second


def test_requests_behind_an_upgrade_are_no_frames(start_wsd):
    """HTTP pipelining: what follows the upgrade is the WebSocket's, and no frame begins with a G."""
    daemon = start_wsd(ENDPOINTS)
    one = good(daemon)
    for count in (1, 100):
        client = RawWebSocket(daemon.port, pipelined=one * count)
        daemon._clients.append(client)
        client.expect_failure(1002)
    # Frames that come with the request are heard, in their order.
    client = RawWebSocket(daemon.port, pipelined=b"".join(frame(TEXT, f"{number}") for number in range(1000)))
    daemon._clients.append(client)
    for number in range(1000):
        client.expect_message(TEXT, f"{number}")


def test_much_that_is_sent_before_the_answer_is_not_held(start_wsd):
    """100 clients that send 4 MiB behind their request, and a byte less than the request needs before."""
    daemon = start_wsd(FORGIVING + ENDPOINTS, workers=1)
    body = frame(TEXT, "x" * 100_000) * 40
    with Memory(daemon, 64 * MEBIBYTE), HonestPings(daemon):
        for _ in range(100):
            wire = Wire(daemon.port, timeout=0.2)
            daemon._clients.append(wire)
            with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
                wire.send(changed_request(daemon) + body[: 1 << 18])


def changed_request(daemon):
    return request(changed(handshake_headers(f"127.0.0.1:{daemon.port}"), Upgrade="websocket"), "/chat")


@pytest.mark.parametrize("by_byte", [False, True])
def test_slow_and_large_heads_of_many_take_little_memory(start_wsd, by_byte):
    """300 requests of nearly 16 KiB that do not end."""
    daemon = start_wsd(FORGIVING + '[server]\nhandshake_timeout = "10m"\n' + ENDPOINTS, workers=1)
    with HonestPings(daemon), Memory(daemon, 24 * MEBIBYTE):
        wires = [daemon.wire() for _ in range(300)]
        for wire in wires:
            wire.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 16_000)
        for _ in range(20 if by_byte else 0):
            for wire in wires:
                wire.send(b"a")


def test_those_of_an_address_that_have_their_answer_and_stay_are_as_many_as_its_connections(start_wsd):
    daemon = start_wsd('[server]\nmax_connections_per_ip = 20\n[websocket]\nclose_timeout = "10m"\n')
    client = daemon.connect()
    wires = []
    for number in range(20):
        wire = daemon.wire()
        wires.append(wire)
        # A page or a refusal: the client keeps its side open behind either.
        wire.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"/" if number % 2 else b"/nothing"))
        assert wire.read_response().status == (200 if number % 2 else 404)
    check_refusal(exchange(daemon.port, good(daemon)), 429)
    RawWebSocket(daemon.port, source="127.0.0.2").close()
    client.expect_echo()
    wires[0].close()
    wait_until(lambda: let_in(daemon), "there is room again")


@pytest.fixture
def secure(wsd_directory):
    """Starts a daemon with TLS and one worker."""
    started = []

    def start(config=""):
        started.append(SecureDaemon(wsd_directory / str(len(started)), config, workers=1))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


class SlowHandshake:
    """A client of TLS that has sent its first message, and goes on later."""

    def __init__(self, daemon, source):
        self.wire = Wire(daemon.tls_port, source=source)
        daemon._clients.append(self.wire)
        self._input, self._output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(self._input, self._output)
        self._step(self._tls.do_handshake)

    def _step(self, function):
        """False if the server's next message is needed."""
        try:
            function()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            self.wire.send(self._output.read())

    def finish(self):
        while not self._step(self._tls.do_handshake):
            self._input.write(self.wire.socket.recv(65_536))


def test_half_handshakes_of_one_address_end_none_of_another(secure):
    daemon = secure({"server": {"handshake_timeout": "10m"}})
    honest = [SlowHandshake(daemon, "127.0.0.1") for _ in range(5)]
    attackers = []
    for _ in range(700):
        with contextlib.suppress(OSError):
            attackers.append(SlowHandshake(daemon, "127.0.0.2"))
    wait_until(lambda: status_of(daemon)["refused"].get("tls_failed", 0) >= 150, "there were too many")
    for client in honest:
        client.finish()
    assert "TLS handshakes are in progress" in daemon.wsctl("why", "127.0.0.2").stdout
    assert "TLS handshakes are in progress" not in daemon.wsctl("why", "127.0.0.1").stdout


def test_handshakes_that_end_for_their_memory_leave_a_trace(secure):
    daemon = secure({"limits": {"memory": "4MiB"}})
    wires = [Wire(daemon.tls_port) for _ in range(250)]
    # Most of a hello of 31,000 bytes, for which nobody makes room before it is whole.
    hello = bytes([22, 3, 1, 0x40, 0, 1, 0, 0x79, 0x18]) + bytes(16_380) + bytes([22, 3, 1, 0x39, 0]) + bytes(14_000)
    for wire in wires:
        with contextlib.suppress(OSError):
            wire.send(hello)
    wait_until(lambda: status_of(daemon)["refused"].get("memory_limit", 0) > 0, "they are counted")
    assert "while limits.memory was exceeded" in daemon.wsctl("why", "127.0.0.1").stdout
    assert status_of(daemon)["memory"]["used"] <= 5 * MEBIBYTE
