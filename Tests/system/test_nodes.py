"""Several nodes that share their channels through a real Redis."""

import base64
import json
import signal
import subprocess
import sys
import threading

import pytest

import seeded
from line import TO_NODE, TO_SERVER, Line
from nodes import SECRET, Nodes, since
from rawws import BINARY, TEXT
from redisserver import Authority
from traffic import Traffic
from waiting import wait_until
from wsdaemon import REPOSITORY

EXAMPLE = REPOSITORY / "packaging" / "examples" / "publish-to-redis.py"


@pytest.fixture
def pair(nodes):
    """Two nodes, one of them with one worker, where every channel is at home."""
    return nodes.start(workers=1), nodes.start(workers=3)


def subscribed(redis_client, nodes):
    """The channels that anybody is subscribed to at Redis."""
    start = f"{nodes.prefix}:c:"
    return {name.decode()[len(start) :] for name in redis_client.pubsub_channels(start + "*")}


def relays(*nodes):
    """Relay clients, one on each node."""
    return [node.relay() for node in nodes]


def test_a_relay_client_hears_what_is_published_after_its_handshake(redis_server, own_nodes):
    line = Line(redis_server.port)
    far, near = own_nodes.start(url=line.url()), own_nodes.start()

    def is_heard(number):
        wait_until(lambda: far.api.metrics()["wsd_broker_channels"] == 0, "the channel is not subscribed")
        line.hold(TO_SERVER)
        is_passing = threading.Event()

        def go_on():
            is_passing.set()
            line.release()

        timer = threading.Timer(0.1, go_on)
        timer.start()
        client = far.relay("/relay")
        # On a busy machine Redis may have been away for too long.
        has_waited = is_passing.is_set()
        timer.join()
        if has_waited:
            near.publish("plain:relay", number)
            assert client.receive_text() == f"{number}"
        client.close()
        return has_waited

    assert any(is_heard(number) for number in range(20))
    line.close()


# Order.


@pytest.mark.parametrize("channel", ["kept:1", "plain:1"])
def test_every_node_has_the_same_order_and_each_message_once(pair, channel):
    clients = [node.wire(channel) for node in pair for _ in range(3)]
    count = 200
    for start in range(0, count, 20):
        for index, client in enumerate(clients):
            client.request(*(("chat", {"channel": channel, "data": [index, n]}) for n in range(start, start + 20)))
    total = count * len(clients)
    heard = []
    for index, client in enumerate(clients):
        acks, chats = {}, []
        while len(chats) < total or len(acks) < count:
            message = client.hear()
            if message["type"] == "ack":
                acks[message["id"]] = message["seq"]
            elif message["type"] == "chat":
                chats.append(message)
        assert [m["seq"] for m in chats] == list(range(1, total + 1))
        # What a publisher was told is where it is, and its messages are in its order.
        own = [m for m in chats if m["data"][0] == index]
        assert [m["data"][1] for m in own] == list(range(count))
        assert list(acks.values()) == [m["seq"] for m in own]
        assert list(acks) == sorted(acks)
        heard.append([(m["seq"], m["data"], m["from"], m["time"]) for m in chats])
        client.ok("ping")
        assert client.socket_is_empty()
    assert all(each == heard[0] for each in heard)


def test_an_acknowledgement_comes_before_the_message(pair):
    clients = [node.wire("plain:1") for node in pair]
    for number in range(200):
        client = clients[number % 2]
        [request_id] = client.request(("chat", {"channel": "plain:1", "data": number}))
        ack, chat = client.hear_until(lambda m: m["type"] == "chat" and m["data"] == number)[-2:]
        assert (ack["type"], ack["id"], ack["seq"]) == ("ack", request_id, chat["seq"])
        clients[1 - number % 2].hear()


def test_many_clients_of_three_nodes(nodes):
    """Everybody hears all, in one order, whoever publishes however much at once."""
    three = [nodes.start(workers=workers) for workers in (1, 2, 3)]
    channels = [f"{kind}:{number}" for kind in ("kept", "plain") for number in range(3)]
    traffic = Traffic(three, channels, members=5, pause=0.002)
    traffic.wait_for_more(3000)
    ledger = traffic.stop()
    assert ledger.counts["refused"] == ledger.counts["gaps"] == 0
    assert ledger.counts["heard"] == ledger.counts["acknowledged"] * len(three) * 5


def test_without_echo_a_sender_hears_the_others_only(pair):
    clients = [node.client("silent:1") for node in pair for _ in range(2)]
    for number in range(50):
        for index, client in enumerate(clients):
            client.send(type="chat", channel="silent:1", data=[index, number])
    for index, client in enumerate(clients):
        heard = [client.next("chat") for _ in range(150)]
        assert [m["seq"] for m in heard] == sorted(m["seq"] for m in heard)
        for other in range(4):
            expected = [[other, number] for number in range(50)] if other != index else []
            assert [m["data"] for m in heard if m["data"][0] == other] == expected
        client.ok("ping")
        assert client.heard == []


def test_who_is_not_a_member_publishes_too(pair):
    member, stranger = pair[0].client("plain:1"), pair[1].client()
    for number in range(1, 20):
        assert stranger.ok("chat", channel="plain:1", data=number)["seq"] == number
        assert member.next("chat")["data"] == number
    assert stranger.heard == []


def test_messages_without_an_id_are_published(pair):
    member, publisher = pair[0].client("plain:1"), pair[1].client("plain:1")
    for number in range(500):
        publisher.send(type="chat", channel="plain:1", data=number)
    for client in (member, publisher):
        assert [client.next("chat")["data"] for _ in range(500)] == list(range(500))


# What is published, and by whom.


def test_relay_clients_of_all_nodes_hear_text_and_bytes(pair):
    clients = relays(*pair, *pair)
    for number, relay in enumerate(clients):
        relay.send_text(f"hello {number}")
        for each in clients:
            each.expect_message(TEXT, f"hello {number}".encode())
        payload = bytes([number]) * 70_000 if number else b""
        relay.send_binary(payload)
        for each in clients:
            each.expect_message(BINARY, payload)


def test_the_order_of_text_and_bytes_is_kept(pair):
    sender, *others = relays(*pair, *pair)
    for number in range(300):
        (sender.send_binary if number % 3 else sender.send_text)(f"{number}" if number % 3 == 0 else f"{number}".encode())
    for relay in (sender, *others):
        for number in range(300):
            relay.expect_message(BINARY if number % 3 else TEXT, f"{number}".encode())


def test_both_protocols_share_a_channel(pair):
    [relay] = relays(pair[0])
    client = pair[1].client(path="/lobby")
    relay.send_text('say "hi"\n')
    relay.send_binary(b"\0binary")
    relay.expect_message(TEXT, b'say "hi"\n')
    relay.expect_message(BINARY, b"\0binary")
    message = client.next("chat")
    # A JSON client does not get bytes.
    assert message["data"] == 'say "hi"\n' and "from" not in message
    assert client.ok("chat", data={"n": 2})["seq"] == message["seq"] + 1
    message = json.loads(relay.receive_text())
    assert (message["data"], message["from"]) == ({"n": 2}, client.user)
    assert client.next("chat")["data"] == {"n": 2}


@pytest.mark.parametrize(
    "data", ['{"b": 1e5 ,"a":-0.0, "a":"\\u00e9\\/"}', '"\\ud800"', "12345678901234567890.0", '"' + "ü" * 100_000 + '"']
)
def test_data_reaches_the_other_node_byte_for_byte(pair, data):
    publisher, member = pair[0].client("plain:1"), pair[1].client("plain:1")
    publisher.socket.send('{"type":"chat","channel":"plain:1","data":%s}' % data)
    for client in (publisher, member):
        assert client.socket.recv(timeout=30).endswith(',"data":%s}' % data)


def test_the_largest_message(nodes):
    config = {"websocket": {"max_message_size": "4MiB"}, "queue": {"limit": "64MiB"}}
    a, b = nodes.start(config), nodes.start(config)
    publisher, member = a.client("kept:1"), b.client("kept:1")
    text = "x" * ((4 << 20) - 100)
    for number in range(3):
        publisher.ok("chat", channel="kept:1", data=text)
        assert member.next("chat")["data"] == text


def test_programs_and_operators_publish_on_any_node(pair):
    members = [node.client("kept:1") for node in pair]
    answers = [pair[number % 2].publish("kept:1", number) for number in range(10)]
    assert [answer["seq"] for answer in answers] == list(range(1, 11))
    assert len({answer["epoch"] for answer in answers}) == 1
    assert pair[1].daemon.wsctl("broadcast", "--channel", "kept:1", '{"reload":true}').returncode == 0
    commands = [{"publish": {"channel": "kept:1", "data": number}} for number in range(100)]
    replies = pair[0].api.ok("POST", "/api/batch", {"commands": commands})["replies"]
    assert [reply["seq"] for reply in replies] == list(range(12, 112))
    for member in members:
        heard = [member.next("system") for _ in range(111)]
        assert [m["data"] for m in heard] == [*range(10), {"reload": True}, *range(100)]
        assert [m["seq"] for m in heard] == list(range(1, 112))
        assert {m["channel"] for m in heard} == {"kept:1"}


def test_a_program_publishes_where_nobody_is_on_its_node(pair):
    member = pair[1].client("kept:1")
    for number in range(1, 20):
        assert pair[0].publish("kept:1", number)["seq"] == number
        assert member.next("system")["data"] == number
    [relay] = relays(pair[1])
    payload = bytes(range(256))
    pair[0].api.ok("POST", "/api/publish", {"channel": "lobby", "base64": base64.b64encode(payload).decode()})
    relay.expect_message(BINARY, payload)


def test_the_example_of_a_program_that_publishes_at_redis(redis_server, own_nodes):
    code = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith(("#", '"'))]
    assert len(code) <= 10
    pair = own_nodes.start(), own_nodes.start()
    members = [node.client("kept:}{*ü") for node in pair]

    def publish(text, channel="kept:}{*ü"):
        program = [sys.executable, str(EXAMPLE), redis_server.url(), channel, text]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    publish('"first"')
    members[0].ok("chat", channel="kept:}{*ü", data="second")
    publish('{"third": [3]}')
    for member in members:
        heard = [member.next() for _ in range(3)]
        assert [(m["type"], m["seq"], m["data"]) for m in heard] == [
            ("system", 1, "first"), ("chat", 2, "second"), ("system", 3, {"third": [3]}),
        ]  # fmt: skip
    # Also before there is such a channel, and it is kept for who comes later.
    publish('"early"', "kept:new")
    page = pair[1].client("kept:new").ok("history", channel="kept:new")
    assert [m["data"] for m in page["messages"]] == ["early"]
    [relay] = relays(pair[0])
    publish('"hello"', "lobby")
    relay.expect_message(TEXT, b'"hello"')


# History.


def test_history_is_the_same_on_every_node(pair):
    publisher, other = pair[0].client("kept:1"), pair[1].client()
    for number in range(1, 121):
        publisher.ok("chat", channel="kept:1", data=number)
    # The other node reads it from Redis.
    other.ok("join", channel="kept:1")
    for client in (publisher, other):
        page = client.ok("history", channel="kept:1", limit=30)
        assert [m["seq"] for m in page["messages"]] == list(range(91, 121)) and page["more"] and page["seq"] == 120
        page = client.ok("history", channel="kept:1", limit=1000, before=91)
        assert [m["data"] for m in page["messages"]] == list(range(1, 91)) and not page["more"]
    assert publisher.ok("history", channel="kept:1")["messages"] == other.ok("history", channel="kept:1")["messages"]


def test_a_client_recovers_on_another_node_exactly_once(pair):
    stays = pair[0].client("kept:1")
    left = pair[0].client()
    answer = left.ok("join", channel="kept:1")
    for number in range(1, 41):
        stays.ok("chat", channel="kept:1", data=number)
    position = [left.next("chat") for _ in range(20)][-1]
    left.cut()
    # While it is away, and while it comes back, others go on.
    traffic = Traffic(pair, ["kept:1"], members=1, pause=0.001)
    traffic.wait_for_more(100)
    back = pair[1].wire()
    ack = back.ok("join", channel="kept:1", since={"epoch": answer["epoch"], "seq": position["seq"]})
    assert ack["recovered"] and ack["epoch"] == answer["epoch"]
    traffic.wait_for_more(100)
    last = traffic.stop().newest("kept:1")[answer["epoch"]]
    while back.chats("kept:1")[-1:] != [last]:
        back.hear()
    assert back.chats("kept:1") == list(range(21, last + 1))
    assert [m["data"] for m in back.heard if m["type"] == "chat"][:20] == list(range(21, 41))


def test_a_client_comes_from_a_node_that_was_ahead(redis_server, own_nodes):
    """What a client has heard there, its new node may hear a moment later."""
    line = Line(redis_server.port)
    ahead, behind = own_nodes.start(), own_nodes.start({"broker": {"probe_interval": "60s"}}, url=line.url())
    publisher, member = ahead.client("kept:1"), behind.client("kept:1")
    publisher.ok("chat", channel="kept:1", data=1)
    assert member.next("chat")["data"] == 1
    line.hold(TO_NODE)
    newest = [publisher.ok("chat", channel="kept:1", data=number) for number in (2, 3)][-1]
    wire = behind.wire()
    ids = wire.request(("join", {"channel": "kept:1", "since": since(newest)}), ("ping", {}))
    line.release()
    joined, _ = wire.answers(ids)
    assert joined["recovered"] and joined["seq"] == newest["seq"]
    publisher.ok("chat", channel="kept:1", data=4)
    assert wire.hear()["data"] == 4
    assert [member.next("chat")["data"] for _ in range(3)] == [2, 3, 4]
    line.close()


def test_a_position_that_nobody_was_ever_told_is_not_recovered(nodes):
    node = nodes.start({"broker": {"queue_timeout": "500ms"}})
    ack = node.client("kept:1").ok("chat", channel="kept:1", data=1)
    answer = node.client().ok("join", channel="kept:1", since=since(ack, 99))
    assert (answer["recovered"], answer["seq"]) == (False, 1)


def test_the_channel_of_the_endpoint_is_recovered_by_the_url(pair):
    publisher = pair[0].client(path="/lobby")
    for number in range(5):
        publisher.ok("chat", data=number)
    epoch = publisher.welcome["epoch"]
    back = pair[1].client(path=f"/lobby?epoch={epoch}&seq=2")
    assert back.welcome["recovered"] and back.welcome["seq"] == 5
    assert [back.next("chat")["data"] for _ in range(3)] == [2, 3, 4]
    assert not pair[1].client(path="/lobby?epoch=other&seq=2").welcome["recovered"]


def test_who_has_missed_too_much_is_told(pair):
    publisher, other = pair[0].client("short:1"), pair[1].client()
    for number in range(1, 21):
        ack = publisher.ok("chat", channel="short:1", data=number)
    assert not other.ok("join", channel="short:1", since=since(ack, 10))["recovered"]
    other.ok("leave", channel="short:1")
    assert other.ok("join", channel="short:1", since=since(ack, 18))["recovered"]
    assert [other.next("chat")["seq"] for _ in range(2)] == [19, 20]


def test_history_outlives_every_node(nodes):
    first = nodes.start()
    publisher = first.client("kept:1")
    for number in range(1, 11):
        ack = publisher.ok("chat", channel="kept:1", data=number)
    first.close_clients()
    assert first.daemon.stop() == 0
    second = nodes.start()
    client = second.client()
    answer = client.ok("join", channel="kept:1", since=since(ack, 4))
    assert (answer["recovered"], answer["seq"]) == (True, 10)
    assert [client.next("chat")["data"] for _ in range(6)] == list(range(5, 11))
    assert client.ok("chat", channel="kept:1", data=11)["seq"] == 11


# Names.

NAMES = [
    "}", "{", "{}", "}{", "*", "?", "[a-c]", "\\", ":", "a:b:", " ", "a b", "'\"`$;", "<&>", "%00%s", "c", "m", "ü",
    "\u00a0", "\u200b\ufeff", "日本語", "🦊" * 63 + "abc", "x" * 255, "}" * 255, "{c}:m", "\ufffd", "%s:{c%s}:h", "kept:}:{",
]  # fmt: skip


def test_any_name_is_a_channel_of_its_own(nodes, shared_redis):
    config = {"channels": {"*": {"history": 10}}, "limits": {"channels": 1000, "messages_per_second": 0}}
    pair = nodes.start(config), nodes.start(config)
    clients = [node.client(*NAMES) for node in pair]
    assert subscribed(shared_redis.client(), nodes) == set(NAMES)
    for number, name in enumerate(NAMES):
        assert clients[number % 2].ok("chat", channel=name, data=name)["seq"] == 1
        assert pair[number % 2].publish(name, number)["seq"] == 2
    for client in clients:
        heard = [client.next() for _ in range(2 * len(NAMES))]
        for number, name in enumerate(NAMES):
            assert [m["data"] for m in heard if m["channel"] == name] == [name, number]
    late = nodes.start(config).client(*NAMES)
    for number, name in enumerate(NAMES):
        assert [m["data"] for m in late.ok("history", channel=name)["messages"]] == [name, number]


# Subscriptions.


def test_only_channels_with_members_are_subscribed(pair, nodes, shared_redis):
    server = shared_redis.client()
    assert subscribed(server, nodes) == set()
    first, second = pair[0].client("kept:1", "plain:1"), pair[1].client("plain:1", "plain:2")
    assert subscribed(server, nodes) == {"kept:1", "plain:1", "plain:2"}
    # Publishing is no reason to hear.
    first.ok("chat", channel="plain:3", data=1)
    pair[0].publish("kept:3", 1)
    assert subscribed(server, nodes) == {"kept:1", "plain:1", "plain:2"}
    names = [f"{nodes.prefix}:c:{name}" for name in ("plain:1", "plain:2")]
    assert dict(server.pubsub_numsub(*names)) == {names[0].encode(): 2, names[1].encode(): 1}
    second.ok("leave", channel="plain:2")
    wait_until(lambda: subscribed(server, nodes) == {"kept:1", "plain:1"}, "nobody is subscribed to plain:2")
    first.cut()
    wait_until(lambda: "kept:1" not in subscribed(server, nodes), "nobody is subscribed to kept:1")
    second.socket.close()
    wait_until(lambda: subscribed(server, nodes) == set(), "nobody is subscribed")
    # Who comes back hears again.
    again = pair[1].client("plain:1")
    pair[0].publish("plain:1", "again")
    assert again.next("system")["data"] == "again"


def test_members_come_and_go_while_others_publish(pair):
    traffic = Traffic(pair, ["kept:1", "plain:1"], members=1, pause=0.001)
    wire = pair[1].wire()
    heard_before = 0
    for _ in range(100):
        channel = seeded.RANDOM.choice(["kept:1", "plain:1"])
        answer = wire.ok("join", channel=channel)
        for _ in range(seeded.RANDOM.randrange(10)):
            wire.hear()
        wire.ok("leave", channel=channel)
        numbers = wire.chats(channel)
        assert numbers == list(range(answer["seq"] + 1, answer["seq"] + 1 + len(numbers)))
        heard_before += len(numbers)
        wire.heard.clear()
    assert heard_before > 0
    traffic.stop()


def test_who_comes_first_on_a_node_misses_nothing_and_hears_nothing_twice(pair):
    """Each join subscribes the channel on the second node, and each leave ends that."""
    traffic = Traffic(pair[:1], ["kept:1", "plain:1"], members=1, pause=0.001)
    client = pair[1].wire()
    for number in range(60):
        for channel in ("kept:1", "plain:1"):
            answer = client.ok("join", channel=channel)
            while len(client.chats(channel)) < 5:
                client.hear()
            client.ok("leave", channel=channel)
            numbers = client.chats(channel)
            assert numbers == list(range(answer["seq"] + 1, answer["seq"] + 1 + len(numbers)))
            client.heard.clear()
    traffic.stop()


def test_another_prefix_hears_nothing(pair, nodes, shared_redis, wsd_directory):
    others = Nodes(wsd_directory / "others", shared_redis.url(), nodes.prefix + "0")
    try:
        stranger = others.start().client("kept:1")
        member = pair[0].client("kept:1")
        for number in range(1, 50):
            assert pair[1].publish("kept:1", number)["seq"] == number
            assert member.next("system")["data"] == number
        assert stranger.ok("ping") and stranger.heard == []
        assert stranger.ok("chat", channel="kept:1", data="own")["seq"] == 1
        assert stranger.next()["data"] == "own"
    finally:
        assert others.finish() == []
    assert member.ok("ping") and member.heard == []


# Answers.


@pytest.mark.parametrize("channel", ["kept:%d", "here:%d"])
def test_answers_come_in_the_order_of_the_requests(pair, channel):
    question = ("history", {}) if channel.startswith("kept") else ("presence", {})
    for node in (*pair, *pair):
        wire, requests = node.wire(), []
        for number in range(100):
            name = channel % (number % 7)
            requests += [("join", {"channel": name}), ("chat", {"channel": name, "data": number}), ("ping", {})]
            requests += [(question[0], {"channel": name}), ("chat", {"channel": "plain:1", "data": 1})]
            if number % 3 == 0:
                requests.append(("leave", {"channel": name}))
        ids = wire.request(*requests)
        answers = wire.answers(ids)
        assert [answer["id"] for answer in answers] == ids
        assert {answer["type"] for answer in answers} == {"ack"}
        wire.close()


def test_a_question_knows_what_the_same_client_has_published(pair):
    for node in pair:
        wire = node.wire("kept:1")
        for _ in range(50):
            chat, history = wire.answers(
                wire.request(("chat", {"channel": "kept:1", "data": 1}), ("history", {"channel": "kept:1", "limit": 1}))
            )
            assert history["seq"] >= chat["seq"]
            assert history["messages"][-1]["seq"] == history["seq"]


# The lives of nodes.


def test_a_reload_keeps_everything(pair):
    traffic = Traffic(pair, ["kept:1", "plain:1"])
    before = "messages_per_second = 0"
    for number in range(10):
        traffic.wait_for_more()
        after = f"messages_per_second = {100_000 + number}"
        for node in pair:
            assert node.reload(before, after) == {"changed": ["limits.messages_per_second"], "needsRestart": []}
        before = after
    ledger = traffic.stop()
    assert ledger.counts["gaps"] == ledger.counts["refused"] == 0
    assert all(node.is_ready() for node in pair)


def test_a_reload_changes_what_can_be_and_names_the_rest(pair):
    done = pair[0].reload("[broker]", '[broker]\nqueue_timeout = "3s"\nprobe_interval = "1s"')
    assert done == {"changed": ["broker.queue_timeout"], "needsRestart": ["broker.probe_interval"]}


def test_a_reload_begins_and_ends_a_history(pair):
    """On both nodes, or what one has given to Redis the other does not show."""
    clients = [node.client("plain:1") for node in pair]
    clients[0].ok("chat", channel="plain:1", data="before")
    for node in pair:
        node.reload('[channels."plain:*"]', '[channels."plain:*"]\nhistory = 10')
    for number in range(15):
        clients[number % 2].ok("chat", channel="plain:1", data=number)
    for client in (pair[1].client("plain:1"), *clients):
        # The last message may be on its way to the other node.
        wait_until(lambda: nodes_history(client) == list(range(5, 15)), "the last ten are the history")
    for node in pair:
        node.reload("history = 10\n", "")
    assert clients[0].refused("history", channel="plain:1") == "unavailable"
    assert clients[1].ok("chat", channel="plain:1", data="after")["seq"] == 17


def nodes_history(client):
    return [message["data"] for message in client.ok("history", channel="plain:1")["messages"]]


def test_one_node_drains_and_the_other_goes_on(pair):
    """What its clients said before arrives, and they go on where they were, on the other node."""
    leaving, staying = pair
    member = staying.wire("kept:1")
    clients = [leaving.wire("kept:1") for _ in range(3)]
    for index, client in enumerate(clients):
        client.request(*(("chat", {"channel": "kept:1", "data": [index, number]}) for number in range(100)))
    leaving.daemon.signal()
    said = []
    for index, client in enumerate(clients):
        acks = {}
        while True:
            frame = client.receive_frame()
            if frame.opcode == 8:
                assert frame.payload[:2] == (1001).to_bytes(2, "big")
                break
            client.heard.append(json.loads(frame.payload))
            if client.heard[-1]["type"] == "ack":
                acks[client.heard[-1]["id"]] = client.heard[-1]["seq"]
        client.answer_close(1001)
        said += acks.values()
        back = staying.wire()
        numbers = client.chats("kept:1")
        assert numbers == list(range(1, len(numbers) + 1))
        epoch = next(m["epoch"] for m in client.heard if "epoch" in m)
        ack = back.ok("join", channel="kept:1", since={"epoch": epoch, "seq": len(numbers)})
        assert ack["recovered"]
        while back.chats("kept:1")[-1:] != [ack["seq"]] and ack["seq"] > len(numbers):
            back.hear()
        assert numbers + back.chats("kept:1") == list(range(1, ack["seq"] + 1))
    assert leaving.daemon.wait() == 0
    assert staying.publish("kept:1", "after")["seq"] > max(said, default=0)
    while member.heard[-1:] == [] or member.heard[-1].get("data") != "after":
        member.hear()
    numbers = [m["seq"] for m in member.heard if m["type"] in ("chat", "system")]
    assert numbers == list(range(1, len(numbers) + 1)) and set(said) <= set(numbers)


def test_what_a_program_was_told_is_published_although_the_node_stops_then(nodes):
    staying = nodes.start()
    member = staying.client("kept:1")
    for round in range(5):
        leaving = nodes.start()
        answer = leaving.publish("kept:1", round)
        leaving.daemon.signal()
        assert member.next("system")["data"] == round
        assert answer["seq"] == round + 1
        assert leaving.daemon.wait() == 0


def test_a_killed_node_takes_nothing_with_it(nodes):
    staying, dying = nodes.start(), nodes.start()
    member = staying.client("kept:1")
    victim = dying.wire("kept:1")
    for number in range(100):
        acked = victim.ok("chat", channel="kept:1", data=number)["seq"]
    dying.daemon.kill()
    assert [member.next("chat")["data"] for _ in range(100)] == list(range(100))
    assert acked == 100
    back = staying.client()
    newest = member.ok("history", channel="kept:1", limit=1)
    assert back.ok("join", channel="kept:1", since=since(newest, 50))["recovered"]
    assert [back.next("chat")["data"] for _ in range(50)] == list(range(50, 100))


# Ways to Redis.


def both_ways(own_nodes, url, **broker):
    pair = [own_nodes.start({"broker": broker}, url=url) for _ in range(2)]
    member = pair[0].client("kept:1")
    assert pair[1].client().ok("chat", channel="kept:1", data="hello")["seq"] == 1
    assert member.next("chat")["data"] == "hello"
    return pair


def test_through_a_unix_socket(start_redis, own_nodes):
    both_ways(own_nodes, start_redis(has_socket=True).socket_url)


def test_through_tls(start_redis, own_nodes, wsd_directory):
    authority = Authority(wsd_directory)
    server = start_redis(tls=authority)
    both_ways(own_nodes, server.url(), ca_file=authority.authority)
    # Without the authority, nobody is trusted.
    node = own_nodes.start(url=server.url(), is_ready=False)
    node.wait_until_not_ready("certificate")


def test_a_certificate_for_another_name_is_refused(start_redis, own_nodes, wsd_directory):
    authority = Authority(wsd_directory, "other.example")
    server = start_redis(tls=authority, client_options={"ssl_check_hostname": False})
    node = own_nodes.start({"broker": {"ca_file": authority.authority}}, url=server.url(), is_ready=False)
    node.wait_until_not_ready("another name")


def test_tls_where_there_is_none(redis_server, own_nodes):
    node = own_nodes.start(url=redis_server.url().replace("redis:", "rediss:"), is_ready=False)
    node.wait_until_not_ready(str(redis_server.port))


def test_with_a_password(start_redis, own_nodes, wsd_directory):
    server = start_redis(password="s3cret")
    both_ways(own_nodes, server.url())
    file = wsd_directory / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    node = own_nodes.start({"broker": {"password_file": str(file)}}, url=f"redis://127.0.0.1:{server.port}")
    shown = node.daemon.wsctl("config").stdout + node.daemon.wsctl("status", "--json").stdout + node.daemon.log()
    assert "s3cret" not in shown


# The rights that wsd-broker(7) names for a user of its own.
RIGHTS = (
    "~wsd:* &wsd:* -@all +hello +ping +select +client|setname +subscribe +unsubscribe +publish +eval "
    "+evalsha +script|load +set +get +del +exists +expire +pexpire +time +hmget +hget +hset +hdel +hlen +hincrby "
    "+hgetall +hscan +hexists +hkeys +sadd +srem +smembers +scard +sscan +sismember +mget +xadd +xrange +xrevrange +xtrim "
    "+info"
)


def test_a_user_with_few_rights(start_redis, own_nodes):
    server = start_redis(acl=["user default off", f"user hub on >s3cret {RIGHTS}"], client_options={"username": "hub"})
    server.password = "s3cret"
    pair = both_ways(own_nodes, server.url("hub", "s3cret"))
    for node in pair:
        assert "NOPERM" not in node.daemon.log()


def test_in_another_database(redis_server, own_nodes):
    both_ways(own_nodes, redis_server.url(database=3))
    assert redis_server.client(db=3).keys("wsd:{ckept:1}:*")
    assert not redis_server.client().keys("wsd:{ckept:1}:*")


def test_the_names_of_nodes_are_seen_at_redis(pair, shared_redis):
    names = {client["name"] for client in shared_redis.client().client_list()}
    assert {f"wsd-{node.name}" for node in pair} <= names


# Presence.


@pytest.fixture
def people(nodes, wsd_directory):
    """Starts nodes whose clients have names."""
    secret = wsd_directory / "jwt"
    secret.write_text(SECRET)
    secret.chmod(0o600)

    def start(**options):
        config = {
            "auth": {"mode": "jwt", "hmac_secret_file": str(secret)},
            "broker": {"presence_ttl": "2s", "probe_interval": "1s"},
        }
        return nodes.start(config, **options)

    return start


def users(client, channel="here:1"):
    return {each["user"] for each in client.ok("presence", channel=channel)["users"]}


def announcements(client, channel="here:1"):
    """Joins and leaves that have come by now."""
    client.ok("ping")
    told = [(m["type"], m["from"]) for m in client.heard if m["type"] in ("join", "leave") and m["channel"] == channel]
    client.heard.clear()
    return told


def test_users_of_all_nodes_are_present(people):
    a, b = people(workers=1), people(workers=3)
    ada, bob = a.client("here:1", user="ada"), b.client("here:1", user="bob")
    wait_until(lambda: users(ada) == users(bob) == {"ada", "bob"}, "both see both")
    for node in (a, b):
        shown = node.api.ok("POST", "/api/presence", {"channel": "here:1"})
        assert {each["user"] for each in shown["users"]} == {"ada", "bob"}


def test_a_user_joins_once_and_leaves_once_over_all_nodes(people):
    a, b = people(), people()
    witnesses = [node.client("here:1", user=f"witness-{node.name}") for node in (a, b)]
    for witness in witnesses:
        wait_until(lambda: len(users(witness)) == 2, "the witnesses are there")
        witness.heard.clear()
    here = [node.client("here:1", user="ada") for node in (a, b, a)]
    for witness in witnesses:
        wait_until(lambda: "ada" in users(witness), "ada is there")
        assert announcements(witness).count(("join", "ada")) == 1
    here[0].ok("leave", channel="here:1")
    here[1].ok("leave", channel="here:1")
    for witness in witnesses:
        assert "ada" in users(witness)
        assert announcements(witness) == []
    here[2].ok("leave", channel="here:1")
    for witness in witnesses:
        assert witness.next("leave")["from"] == "ada"
        assert users(witness) == {f"witness-{node.name}" for node in (a, b)}
        assert announcements(witness) == []


def test_nobody_is_told_of_the_own_coming(people):
    """As on a node without a broker."""
    a, b = people(), people()
    witness = b.client("here:1", user="witness")
    ada = [a.client("here:1", user="ada"), b.client("here:1", user="ada"), a.client("here:1", user="ada")]
    assert witness.next("join")["from"] == "ada"
    bob = a.client("here:1", user="bob")
    for client in [witness, *ada]:
        assert client.next("join")["from"] == "bob"
    for client in [witness, *ada, bob]:
        assert announcements(client) == []


def test_who_was_announced_is_who_is_there(people):
    """Two thousand joins and leaves of a few users on three nodes."""
    three = [people() for _ in range(3)]
    watchers = [node.client(user=f"watcher-{node.name}") for node in three]
    rooms = [f"here:{number}" for number in range(4)]
    for watcher in watchers:
        for room in rooms:
            watcher.ok("join", channel=room)
    names = {watcher.user for watcher in watchers}
    for watcher in watchers:
        for room in rooms:
            wait_until(lambda: users(watcher, room) == names, "the watchers are there")
        watcher.heard.clear()
    connections = [(user, node.wire(user=user)) for user in ("ada", "bob", "cyd", "dan") for node in three]
    inside = set()
    for _ in range(2000):
        index, room = seeded.RANDOM.randrange(len(connections)), seeded.RANDOM.choice(rooms)
        there = (index, room)
        connections[index][1].request(("leave" if there in inside else "join", {"channel": room}))
        inside ^= {there}
    expected = {room: names | {connections[index][0] for index, name in inside if name == room} for room in rooms}
    for watcher in watchers:
        for room in rooms:
            wait_until(lambda: users(watcher, room) == expected[room], f"{room} is as it should be")
    for watcher in watchers:
        for room in rooms:
            announced = set(names)

            def is_right():
                for kind, user in announcements_of(watcher, room):
                    assert (user in announced) == (kind == "leave"), (kind, user, room)
                    announced.symmetric_difference_update({user})
                return announced == expected[room]

            wait_until(is_right, f"{room} was announced")


def announcements_of(client, channel):
    """As `announcements`, but leaves what is about other channels."""
    client.ok("ping")
    told = [m for m in client.heard if m["type"] in ("join", "leave") and m["channel"] == channel]
    client.heard = [m for m in client.heard if m not in told]
    return [(m["type"], m["from"]) for m in told]


def test_the_users_of_a_killed_node_leave_once(people):
    a, b, c = people(), people(), people()
    witnesses = [node.client("here:1", user=f"witness-{node.name}") for node in (a, b)]
    dying = [c.client("here:1", user=user) for user in ("ada", "bob", "cyd")]
    both = a.client("here:1", user="cyd")
    for witness in witnesses:
        wait_until(lambda: len(users(witness)) == 5, "all are there")
        announcements(witness)
    c.daemon.kill()
    told = []
    for witness in witnesses:
        wait_until(lambda: not {"ada", "bob"} & users(witness), "the users of the dead node are gone")
        told.append([witness.next("leave")["from"] for _ in range(2)])
        assert sorted(told[-1]) == ["ada", "bob"]
        # Who is on another node, too, is still there.
        assert users(witness) == {both.user, *(each.user for each in witnesses)}
        assert announcements(witness) == []
    del dying


def test_the_users_of_a_stopped_node_leave_at_once(people):
    a, b = people(), people()
    witness = a.client("here:1", user="witness")
    b.client("here:1", user="ada")
    wait_until(lambda: "ada" in users(witness), "ada is there")
    announcements(witness)
    b.close_clients()
    assert b.daemon.stop() == 0
    assert witness.next("leave")["from"] == "ada"
    assert users(witness) == {"witness"}


def test_a_node_that_stood_still_has_its_users_back(people):
    a, b = people(), people()
    witness = a.client("here:1", user="witness")
    ada = b.client("here:1", user="ada")
    wait_until(lambda: "ada" in users(witness), "ada is there")
    announcements(witness)
    b.daemon.signal(signal.SIGSTOP)
    try:
        assert witness.next("leave")["from"] == "ada"
    finally:
        b.daemon.signal(signal.SIGCONT)
    assert witness.next("join")["from"] == "ada"
    wait_until(lambda: users(witness) == users(ada) == {"ada", "witness"}, "both are there")
    assert announcements(witness) == []
