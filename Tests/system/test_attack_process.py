"""Clients that end the process, or make messages of others disappear."""

import contextlib
import itertools
import json
import threading
import time

import pytest

from attacks import KEY, Flood, asking, home, joined, text_frame
from jsonclient import JSONClient
from jsonwire import JSONWire
from ports import free_port
from rawws import PING, ClosedByServer, ConnectionEnded, RawWebSocket, frame
from test_api import API, KEYS
from test_jwt import bearer, key_files, token  # noqa: F401 (a fixture)
from wsdaemon import toml

QUIET = {"room:*": {"echo": False, "history": 10, "presence": True, "join_leave": True}}
KINDS = [{"history": 10}, {"presence": True}, {"join_leave": True}]
CHAT = [{"path": "/chat", "protocol": "json", "channel": ""}]


def start_quiet(start_wsd, kept, workers):
    """A daemon whose rooms have no echo, and are remembered while their users may come back."""
    room = {"echo": False, "leave_delay": "10m", **kept}
    return start_wsd({"channels": {"room:*": room}, "endpoint": CHAT}, workers=workers)


def visit(daemon, channel):
    """Somebody comes to a channel and is cut off, so that nobody is there, and it is remembered."""
    before = len(daemon.connections())
    with JSONClient(daemon.port) as visitor:
        visitor.ok("join", channel=channel)
        visitor.cut()
        daemon.wait_for_connections(before)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kept", KINDS)
def test_messages_into_an_empty_channel_without_echo_do_not_end_the_process(start_wsd, kept, workers):
    daemon = start_quiet(start_wsd, kept, workers)
    for channel in ("room:1", "room:2"):
        visit(daemon, channel)
        with JSONClient(daemon.port) as sender:
            for number in range(3):
                sender.ok("chat", channel=channel, data=number)
            sender.ok("join", channel=channel)
            for number in range(3, 6):
                sender.ok("chat", channel=channel, data=number)
            sender.ok("ping")
    assert daemon.is_alive()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kept", KINDS)
def test_who_spoke_into_an_empty_channel_without_echo_hears_others_once_it_has_joined(start_wsd, kept, workers):
    daemon = start_quiet(start_wsd, kept, workers)
    for channel in ("room:1", "room:2"):
        visit(daemon, channel)
        with JSONClient(daemon.port) as one, JSONClient(daemon.port) as other:
            one.ok("chat", channel=channel, data="into nothing")
            one.ok("join", channel=channel)
            other.ok("join", channel=channel)
            other.ok("chat", channel=channel, data="first")
            other.ok("chat", channel=channel, data="second")
            heard = []
            while "second" not in heard:
                heard.append(one.next("chat")["data"])
            assert heard == ["first", "second"]


def test_members_without_echo_hear_all_of_each_other_when_many_speak_at_once(start_wsd):
    daemon = start_wsd({"channels": QUIET, "endpoint": CHAT})
    clients = [joined(daemon, ["room:1"]) for _ in range(4)]
    rounds = 200
    for start in range(0, rounds, 20):
        for number, client in enumerate(clients):
            batch = (asking("chat", channel="room:1", data=[number, start + place]) for place in range(20))
            for text in batch:
                client.send_text(text)
    for number, client in enumerate(clients):
        heard = []
        while len(heard) < rounds * 3:
            message = json.loads(client.receive_text())
            if message["type"] == "chat":
                heard.append(tuple(message["data"]))
        for other in range(4):
            own = [place for who, place in heard if who == other]
            assert own == ([] if other == number else list(range(rounds)))


GRANTED = {"room:*": {"subscribe": "granted", "presence": True, "join_leave": True}}


def granting(*patterns):
    grants = [{"pattern": pattern, "subscribe": True, "publish": True} for pattern in patterns]
    return token(channels=grants)


def start_strict(start_wsd, key_files, **api):  # noqa: F811
    auth = {"mode": "jwt", "leeway": "0s", "hmac_secret_file": key_files["secret"]}
    limits = {"errors_per_minute": 2, "channels": 128}
    config = {"auth": auth, "channels": GRANTED, "endpoint": CHAT, "limits": limits, **api}
    return start_wsd(toml(config))


def read_until(client, text):
    """Whether this text came before the connection ended."""
    try:
        while text not in client.receive_text():
            pass
        return True
    except (ClosedByServer, ConnectionEnded, ConnectionResetError):
        return False


def test_a_refresh_that_withdraws_grants_from_pending_joins_ends_nothing_but_the_client(start_wsd, key_files):  # noqa: F811
    daemon = start_strict(start_wsd, key_files)
    wide, narrow = granting("room:*"), granting("other:*")
    witness = JSONClient(daemon.port, **bearer(wide))
    witness.ok("join", channel="room:witness")
    ended = 0
    for attempt in range(60):
        client = RawWebSocket(daemon.port, "/chat", headers=[("Authorization", f"Bearer {wide}")])
        client.receive_text()
        # About half of the channels have their home on the other worker: joins of those are pending for a while.
        rooms = [asking("join", channel=f"room:{attempt}.{number}", id=number) for number in range(120)]
        errors = [asking("leave", channel="nowhere", id=f"e{number}") for number in range(2)]
        split = attempt * 2
        requests = errors + rooms[:split] + [asking("refresh", token=narrow, id="r")] + rooms[split:]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(b"".join(text_frame(text) for text in requests))
            if read_until(client, '"id":"r"'):
                # This uses up what the client may do wrong, if nothing before has.
                client.send(b"".join(text_frame(text) for text in errors * 2))
        ended += not read_until(client, "no such text")
        client.close()
        assert daemon.is_alive(), f"the daemon ended in attempt {attempt}"
    assert ended == 60
    witness.ok("ping")


def test_an_unsubscribe_while_joins_are_pending_ends_nothing_but_the_client(start_wsd, key_files, wsd_directory):  # noqa: F811
    port = free_port()
    key = wsd_directory / "admin"
    key.write_text(KEYS["admin"])
    key.chmod(0o600)
    api = {"listen": [f"127.0.0.1:{port}"], "admin_key_file": str(key)}
    daemon = start_strict(start_wsd, key_files, api=api)
    wide = granting("room:*")
    witness = JSONClient(daemon.port, **bearer(wide))
    is_over = threading.Event()
    answers = []

    def unsubscribe():
        hub = API(daemon, port)
        headers = {"Authorization": f"Bearer {KEYS['admin']}", "Content-Type": "application/json"}
        for number in itertools.count():
            if is_over.is_set():
                return
            body = json.dumps({"channel": f"room:{number % 16}", "all": True, "reason": "out"})
            with contextlib.suppress(OSError):
                answers.append(hub.raw("POST", "/api/unsubscribe", body, headers)[0])

    threads = [threading.Thread(target=unsubscribe) for _ in range(2)]
    headers = [("Authorization", f"Bearer {wide}")]
    # One worker is busy with pings, so that what it is asked takes a moment; joins of its channels are pending meanwhile.
    busy = [joined(daemon, [], headers=headers) for _ in range(4)]
    busy = [client for client in busy if client.worker == 1]
    rooms = [f"room:{number}" for number in range(16) if home(f"room:{number}") == 1]
    # What it may do wrong is used up before.
    errors = [asking("leave", channel="nowhere") for _ in range(2)]
    with Flood(busy, frame(PING, b"", key=KEY) * 20_000):
        for thread in threads:
            thread.start()
        end = time.monotonic() + 4
        while time.monotonic() < end and daemon.is_alive():
            with contextlib.suppress(ConnectionEnded, OSError):
                client = joined(daemon, [], headers=headers)
                client.send(b"".join(map(text_frame, errors)))
                joins = [asking("join", channel=room, id=room) for room in rooms]
                leaves = [asking("leave", channel=room, id=room) for room in rooms]
                while client.worker == 0 and time.monotonic() < end:
                    for requests in (joins, leaves):
                        client.send(b"".join(map(text_frame, requests)))
                        if not read_until(client, f'"id":"{rooms[-1]}"'):
                            raise ConnectionEnded
            client.close()
        is_over.set()
        for thread in threads:
            thread.join()
    assert daemon.is_alive()
    assert set(answers) == {200}
    witness.ok("ping")


def test_nothing_of_a_channel_is_told_behind_the_word_that_one_is_out_of_it(start_wsd, wsd_directory):
    """Questions that another worker is answering when an operator takes the member out."""
    port = free_port()
    key = wsd_directory / "admin"
    key.write_text(KEYS["admin"])
    key.chmod(0o600)
    daemon = start_wsd(
        {
            "endpoint": CHAT,
            "channels": {"*": {"history": 100, "presence": True}},
            "limits": {"errors_per_minute": 0},
            "api": {"listen": [f"127.0.0.1:{port}"], "admin_key_file": str(key)},
        },
        workers=4,
    )
    hub = API(daemon, port)
    headers = {"Authorization": f"Bearer {KEYS['admin']}", "Content-Type": "application/json"}
    questions = [("history", {"limit": 5}), ("presence", {})] * 3
    told = []

    def stay(client, room):
        ids, is_out = set(), False
        while not is_out or ids:
            if not is_out and len(ids) < 24:
                ids |= set(client.request(*((kind, {"channel": room, **members}) for kind, members in questions)))
            message = client.hear()
            is_out = is_out or message.get("event") == "left"
            if message["type"] in ("ack", "error"):
                ids.discard(message["id"])
                if is_out and message["type"] == "ack":
                    told.append(message)

    for number in range(60):
        room = f"room:{number}"
        clients = [JSONWire(daemon.port) for _ in range(8)]
        for client in clients:
            client.ok("join", channel=room)
        threads = [threading.Thread(target=stay, args=[client, room]) for client in clients]
        for thread in threads:
            thread.start()
        body = json.dumps({"channel": room, "all": True, "reason": "out"})
        assert hub.raw("POST", "/api/unsubscribe", body, headers)[0] == 200
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
    assert told == [], f"{len(told)} answers, as {told[0]}"
