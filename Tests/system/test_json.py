"""The json protocol, as wsd-protocol(7) describes it."""

import json
import random
import re
import subprocess
import sys
import textwrap
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from jsonclient import JSONClient
from waiting import DEADLINE, wait_until
from wsdaemon import REPOSITORY

ROOMS = {
    "channels": {
        "room:*": {"presence": True, "join_leave": True, "history": 100, "leave_delay": "300ms"},
        "slow:*": {"presence": True, "join_leave": True, "leave_delay": "10m"},
        "quick:*": {"presence": True, "join_leave": True, "leave_delay": "0s"},
        "short": {"history": 3},
        "small": {"history": 1000, "history_bytes": "1KiB"},
        "silent": {"echo": False},
        "news": {"publish": "nobody"},
        "members": {"publish": "users"},
        "closed": {"subscribe": "nobody"},
        "full": {"max_members": 2},
    }
}


@pytest.fixture(params=[1, 4])
def hub(request, start_wsd):
    """A daemon with one worker, where every channel is at home, and one with four, where most are not."""
    from wsdaemon import toml

    return start_wsd(toml(ROOMS), workers=request.param)


def test_every_client_hears_what_is_published_in_its_order(hub):
    with JSONClient(hub.port) as alice, JSONClient(hub.port) as bob:
        epoch = alice.welcome["epoch"]
        for number in range(200):
            client = (alice, bob)[number % 2]
            ack = client.ok("chat", data={"n": number})
            assert (ack["channel"], ack["epoch"], ack["seq"]) == ("lobby", epoch, number + 1)
        for client in (alice, bob):
            messages = [client.next("chat") for _ in range(200)]
            assert [m["seq"] for m in messages] == list(range(1, 201))
            assert [m["data"]["n"] for m in messages] == list(range(200))
            assert {m["from"] for m in messages} == {alice.user, bob.user}
            assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", m["time"]) for m in messages)


def test_a_batch_of_a_thousand_is_acknowledged_once_each(hub):
    with JSONClient(hub.port) as client:
        for number in range(1000):
            client.send(type="chat", id=f"i{number}", data=number)
        received = [client.receive() for _ in range(2000)]
        acks = [m for m in received if m["type"] == "ack"]
        assert [m["id"] for m in acks] == [f"i{n}" for n in range(1000)]
        assert [m["seq"] for m in acks] == list(range(1, 1001))
        assert [m["data"] for m in received if m["type"] == "chat"] == list(range(1000))


@pytest.mark.parametrize(
    "data",
    ['{"b": 1e5 ,"a":-0.0, "a":"\\u00e9\\/"}', "[ ]", '"\\ud800"', "12345678901234567890.0", "null", '"' + "ü" * 5000 + '"'],
)
def test_data_reaches_others_byte_for_byte(hub, data):
    with JSONClient(hub.port) as client, connect(f"ws://127.0.0.1:{hub.port}/ws") as relay:
        client.socket.send('{"type":"chat","data":%s}' % data)
        assert client.socket.recv(timeout=DEADLINE).endswith(',"data":%s}' % data)
        assert relay.recv(timeout=DEADLINE).endswith(',"data":%s}' % data)


def test_what_only_the_server_may_say_is_ignored(hub):
    with JSONClient(hub.port) as client:
        client.ok("chat", data=1, **{"from": "root", "time": "1999-01-01T00:00:00.000Z", "seq": 99})
        message = client.next("chat")
        assert message["from"] == client.user and message["seq"] == 1 and message["time"] > "2026"


@pytest.mark.parametrize(
    "text, code, has_id",
    [
        ("", "bad_json", False),
        ("[1]", "bad_json", False),
        ('{"type":"ping","id":1', "bad_json", False),
        ('{"type":"ping","id":1}}', "bad_json", False),
        ("[" * 100_000, "bad_json", False),
        ('{"id":1}', "bad_message", True),
        ('{"id":1,"type":"shout"}', "unknown_type", True),
        ('{"id":1,"type":"chat"}', "bad_message", True),
        ('{"id":1,"type":"chat","data":1,"data":2}', "bad_message", True),
        ('{"id":1.5,"type":"ping"}', "bad_message", False),
        ('{"id":1,"type":"join","channel":""}', "bad_channel", True),
        ('{"id":1,"type":"join","channel":"a\\nb"}', "bad_channel", True),
        ('{"id":1,"type":"leave","channel":"nowhere"}', "not_joined", True),
        ('{"id":1,"type":"presence","channel":"nowhere"}', "not_joined", True),
        ('{"id":1,"type":"presence"}', "unavailable", True),
        ('{"id":1,"type":"history"}', "unavailable", True),
        ('{"id":1,"type":"refresh","token":"x"}', "unsupported", True),
        ('{"id":1,"type":"chat","channel":"news","data":1}', "not_permitted", True),
        ('{"id":1,"type":"chat","channel":"members","data":1}', "not_permitted", True),
        ('{"id":1,"type":"join","channel":"closed"}', "not_permitted", True),
        (b"{}", "unsupported", False),
    ],
)
def test_a_mistake_is_answered_and_the_connection_goes_on(hub, text, code, has_id):
    with JSONClient(hub.port) as client:
        client.socket.send(text)
        error = client.receive()
        assert (error["type"], error["code"], "id" in error) == ("error", code, has_id), error
        assert error["message"]
        assert client.ok("ping")


def test_too_many_mistakes_are_abuse(start_wsd):
    daemon = start_wsd("[limits]\nerrors_per_minute = 5")
    with JSONClient(daemon.port) as client:
        for _ in range(6):
            client.socket.send("nonsense")
        assert [client.receive()["code"] for _ in range(6)] == ["bad_json"] * 6
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd.code == 1008 and "errors" in closed.value.rcvd.reason


def test_a_client_is_in_as_many_channels_as_allowed(start_wsd):
    daemon = start_wsd("[limits]\nchannels = 3")
    with JSONClient(daemon.port) as client:
        client.ok("join", channel="a")
        client.ok("join", channel="b")
        assert client.refused("join", channel="c") == "limit"
        client.ok("join", channel="a")
        client.ok("leave", channel="a")
        client.ok("join", channel="c")
        assert client.refused("leave", channel="a") == "not_joined"


def test_an_endpoint_without_a_channel_joins_none(start_wsd):
    daemon = start_wsd('[[endpoint]]\npath = "/chat"\nprotocol = "json"\nchannel = ""')
    with JSONClient(daemon.port) as client:
        assert "channel" not in client.welcome
        assert client.refused("chat", data=1) == "bad_channel"
        client.ok("join", channel="a")
        client.ok("chat", channel="a", data=1)
        assert client.next("chat")["data"] == 1


def test_a_full_channel_has_room_again_when_somebody_leaves(hub):
    with JSONClient(hub.port) as first, JSONClient(hub.port) as second, JSONClient(hub.port) as third:
        first.ok("join", channel="full")
        second.ok("join", channel="full")
        assert third.refused("join", channel="full") == "full"
        first.ok("leave", channel="full")
        third.ok("join", channel="full")


def test_without_echo_a_sender_hears_the_others_only(hub):
    clients = [JSONClient(hub.port) for _ in range(4)]
    for client in clients:
        client.ok("join", channel="silent")
    for number in range(100):
        for index, client in enumerate(clients):
            client.send(type="chat", channel="silent", data=[index, number])
    for index, client in enumerate(clients):
        heard = [client.next("chat")["data"] for _ in range(300)]
        for other in range(4):
            expected = [[other, number] for number in range(100)] if other != index else []
            assert [data for data in heard if data[0] == other] == expected
        client.ok("ping")
        assert client.heard == []
        client.socket.close()


def test_both_protocols_share_a_channel(hub):
    with JSONClient(hub.port) as client, connect(f"ws://127.0.0.1:{hub.port}/ws") as relay:
        relay.send('say "hi"\n')
        relay.send(b"\0binary")
        message = client.next("chat")
        assert message["data"] == 'say "hi"\n' and "from" not in message
        assert [relay.recv(timeout=DEADLINE) for _ in range(2)] == ['say "hi"\n', b"\0binary"]
        client.ok("chat", data=2)
        assert json.loads(relay.recv(timeout=DEADLINE))["data"] == 2
        assert client.next("chat")["data"] == 2


def test_an_operator_speaks_to_a_channel_a_user_and_all(hub):
    with JSONClient(hub.port) as alice, JSONClient(hub.port) as bob:
        alice.ok("join", channel="room:1")
        assert hub.wsctl("broadcast", "--channel", "room:1", '{"reload":true}').returncode == 0
        message = alice.next("system")
        assert message["data"] == {"reload": True} and message["channel"] == "room:1" and message["seq"] == 1
        assert hub.wsctl("broadcast", "--user", bob.user, "for you").returncode == 0
        message = bob.next("system")
        assert message["data"] == "for you" and "channel" not in message
        assert hub.wsctl("broadcast", "to all").returncode == 0
        assert alice.next("system")["data"] == bob.next("system")["data"] == "to all"


def test_the_operator_sees_and_kicks_by_user_and_channel(hub):
    with JSONClient(hub.port) as alice, JSONClient(hub.port) as bob:
        alice.ok("join", channel="room:1")
        listed = [json.loads(line) for line in hub.wsctl("list", "--json").stdout.splitlines()]
        assert {c["user"]: c["channels"] for c in listed} == {alice.user: ["lobby", "room:1"], bob.user: ["lobby"]}
        listed = [json.loads(line) for line in hub.wsctl("list", "--json", "--channel", "room:1").stdout.splitlines()]
        assert [c["user"] for c in listed] == [alice.user]
        assert hub.wsctl("kick", "--user", alice.user).returncode == 0
        with pytest.raises(ConnectionClosed):
            alice.receive()
        assert bob.ok("ping")


def test_presence_tells_who_is_here_and_who_comes_and_goes(hub):
    with JSONClient(hub.port) as alice:
        alice.ok("join", channel="room:1")
        with JSONClient(hub.port) as bob:
            bob.ok("join", channel="room:1")
            assert alice.next("join")["from"] == bob.user
            users = alice.ok("presence", channel="room:1")["users"]
            assert [(u["user"], u["connections"]) for u in users] == [(alice.user, 1), (bob.user, 1)]
            bob.ok("leave", channel="room:1")
            assert alice.next("leave")["from"] == bob.user
        assert [u["user"] for u in alice.ok("presence", channel="room:1")["users"]] == [alice.user]


def test_a_connection_that_breaks_is_given_up_after_the_delay(hub):
    with JSONClient(hub.port) as alice:
        alice.ok("join", channel="room:1")
        bob = JSONClient(hub.port)
        bob.ok("join", channel="slow:1")
        bob.ok("join", channel="room:1")
        alice.ok("join", channel="slow:1")
        bob.cut()
        assert alice.next("leave")["channel"] == "room:1"
        # Where the delay is longer, the same connection is still awaited: it was not taken for one that has left.
        users = alice.ok("presence", channel="slow:1")["users"]
        # In no certain order, where both came in one millisecond.
        assert {each["user"]: each["connections"] for each in users} == {bob.user: 0, alice.user: 1}
        assert not any(message["type"] == "leave" for message in alice.heard)


def test_two_thousand_joins_and_leaves_leave_presence_exact(hub):
    clients = [JSONClient(hub.port) for _ in range(20)]
    watcher = JSONClient(hub.port)
    rooms = [f"quick:{number}" for number in range(5)]
    for room in rooms:
        watcher.ok("join", channel=room)
    choice = random.Random(11)
    members = {room: {watcher.user} for room in rooms}
    for _ in range(2000):
        client, room = choice.choice(clients), choice.choice(rooms)
        if client.user in members[room]:
            client.send(type="leave", channel=room)
            members[room].remove(client.user)
        else:
            client.send(type="join", channel=room)
            members[room].add(client.user)
    for client in clients:
        client.ok("ping")
    for room in rooms:
        wait_until(lambda: {u["user"] for u in watcher.ok("presence", channel=room)["users"]} == members[room], "presence")
    # What was announced leads to the same.
    announced = {room: {watcher.user} for room in rooms}
    for message in watcher.heard:
        if message["type"] == "join":
            assert message["from"] not in announced[message["channel"]]
            announced[message["channel"]].add(message["from"])
        elif message["type"] == "leave":
            announced[message["channel"]].remove(message["from"])
    assert announced == members
    for client in clients:
        client.socket.close()
    for room in rooms:
        wait_until(lambda: [u["user"] for u in watcher.ok("presence", channel=room)["users"]] == [watcher.user], "all to be gone")
    watcher.socket.close()


def test_history_is_read_page_by_page(hub):
    with JSONClient(hub.port) as client:
        client.ok("join", channel="room:1")
        for number in range(1, 121):
            client.ok("chat", channel="room:1", data=number)
        page = client.ok("history", channel="room:1", limit=30)
        assert [m["seq"] for m in page["messages"]] == list(range(91, 121)) and page["more"] and page["seq"] == 120
        page = client.ok("history", channel="room:1", limit=1000, before=91)
        assert [m["data"] for m in page["messages"]] == list(range(21, 91)) and not page["more"]
        assert client.ok("history", channel="room:1", before=21)["messages"] == []


@pytest.mark.parametrize("channel", ["short", "small"])
def test_a_client_is_told_when_too_much_was_missed(hub, channel):
    with JSONClient(hub.port) as alice, JSONClient(hub.port) as bob:
        bob.ok("join", channel=channel)
        ack = alice.ok("join", channel=channel)
        alice.ok("leave", channel=channel)
        since = {"epoch": ack["epoch"], "seq": ack["seq"]}
        for number in range(20):
            bob.ok("chat", channel=channel, data=f"{number:100}")
        answer = alice.ok("join", channel=channel, since=since)
        assert (answer["recovered"], answer["seq"]) == (False, 20)
        for wrong in ({"epoch": "other", "seq": 20}, {"epoch": ack["epoch"], "seq": 21}):
            assert not alice.ok("join", channel=channel, since=wrong)["recovered"]
        assert alice.ok("join", channel=channel, since={"epoch": ack["epoch"], "seq": 18})["recovered"]
        assert [alice.next("chat")["seq"] for _ in range(2)] == [19, 20]


def test_the_channel_of_the_endpoint_is_recovered_by_the_url(start_wsd):
    daemon = start_wsd('[channels."lobby"]\nhistory = 10', workers=3)
    with JSONClient(daemon.port) as bob:
        with JSONClient(daemon.port) as alice:
            epoch, seq = alice.welcome["epoch"], alice.welcome["seq"]
        for number in range(5):
            bob.ok("chat", data=number)
        with JSONClient(daemon.port, f"/chat?epoch={epoch}&seq={seq + 2}") as alice:
            assert alice.welcome["recovered"] and alice.welcome["seq"] == 5
            assert [alice.next("chat")["seq"] for _ in range(3)] == [3, 4, 5]
        with JSONClient(daemon.port) as alice:
            bob.ok("chat", data="live")
            # Who joins again gets what it missed before its live stream, and nothing twice.
            answer = alice.ok("join", channel="lobby", since={"epoch": epoch, "seq": 3})
            assert answer["recovered"] and answer["seq"] == 5
            assert sorted(alice.next("chat")["seq"] for _ in range(3)) == [4, 5, 6]
            alice.ok("ping")
            assert alice.heard == []


def test_two_hundred_cuts_lose_nothing_and_double_nothing(start_wsd):
    daemon = start_wsd('[channels."*"]\nhistory = 100000\nhistory_bytes = "16MiB"', workers=4)
    channels = [f"c{number}" for number in range(6)]
    stop = threading.Event()
    published = {channel: [] for channel in channels}

    def publish():
        with JSONClient(daemon.port) as client:
            number = 0
            while not stop.is_set():
                for channel in channels:
                    assert client.ok("chat", channel=channel, data=number)["seq"] == number + 1
                    published[channel].append(number)
                number += 1

    publisher = threading.Thread(target=publish)
    publisher.start()
    choice = random.Random(5)
    try:
        since = {}
        seen = {channel: [] for channel in channels}

        def take(message):
            if message["type"] == "chat" and message["channel"] in seen:
                seen[message["channel"]].append(message["seq"])
                since[message["channel"]]["seq"] = message["seq"]

        for _ in range(201):
            client = JSONClient(daemon.port)
            for channel in channels:
                members = {"since": since[channel]} if channel in since else {}
                answer = client.ok("join", channel=channel, **members)
                assert answer["recovered"] == (channel in since), answer
                if channel not in since:
                    since[channel] = {"epoch": answer["epoch"], "seq": answer["seq"]}
                    seen[channel] = list(range(1, answer["seq"] + 1))
                for message in client.heard:
                    take(message)
                client.heard.clear()
            for _ in range(choice.randrange(30)):
                take(client.receive())
            client.cut()
    finally:
        stop.set()
        publisher.join(DEADLINE)
    assert not publisher.is_alive()
    with JSONClient(daemon.port) as client:
        for channel in channels:
            answer = client.ok("join", channel=channel, since=since[channel])
            assert answer["recovered"]
            while seen[channel][-1:] != [answer["seq"]]:
                take(client.heard.pop(0) if client.heard else client.receive())
            assert seen[channel] == list(range(1, len(published[channel]) + 1))


def test_a_restart_begins_another_epoch(start_wsd):
    config = '[channels."*"]\nhistory = 10'
    epochs = set()
    for _ in range(2):
        daemon = start_wsd(config)
        with JSONClient(daemon.port) as client:
            epochs.add(client.welcome["epoch"])
    assert len(epochs) == 2


def test_history_grows_no_larger_than_allowed_in_all(start_wsd):
    daemon = start_wsd('[limits]\nhistory_bytes = "256KiB"\n[channels."*"]\nhistory = 100000', workers=2)
    with JSONClient(daemon.port) as client:
        for number in range(100):
            for _ in range(10):
                client.send(type="chat", channel=f"c{number}", data="x" * 1000)
            client.ok("ping")
        kept = 0
        for number in range(100):
            client.ok("join", channel=f"c{number}")
            kept += len(client.ok("history", channel=f"c{number}", limit=1000)["messages"])
            client.ok("leave", channel=f"c{number}")
        assert 100 < kept < 262
        assert client.ok("join", channel="c99") and len(client.ok("history", channel="c99")["messages"]) == 10


def test_the_example_of_the_manual_works(hub):
    page = (REPOSITORY / "man/wsd-protocol.7").read_text()
    example = re.search(r"^import asyncio.*?(?=^\.Ed)", page, re.MULTILINE | re.DOTALL).group()
    with JSONClient(hub.port) as watcher:
        watcher.ok("join", channel="room:1")
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(example), f"ws://127.0.0.1:{hub.port}/chat", "room:1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert "begins" in program.stdout.readline()
            name = watcher.next("join")["from"]
            assert watcher.next("chat")["data"] == "hello"
            assert program.stdout.readline() == f"{name} hello\n"
            hub.wsctl("kick", "--user", name)
            watcher.ok("chat", channel="room:1", data="while you were away")
            assert program.stdout.readline() == f"{watcher.user} while you were away\n"
        finally:
            program.kill()
            program.wait()
