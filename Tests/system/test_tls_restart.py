"""Restarts by which no client with TLS is closed, and no message lost, doubled or put in another place."""

import json
import socket
import ssl
import time

import pytest

from certificates import Certificate, client_context
from fdstore import ServiceManager
from rawws import TEXT, RawWebSocket, frame, handshake_headers, request
from restartcrowd import Crowd
from waiting import DEADLINE, wait_until

RELAY = {"endpoint": [{"path": "/ws", "protocol": "relay", "channel": "lobby"}]}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def service(wsd_directory):
    """A service manager with a store and a socket for TLS, and no daemon yet."""
    manager = ServiceManager(wsd_directory, certificate=Certificate(wsd_directory, "certificate"))
    yield manager
    manager.close()


class Sealing:
    """A TLS client whose records are bytes, to be sent in any parts."""

    def __init__(self, port, version=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context(version).wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._call(self._tls.do_handshake)

    def _call(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                received = self.socket.recv(65536)
                assert received, "the server has closed the connection"
                self._incoming.write(received)
            else:
                self.flush()
                return result

    def flush(self):
        self.socket.sendall(self._outgoing.read())

    def sealed(self, data):
        """The records with some data, which are not sent."""
        self._tls.write(data)
        return self._outgoing.read()

    def ended(self):
        """The record with the end, which is not sent."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The server's is missing, or something that was not read.
            pass
        return self._outgoing.read()

    def send(self, data):
        self.socket.sendall(self.sealed(data))

    def receive(self, count):
        data = b""
        while len(data) < count:
            data += self._call(self._tls.read, count - len(data))
        return data

    def close(self):
        self.socket.close()


def test_nobody_notices(service):
    service.start(Crowd.config())
    crowd = Crowd(service.port, tls_port=service.tls_port)
    try:
        for workers in (1, 4, 2):
            crowd.wait_for_more()
            crowd.forget_silence()
            service.restart(Crowd.config(), workers=workers)
            crowd.wait_for_more()
            print(f"{workers} workers: {crowd.longest_silence() * 1000:.0f} ms of silence")
    finally:
        crowd.finish()
    wait_until(lambda: service.left == [], "there is a snapshot instead")
    report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
    assert (report["adopted"], report["closed"]) == (40, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_records_that_are_not_complete_go_on(service, version):
    service.start(RELAY)
    listener = RawWebSocket(service.port)
    message = frame(TEXT, "hello" * 100)
    clients = [Sealing(service.tls_port, version) for _ in range(12)]
    head = request(handshake_headers("127.0.0.1"), "/ws")
    records = []
    for number, client in enumerate(clients):
        # The first of them have sent a part of their request, the others of their message.
        if number >= 4:
            client.send(head)
            assert client.receive(12) == b"HTTP/1.1 101"
        record = client.sealed(head if number < 4 else message)
        cut = (1, 4, 5, len(record) // 2, len(record) - 1)[number % 5]
        client.socket.sendall(record[:cut])
        records.append(record[cut:])
    wait_until(lambda: len(service.wsctl("list", "--json").stdout.splitlines()) == 9, "they are open")
    time.sleep(0.2)
    service.restart(RELAY, workers=3)
    for number, (client, record) in enumerate(zip(clients, records)):
        client.socket.sendall(record)
        if number < 4:
            assert client.receive(12) == b"HTTP/1.1 101"
        else:
            listener.expect_message(TEXT, "hello" * 100)
    for client in (*clients, listener):
        client.close()


def test_output_that_is_not_sent_goes_on(service):
    config = RELAY | {"queue": {"limit": "16MiB", "write_timeout": "60s"}}
    service.start(config)
    slow = RawWebSocket(service.tls_port, receive_buffer=4096, tls=client_context())
    fast = RawWebSocket(service.tls_port, tls=client_context())
    messages = [f"{number} " + "z" * 100_000 for number in range(60)]
    for message in messages:
        fast.send_text(message)
        fast.expect_message(TEXT, message)

    def waits():
        rows = [json.loads(line) for line in service.wsctl("list", "--json").stdout.splitlines()]
        return sum(row["queuedBytes"] for row in rows) > 100_000

    wait_until(waits, "output waits")
    for workers in (1, 2):
        service.restart(config, workers=workers)
    for message in messages:
        slow.expect_message(TEXT, message)
    slow.expect_alive()
    slow.close()
    fast.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_behind_the_end_is_nothing(service, version):
    """The rest of a packet with the end in it is not kept, so it can't be too long for the next process."""
    service.start(RELAY)
    stays = RawWebSocket(service.port)
    ends = [Sealing(service.tls_port, version) for _ in range(2)]
    ends[1].send(request(handshake_headers("127.0.0.1"), "/ws"))
    assert ends[1].receive(12) == b"HTTP/1.1 101"
    for client, data in zip(ends, (b"G", frame(TEXT, "a part")[:4])):
        client.socket.sendall(client.sealed(data) + client.ended() + bytes(30_000))
    # It is not there any more, although its socket is open.
    wait_until(lambda: len(service.wsctl("list", "--json").stdout.splitlines()) == 1, "they have ended")
    service.restart(RELAY)
    stays.expect_echo("after")
    for client in (*ends, stays):
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_tickets_are_good_after_a_restart(service, version):
    service.start(RELAY)
    context = client_context(version)

    def connected(session=None):
        plain = socket.create_connection(("127.0.0.1", service.tls_port), timeout=DEADLINE)
        secure = context.wrap_socket(plain, server_hostname="localhost", session=session)
        secure.sendall(request(handshake_headers("127.0.0.1"), "/ws"))
        assert secure.recv(12) == b"HTTP/1.1 101"
        return secure

    with connected() as before:
        session = before.session
    service.restart(RELAY)
    with connected(session) as after:
        assert after.session_reused


def test_what_cannot_be_kept_is_closed(service):
    both = {"endpoint": [*RELAY["endpoint"], {"path": "/chat", "protocol": "json", "channel": "room"}]}
    service.start(both)
    stays = RawWebSocket(service.tls_port, tls=client_context())
    goes = RawWebSocket(service.tls_port, "/chat", tls=client_context())
    goes.receive_text()
    # A handshake that is not done can't be handed on.
    half = socket.create_connection(("127.0.0.1", service.tls_port), timeout=DEADLINE)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    time.sleep(0.2)
    plan = json.loads(service.wsctl("restart", "--dry-run", "--json").stdout)
    assert (plan["kept"], plan["closed"]) == (2, {"their handshake of TLS is in progress": 1})
    service.restart(RELAY)
    assert "/chat" in goes.expect_failure(1012)
    assert half.recv(100) == b""
    stays.expect_alive()
    report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
    assert (report["adopted"], report["closed"]) == (1, 1)
    stays.close()
    half.close()
