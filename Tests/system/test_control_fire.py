"""The control plane under fire: the data plane must not notice, and memory must stay bounded."""

import contextlib
import json
import socket
import struct
import threading

import pytest
from websockets.sync.client import connect

from crowd import Crowd
from waiting import DEADLINE, wait_until

MIB = 1 << 20


def opened(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # It waits for its place in the backlog; with a time limit it would not.
    connection.connect(path)
    connection.settimeout(DEADLINE)
    return connection


def call(method, parameters=None, **flags):
    return json.dumps({"method": method, "parameters": parameters or {}, **flags}).encode() + b"\0"


def reply(connection):
    text = b""
    while not text.endswith(b"\0"):
        piece = connection.recv(65536)
        assert piece, "it was closed"
        text += piece
    return json.loads(text[:-1])


class Chatter:
    """Two clients who talk without a break, and notice when they can't."""

    def __init__(self, hub):
        self.sender = connect(hub.url())
        self.receiver = connect(hub.url())
        self.count = 0
        self.is_over = False
        self.error = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over:
                self.sender.send(str(self.count))
                for client in (self.sender, self.receiver):
                    assert client.recv(timeout=DEADLINE) == str(self.count)
                self.count += 1
        except Exception as error:
            self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.sender.close()
        self.receiver.close()

    def goes_on(self):
        before = self.count
        wait_until(lambda: self.error or self.count > before + 20, "the clients talk on")
        assert self.error is None, self.error


def test_two_hundred_clients_at_once_are_all_answered(daemon):
    with Chatter(daemon) as chatter:
        clients = [opened(daemon.control) for _ in range(200)]
        for _ in range(20):
            for client in clients:
                client.sendall(call("io.wsd.Control.GetStatus"))
            for client in clients:
                assert reply(client)["parameters"]["status"]["connections"] == 2
        chatter.goes_on()
        for client in clients:
            client.close()


def test_clients_that_never_read_hold_one_reply_each(daemon):
    """Fifty of them ask for lists without end; the daemon keeps neither the lists nor the calls."""
    with Chatter(daemon) as chatter:
        before = daemon.resident_bytes
        clients = [opened(daemon.control) for _ in range(50)]
        for client in clients:
            client.setblocking(False)
            try:
                while True:
                    client.send(call("io.wsd.Control.GetStatus") * 100)
            except BlockingIOError:
                pass
        chatter.goes_on()
        assert daemon.resident_bytes - before < 50 * MIB
        for client in clients:
            client.close()
        assert daemon.wsctl("status").returncode == 0


def test_half_messages_and_silence_cost_little(daemon):
    with Chatter(daemon) as chatter:
        clients = [opened(daemon.control) for _ in range(200)]
        for client in clients:
            client.sendall(call("io.wsd.Control.GetStatus")[:-5])
        chatter.goes_on()
        for client in clients[:100]:
            client.sendall(call("io.wsd.Control.GetStatus")[-5:])
            assert "status" in reply(client)["parameters"]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        chatter.goes_on()


def test_messages_of_sixteen_mebibytes(daemon):
    with Chatter(daemon) as chatter:
        # Just below the limit of a call: read, and refused for what it asks.
        client = opened(daemon.control)
        client.sendall(call("io.wsd.Control.Broadcast", {"message": "x" * (15 * MIB)}))
        assert reply(client)["error"] == "io.wsd.Control.MessageTooLarge"
        # Beyond it: cut off, whoever it is, at a bounded cost.
        for path in (daemon.control, daemon.status_path):
            client = opened(path)
            # A time-out is no end, and is an OSError as well: it fails the test.
            with contextlib.suppress(ConnectionError):
                for _ in range(17):
                    client.sendall(b"x" * MIB)
                while client.recv(65536):
                    pass
        chatter.goes_on()
        wait_until(lambda: daemon.resident_bytes < 120 * MIB, "what the messages took is given back")


def test_unfinished_messages_are_bounded_in_all(daemon):
    """Each is allowed, and together they would take a gigabyte."""
    with Chatter(daemon) as chatter:
        before = daemon.resident_bytes
        clients = [opened(daemon.control) for _ in range(60)]
        for client in clients:
            client.settimeout(DEADLINE)
            # Each is read or cut off.
            with contextlib.suppress(ConnectionError):
                for _ in range(15):
                    client.sendall(b" " * MIB)
        chatter.goes_on()
        assert daemon.resident_bytes - before < 200 * MIB
        for client in clients:
            client.close()
        assert daemon.wsctl("status").returncode == 0


def test_many_who_look_for_few_hold_nobody_up(start_wsd):
    """Questions for which the daemon looks at every connection, many at a time."""
    daemon = start_wsd("[websocket]\nping_interval = '0s'")
    with Crowd(daemon.port, 3000), Chatter(daemon) as chatter:
        clients = [opened(daemon.control) for _ in range(100)]
        question = call("io.wsd.Control.List", {"filter": {"channel": "nobody", "ip": "192.0.2.0/24"}})
        for client in clients:
            client.sendall(question * 20)
        for _ in range(5):
            chatter.goes_on()
        for client in clients:
            answers = b""
            while answers.count(b"\0") < 20:
                piece = client.recv(65536)
                assert piece, "it was closed"
                answers += piece
            assert answers == b'{"parameters":{"connections":[]}}\0' * 20
            client.close()


@pytest.mark.parametrize(
    "method, parameters, error",
    [
        ("io.wsd.Control.Explode", {}, "org.varlink.service.MethodNotFound"),
        ("io.wsd.Nonsense.GetStatus", {}, "org.varlink.service.InterfaceNotFound"),
        ("io.wsd.Control.GetStatus", {"nonsense": 1}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Monitor", {}, "org.varlink.service.ExpectedMore"),
        ("io.wsd.Control.FollowChannel", {"channel": "a"}, "org.varlink.service.ExpectedMore"),
        ("io.wsd.Control.FollowChannel", {"channel": ""}, "io.wsd.Control.InvalidFilter"),
        ("io.wsd.Control.Broadcast", {"message": "x", "channel": "a\n"}, "io.wsd.Control.InvalidFilter"),
        ("io.wsd.Control.MakeToken", {"user": "x" * 129}, "io.wsd.Control.InvalidFilter"),
        ("io.wsd.Control.Monitor", {"kinds": ["explosion"]}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Why", {"limit": 0}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Why", {"filter": {"ip": "nowhere"}}, "io.wsd.Control.InvalidFilter"),
        ("io.wsd.Control.Top", {"order": "beauty"}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Top", {"connections": 101}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Profile", {"kind": "soul"}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.Profile", {"kind": "cpu", "seconds": 301}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.SetConfiguration", {"values": {}}, "org.varlink.service.InvalidParameter"),
        ("io.wsd.Control.SetConfiguration", {"values": {"a.b": "1"}}, "io.wsd.Control.ReloadFailed"),
    ],
)
def test_what_is_wrong_has_a_name(daemon, method, parameters, error):
    client = opened(daemon.control)
    client.sendall(call(method, parameters))
    assert reply(client)["error"] == error
    client.sendall(call("io.wsd.Control.GetStatus"))
    assert "status" in reply(client)["parameters"]
    client.close()


def test_a_call_without_an_answer_that_would_never_end_is_none(daemon):
    """Each would hold a place among the connections, of which one user has 256."""
    for _ in range(300):
        client = opened(daemon.control)
        client.sendall(call("io.wsd.Control.Monitor", more=True, oneway=True))
        client.sendall(call("io.wsd.Control.GetStatus"))
        assert "status" in reply(client)["parameters"]
        client.close()


def test_top_of_nothing(daemon):
    """No connections and no channels are an answer, whoever asks."""
    with connect(daemon.url()):
        client = opened(daemon.control)
        client.sendall(call("io.wsd.Control.Top", {"connections": 0, "channels": 0}))
        answer = reply(client)["parameters"]
        assert answer["connections"] == answer["channels"] == [] and answer["status"]["connections"] == 1
        client.close()


def test_the_status_socket_refuses_every_method_that_acts(daemon):
    acting = ("Kick", "Broadcast", "Publish", "Drain", "Reload", "MakeToken", "SetConfiguration", "GetConfiguration")
    client = opened(daemon.status_path)
    for method in (*acting, "FollowChannel", "Profile"):
        client.sendall(call(f"io.wsd.Control.{method}"))
        assert reply(client)["error"] == "org.varlink.service.PermissionDenied"
        client.sendall(call(f"io.wsd.Status.{method}"))
        assert reply(client)["error"] == "org.varlink.service.MethodNotFound"
    client.close()


def test_who_acts_is_logged(daemon):
    client = opened(daemon.control)
    actions = {
        "Broadcast": {"message": "x"},
        "Publish": {"channel": "lobby", "message": "x"},
        "Kick": {"filter": {"all": True}},
        "SetConfiguration": {"values": {"limits.channels": "5"}},
        "Reload": {},
        "Profile": {"kind": "stacks"},
    }
    for method, parameters in actions.items():
        client.sendall(call(f"io.wsd.Control.{method}", parameters))
        assert "error" not in reply(client)
    lines = [line for line in daemon.log().splitlines() if "peer-uid=0" in line]
    assert len(lines) == len(actions) and all("peer-command=python" in line for line in lines), daemon.log()
    client.close()
