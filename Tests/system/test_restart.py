"""Restarts by which no client is closed, and no message lost, doubled or put in another place."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from fdstore import PARKED, ServiceManager
from jsonclient import JSONClient
from ports import free_port
from rawws import (
    CONTINUATION, PING, PONG, TEXT, ClosedByServer, ConnectionEnded, RawWebSocket, Wire, frame, handshake_headers, request,
)  # fmt: skip
from restartcrowd import Crowd
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment


@pytest.fixture
def service(wsd_directory):
    """A service manager with a store, and no daemon yet."""
    manager = ServiceManager(wsd_directory)
    yield manager
    manager.close()


RELAY = {"endpoint": [{"path": "/ws", "protocol": "relay", "channel": "lobby"}]}


def test_a_relay_client_stays(service):
    service.start(RELAY, workers=1)
    with RawWebSocket(service.port) as client, RawWebSocket(service.port) as other:
        client.send_text("before")
        other.expect_message(TEXT, "before")
        client.expect_message(TEXT, "before")
        service.restart(RELAY, workers=1)
        client.send_text("after")
        other.expect_message(TEXT, "after")
        client.expect_message(TEXT, "after")
        wait_until(lambda: service.left == [], "there is a snapshot instead")


def test_input_that_is_not_complete_goes_on(service):
    service.start(RELAY)
    whole = frame(TEXT, "hello", fin=False) + frame(CONTINUATION, " to ", fin=False) + frame(CONTINUATION, "all")
    clients = [RawWebSocket(service.port) for _ in range(len(whole))]
    listener = RawWebSocket(service.port)
    # Each has sent another part of the message.
    for count, client in enumerate(clients):
        client.send(whole[:count])
    head = request(handshake_headers("127.0.0.1"), "/ws")
    half_open = Wire(service.port)
    half_open.send(head[:40])
    wait_until(lambda: len(rows(service)) == len(clients) + 1, "all are open")
    time.sleep(0.2)
    service.restart(RELAY, workers=3)
    for count, client in enumerate(clients):
        client.send(whole[count:])
        listener.expect_message(TEXT, "hello to all")
    half_open.send(head[40:])
    assert half_open.read_response().status == 101
    for client in (*clients, listener, half_open):
        client.close()


def rows(service):
    return [json.loads(line) for line in service.wsctl("list", "--json").stdout.splitlines()]


def test_output_that_is_not_sent_goes_on(service):
    config = RELAY | {"queue": {"limit": "16MiB", "write_timeout": "60s"}}
    service.start(config)
    slow = RawWebSocket(service.port, receive_buffer=4096)
    fast = RawWebSocket(service.port)
    messages = [f"{number} " + "z" * 100_000 for number in range(60)]
    for message in messages:
        fast.send_text(message)
        fast.expect_message(TEXT, message)
    wait_until(lambda: sum(row["queuedBytes"] for row in rows(service)) > 100_000, "output waits")
    service.restart(config, workers=1)
    for message in messages:
        slow.expect_message(TEXT, message)
    slow.expect_alive()
    slow.close()
    fast.close()


def test_a_connection_keeps_its_identity(service):
    service.start(RELAY)
    clients = [RawWebSocket(service.port, headers=[("User-Agent", f"agent {n}")]) for n in range(5)]
    clients[0].expect_echo("counted")
    before = {row["id"]: row for row in rows(service)}
    for workers in (3, 1, 2):
        service.restart(RELAY, workers=workers)
        after = {row["id"]: row for row in rows(service)}
        assert after.keys() == before.keys()
        for id, row in after.items():
            for key in ("address", "port", "connectedSince", "userAgent", "messagesIn", "messagesOut", "channels"):
                assert row.get(key) == before[id].get(key), key
    # A new client is nobody else.
    with RawWebSocket(service.port):
        wait_until(lambda: len(rows(service)) == 6, "it is open")
        assert service.wsctl("kick", sorted(before)[0]).returncode == 0
        wait_until(lambda: sorted(before)[0] not in [row["id"] for row in rows(service)], "it is closed")
    for client in clients:
        client.close()


def test_nobody_notices(service):
    # Snapshots, for the case of a crash, are no hindrance.
    config = Crowd.config() | {"restart": {"snapshot_interval": "100ms"}}
    service.start(config)
    crowd = Crowd(service.port)
    try:
        for workers in (1, 4, 2, 3):
            crowd.wait_for_more()
            crowd.forget_silence()
            service.restart(config, workers=workers)
            crowd.wait_for_more()
            print(f"{workers} workers: {crowd.longest_silence() * 1000:.0f} ms of silence")
    finally:
        crowd.finish()
    wait_until(lambda: service.left == [], "there is a snapshot instead")


def test_a_drain_where_nothing_can_be_kept(wsd_directory):
    manager = ServiceManager(wsd_directory, stores=False)
    try:
        manager.start(RELAY)
        with RawWebSocket(manager.port) as client:
            plan = json.loads(manager.wsctl("restart", "--dry-run", "--json").stdout)
            assert "FileDescriptorStoreMax" in plan["obstacle"]
            assert (plan["kept"], plan["handshakes"], sum(plan["closed"].values())) == (0, 0, 1)
            done = manager.wsctl("restart")
            assert done.returncode == 1 and "FileDescriptorStoreMax" in done.stderr and "--force" in done.stderr
            client.expect_alive()
            manager.process.send_signal(signal.SIGUSR2)
            assert client.receive_close()[0] == 1001
            client.answer_close(1001)
            assert manager.process.wait(DEADLINE) == 0
    finally:
        manager.close()


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_store_that_is_too_small_and_says_so_to_nobody(wsd_directory, limit):
    """As systemd 252 with FileDescriptorStoreMax= in a drop-in."""
    config = {
        "endpoint": [{"path": "/chat", "protocol": "json", "channel": "room"}, *RELAY["endpoint"]],
        "channels": {"*": {"history": 10}}, "restart": {"snapshot_interval": "100ms"},
    }  # fmt: skip
    manager = ServiceManager(wsd_directory, limit=limit, tells_limit=False)
    try:
        manager.start(config)
        clients = [RawWebSocket(manager.port) for _ in range(3)]
        with JSONClient(manager.port) as client:
            client.ok("chat", data="kept")
        assert manager.stop_for_restart() == PARKED, manager.log()
        is_kept = limit == 2
        assert ("has not taken the connections" in manager.log(), "parked 3" in manager.log()) == (not is_kept, is_kept)
        assert manager.left == ["wsd-state", "wsd-connections"][:limit]
        manager.start(config)
        for client in clients:
            client.expect_alive() if is_kept else client.expect_failure(1012)
        with JSONClient(manager.port) as client:
            kept = [message["data"] for message in client.ok("history")["messages"]]
            assert kept == (["kept"] if limit > 0 else [])
    finally:
        manager.close()


def test_a_configuration_that_is_wrong_tells_everybody(service):
    service.start(RELAY)
    clients = [RawWebSocket(service.port) for _ in range(3)]
    assert service.stop_for_restart() == PARKED
    assert sorted({name for name, _ in service.store}) == ["wsd-connections", "wsd-state"]
    service.start(RELAY | {"limits": {"nonsense": 1}}, waits=False)
    for client in clients:
        assert "did not start again" in client.expect_failure(1012)
    # With 78, systemd would empty its store.
    assert service.process.wait(DEADLINE) == 1


def test_histories_outlast_a_configuration_that_is_wrong(service):
    config = {
        "endpoint": [{"path": "/chat", "protocol": "json", "channel": "room"}], "channels": {"*": {"history": 10}},
        "restart": {"snapshot_interval": "100ms"},
    }  # fmt: skip
    service.start(config)
    with JSONClient(service.port) as client:
        client.ok("chat", data="kept")
    for number in range(2):
        # By what was parked, and then by a snapshot.
        if number == 0:
            assert service.stop_for_restart() == PARKED
        else:
            wait_until(lambda: service.left == [] and service.snapshots, "there is a snapshot instead")
            service.kill()
        for _ in range(3):
            service.start(config | {"limits": {"nonsense": 1}}, waits=False)
            assert service.process.wait(DEADLINE) == 1
        service.start(config)
        with JSONClient(service.port) as client:
            assert [message["data"] for message in client.ok("history")["messages"]] == ["kept"]


def test_wsctl_restarts_nothing_that_would_not_start(service):
    service.start(RELAY)
    with open(service.directory / "wsd.toml", "a") as file:
        file.write("[limits]\nnonsense = 1\n")
    with RawWebSocket(service.port) as client:
        plan = json.loads(service.wsctl("restart", "--dry-run", "--json").stdout)
        assert plan["kept"] == 1 and "nonsense" in plan["errors"][0]
        assert "nonsense" in service.wsctl("restart", "--dry-run").stdout
        done = service.wsctl("restart")
        assert done.returncode == 78 and "nonsense" in done.stderr and "Nothing was restarted" in done.stderr
        client.expect_alive()


def test_wsctl_restarts_nothing_whose_keys_cannot_be_read(service, wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    service.start({**RELAY, "auth": {"mode": "jwt", "hmac_secret_file": str(secret)}})
    assert "errors" not in json.loads(service.wsctl("restart", "--dry-run", "--json").stdout)
    secret.unlink()
    [error] = json.loads(service.wsctl("restart", "--dry-run", "--json").stdout)["errors"]
    assert str(secret) in error
    assert service.wsctl("restart").returncode == 78


def test_a_user_stays_that_user_until_the_token_expires(service, wsd_directory):
    (wsd_directory / "secret").write_text("s" * 40)
    config = {
        "auth": {
            "mode": "jwt", "hmac_secret_file": str(wsd_directory / "secret"), "leeway": "0s", "refresh_grace": "1s",
        },
        "channels": {"lobby": {"presence": True, "join_leave": True}},
    }  # fmt: skip
    service.start(config)

    def client(user, lifetime):
        token = service.wsctl("token", "--user", user, "--expires", lifetime).stdout.strip()
        return JSONClient(service.port, f"/chat?token={token}")

    with client("alice", "10m") as alice, client("bob", "6s") as bob:
        service.restart(config)
        users = alice.ok("presence")["users"]
        assert [each["user"] for each in users] == ["alice", "bob"]
        assert bob.next("refresh")["grace"] == 1
        with pytest.raises(ConnectionClosed) as closed:
            bob.next()
        assert closed.value.rcvd.code == 3000
        assert alice.next("leave")["from"] == "bob"


def test_an_endpoint_that_is_gone(service):
    both = {"endpoint": [*RELAY["endpoint"], {"path": "/chat", "protocol": "json", "channel": "room"}]}
    service.start(both)
    stays, goes = RawWebSocket(service.port), RawWebSocket(service.port, "/chat")
    goes.receive_text()
    service.restart(RELAY)
    assert "/chat" in goes.expect_failure(1012)
    stays.expect_alive()
    report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
    assert (report["adopted"], report["closed"]) == (1, 1)
    why = service.wsctl("why", "--json").stdout
    assert '"restarting"' in why
    stays.close()


def test_a_state_that_cannot_be_read(service):
    service.start(RELAY)
    clients = [RawWebSocket(service.port) for _ in range(3)]
    spoiled(service)
    service.start(RELAY)
    for client in clients:
        client.expect_failure(1012)
    with RawWebSocket(service.port) as client:
        client.expect_alive()
    wait_until(lambda: service.left == [], "there is a snapshot instead")
    assert "can't be read" in service.log()


def test_sockets_that_are_lost_are_all_that_is_lost(service):
    config = {
        "endpoint": [{"path": "/chat", "protocol": "json", "channel": "room"}],
        "channels": {"*": {"history": 10, "presence": True, "leave_delay": "0s"}},
    }
    service.start(config)
    with JSONClient(service.port) as gone:
        before = gone.welcome
        assert gone.ok("chat", data="kept")["seq"] == 1
        assert service.stop_for_restart() == PARKED
        for name, descriptor in service.store:
            if name == "wsd-connections":
                os.close(descriptor)
        service.store = [entry for entry in service.store if entry[0] != "wsd-connections"]
        service.start(config)
        with pytest.raises(ConnectionClosed):
            while True:
                gone.receive()
    with JSONClient(service.port) as client:
        assert (client.welcome["epoch"], client.welcome["seq"]) == (before["epoch"], 1)
        assert [message["data"] for message in client.ok("history")["messages"]] == ["kept"]
        assert [user["user"] for user in client.ok("presence")["users"]] == [client.welcome["user"]]
    report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
    assert (report["adopted"], report["closed"]) == (0, 1)


def test_sockets_that_were_not_removed_are_none_of_the_next_process(service):
    service.start(RELAY)
    with RawWebSocket(service.port) as client:
        # As if the service manager had not been told to remove them.
        ours, stale = (end.detach() for end in socket.socketpair())
        service.store.append(("wsd-connections", stale))
        assert service.stop_for_restart() == PARKED
        assert ("wsd-connections", stale) not in service.store
        assert service.left.count("wsd-connections") == 1
        service.start(RELAY)
        client.expect_alive()
        os.close(ours)


def test_a_call_that_waits_for_the_broker_holds_nothing_up(service):
    url = f"redis://127.0.0.1:{free_port()}"
    config = RELAY | {"broker": {"type": "redis", "url": url, "queue_timeout": "1h"}}
    service.start(config)
    with RawWebSocket(service.port) as client:
        call = subprocess.Popen(
            [binary("wsctl"), "publish", "lobby", "to all"], env=clean_environment(WSD_SOCKET=service.control_path),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        def waits():
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{service.api_port}/metrics").read().decode()
            return "wsd_broker_queued_bytes" in metrics and "wsd_broker_queued_bytes 0\n" not in metrics

        wait_until(waits, "it waits for the broker")
        count = len(service.notifications)
        service.restart(config)
        assert "STOPPING=1" in service.notifications[count:]
        # What it says would wait for the broker, too.
        client.send(frame(PING, "still there"))
        while client.receive_frame().opcode != PONG:
            pass
        assert call.communicate(timeout=DEADLINE)[1] != "" and call.returncode != 0


def closing_times(clients, begun):
    """When each of the clients was closed with 1012, in seconds; they are closed in any order."""
    times = []
    waiting = {client.socket: client for client in clients}
    while waiting:
        readable, _, _ = select.select(list(waiting), [], [], DEADLINE)
        assert readable, f"{len(waiting)} are not closed"
        times += [time.monotonic() - begun] * len(readable)
        for each in readable:
            waiting.pop(each).expect_failure(1012)
    return times


def spoiled(service):
    """Stops the daemon, and leaves a state as another version would have written it."""
    assert service.stop_for_restart() == PARKED
    file = os.memfd_create("other")
    os.write(file, b"wsdpark\n" + bytes(100))
    service.store = [(name, file if name == "wsd-state" else kept) for name, kept in service.store]


def test_those_who_are_not_taken_over_come_back_one_after_the_other(service):
    """None is closed before its time, and a new client is served long before the last one's."""
    period, count = 4, 40
    config = RELAY | {"drain": {"period": f"{period}s", "timeout": "10s"}}
    service.start(config)
    clients = [RawWebSocket(service.port) for _ in range(count)]
    spoiled(service)
    begun = time.monotonic()
    service.start(config)
    with RawWebSocket(service.port) as client:
        client.expect_alive()
    for number, at in enumerate(sorted(closing_times(clients, begun))):
        assert at >= number * period / count - 0.1, f"{number + 1} were closed after {at:.2f} s"


def test_the_end_waits_for_none_that_is_not_taken_over(service):
    config = RELAY | {"drain": {"period": "5s", "timeout": "10s"}}
    service.start(config)
    clients = [RawWebSocket(service.port) for _ in range(40)]
    spoiled(service)
    service.start(config)
    service.process.terminate()
    for client in clients:
        client.expect_failure(1012)
    assert service.process.wait(DEADLINE) == 0


def test_figures_of_the_restart(service):
    service.start(RELAY)
    with RawWebSocket(service.port) as gone:
        gone.close_properly()
    with RawWebSocket(service.port) as client:
        service.restart(RELAY)
        client.expect_alive()
        report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
        assert set(report["phases"]) == {"settle", "write", "start", "adopt"}
        assert 0 < sum(report["phases"].values()) <= report["silentSeconds"] * 1.01 < 30
        assert "1 connection kept, 0 closed" in service.wsctl("status").stdout
        with urllib.request.urlopen(f"http://127.0.0.1:{service.api_port}/metrics") as answer:
            metrics = answer.read().decode()
        assert 'wsd_restart_connections{result="kept"} 1' in metrics
        assert "websocket_active_connections 1" in metrics
        # What the process before has counted and remembered.
        assert "websocket_opened_total 2" in metrics
        assert json.loads(service.wsctl("why", "--json").stdout)["code"] == 1000
        service.restart(RELAY)
        client.expect_alive()


def test_nobody_notices_among_nodes(service, wsd_directory, shared_redis):
    config = Crowd.config(4) | {"broker": {"type": "redis", "url": shared_redis.url(), "prefix": "restart"}}
    (wsd_directory / "other").mkdir()
    other = ServiceManager(wsd_directory / "other")
    try:
        service.start(config | {"broker": config["broker"] | {"node_name": "one"}})
        other.start(config | {"broker": config["broker"] | {"node_name": "two"}})
        crowd = Crowd(service.port, other.port, groups=4, size=4, pause=0.05, long=4_000)
        try:
            for workers in (1, 3):
                crowd.wait_for_more()
                service.restart(config | {"broker": config["broker"] | {"node_name": "one"}}, workers=workers)
                crowd.wait_for_more()
            # The users of the process before are given up by now.
            time.sleep(11)
            crowd.wait_for_more()
        finally:
            crowd.finish()
    finally:
        other.close()


KEY = "the-key-of-a-backend-of-this-test"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Publishing(threading.Thread):
    """A backend that publishes over one connection as fast as it is answered, and comes again where it is not."""

    def __init__(self, port, name):
        super().__init__(daemon=True)
        self.port, self.name = port, name
        self.accepted = []
        self.refused = 0
        self.is_over = threading.Event()
        self.start()

    def run(self):
        connection, number = None, 0
        while not self.is_over.is_set():
            number += 1
            text = f"{self.name}.{number}"
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
                channel = ("one", "two", "three")[number % 3]
                body = json.dumps({"channel": channel, "text": text})
                connection.request("POST", "/api/publish", body, HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.accepted.append(text)
                else:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                    self.refused += 1
            except (OSError, http.client.HTTPException):
                connection = None


def test_what_a_backend_publishes_is_heard_by_all(service, wsd_directory):
    """On both workers, once, and in the order in which it was accepted."""
    channels = ("one", "two", "three")
    config = {
        "endpoint": [{"path": f"/{name}", "protocol": "relay", "channel": name} for name in channels],
        "queue": {"limit": "64MiB"},
        "api": {"publish_key_file": str(wsd_directory / "key")},
    }  # fmt: skip
    (wsd_directory / "key").write_text(KEY)
    service.start(config)
    clients = [RawWebSocket(service.port, f"/{name}") for name in channels for _ in range(4)]
    backends = [Publishing(service.api_port, name) for name in "abc"]
    for _ in range(6):
        counts = [len(backend.accepted) for backend in backends]
        wait_until(lambda: all(len(b.accepted) > count + 5 for b, count in zip(backends, counts)), "all are answered")
        service.restart(config)
    for backend in backends:
        backend.is_over.set()
        backend.join(DEADLINE)
    print(f"{sum(backend.refused for backend in backends)} were refused")
    for number, client in enumerate(clients):
        client.send_text("end")
        heard = []
        while heard[-1:] != ["end"]:
            heard.append(client.receive_text())
        heard = [text for text in heard if text != "end"]
        assert len(set(heard)) == len(heard)
        for backend in backends:
            meant = [text for text in backend.accepted if int(text.split(".")[1]) % 3 == number // 4]
            own = set(meant)
            assert [text for text in heard if text in own] == meant
        client.close()


def test_sources_outside_that_are_wrong_tell_everybody(service, wsd_directory):
    service.start(RELAY)
    clients = [RawWebSocket(service.port) for _ in range(3)]
    assert service.stop_for_restart() == PARKED
    consume = {
        "source": "redis-stream", "stream": "orders", "channel": "lobby", "url": "redis://127.0.0.1:1",
        "password_file": str(wsd_directory / "nowhere"),
    }  # fmt: skip
    service.start(RELAY | {"consume": [consume]}, waits=False)
    for client in clients:
        assert "did not start again" in client.expect_failure(1012)
    assert service.process.wait(DEADLINE) == 1


def test_a_limit_of_files_that_is_lower(service):
    """As many as have room go on, the others are closed, and new ones are served."""
    service.start(RELAY)
    clients = [RawWebSocket(service.port) for _ in range(450)]
    assert service.stop_for_restart() == PARKED
    service.start(RELAY, file_limit=420)
    report = json.loads(service.wsctl("status", "--json").stdout)["lastRestart"]
    assert report["adopted"] > 50 and report["adopted"] + report["closed"] == len(clients)
    kept = told = 0
    for client in clients:
        try:
            client.expect_alive()
            kept += 1
        except ClosedByServer as closed:
            told += closed.code == 1012
        except (ConnectionEnded, OSError):
            pass
        client.close()
    print(f"{kept} were kept, {told} told")
    assert kept == report["adopted"] and told > 50
    with RawWebSocket(service.port) as client:
        client.expect_alive()


# How long after the signal, or after its start, a process is killed: from before it has noticed to long after.
INSTANTS = [("old", milliseconds) for milliseconds in (0, 1, 2, 3, 5, 8, 12, 20, 40, 80)]
INSTANTS += [("new", milliseconds) for milliseconds in (10, 60, 80, 100, 120, 140, 170, 200, 300, 500)]


@pytest.mark.parametrize("which, milliseconds", INSTANTS)
def test_a_process_that_is_killed_within_a_restart(service, which, milliseconds):
    service.start(Crowd.config(2))
    clients = [RawWebSocket(service.port, "/relay/0") for _ in range(20)]
    clients[0].expect_echo("before")
    if which == "old":
        service.process.send_signal(signal.SIGUSR2)
    else:
        assert service.stop_for_restart() == PARKED
        service.start(Crowd.config(2), waits=False)
    time.sleep(milliseconds / 1000)
    service.process.kill()
    service.process.wait(DEADLINE)
    time.sleep(0.05)
    service.start(Crowd.config(2))
    kept = 0
    for client in clients:
        try:
            client.expect_alive()
            kept += 1
        except (ConnectionEnded, ClosedByServer, OSError):
            pass
        client.close()
    print(f"{kept} of {len(clients)} were kept")
    # Once the sockets are with one of the two processes alone, they end with it; else none is lost.
    assert kept in (0, len(clients))
    wait_until(lambda: service.left == [], "there is a snapshot instead")
    service.restart(Crowd.config(2))
    with RawWebSocket(service.port, "/relay/0") as client:
        client.expect_alive()
