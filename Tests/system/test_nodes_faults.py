"""Faults of Redis, and of the way to it, while clients of two nodes talk: none of them is disconnected or misses anything."""

import http.server
import json
import signal
import struct
import threading
import time

import pytest

import siege
from line import TO_NODE, TO_SERVER, Line
from nodes import PATIENT, PROBE_SECONDS, wait_for_all
from ports import free_port
from test_api import KEYS
from traffic import GAPS, LOSS
from waiting import DEADLINE, wait_until

# What waits is soon refused.
HURRIED = {"broker": {"probe_interval": "1s", "queue_timeout": "1s"}}
# What noticing may take longer than the interval on a machine that is busy.
SLACK = 3.0


@pytest.fixture
def pair(own_nodes):
    return own_nodes.start(PATIENT, workers=1), own_nodes.start(PATIENT, workers=2)


def publish_refused(node, channel="plain:1", data="refused"):
    """Publishes by the API, and asserts that that is refused; the reason."""
    headers = {"Authorization": f"Bearer {KEYS['publish']}", "Content-Type": "application/json"}
    body = json.dumps({"channel": channel, "data": data})
    status, fields, text = node.api.raw("POST", "/api/publish", body, headers)
    assert (status, bool(fields["Retry-After"])) == (503, True), text
    return json.loads(text)["detail"]


def test_without_a_fault_nobody_hears_of_any(own_nodes, talk):
    # A probe that is late because the machine is busy would be a fault, and this is the test without one.
    patient = {"broker": {"probe_interval": "60s"}}
    traffic = talk((own_nodes.start(patient, workers=1), own_nodes.start(patient, workers=2)))
    traffic.wait_for_more(500)
    ledger = traffic.stop()
    assert ledger.counts["refused"] == ledger.counts["gaps"] == 0


# Redis goes and comes back.


@pytest.mark.parametrize("by", ["stop", "kill"])
def test_a_restart_with_data(redis_server, pair, talk, by):
    traffic = talk(pair, **GAPS)
    for _ in range(3):
        redis_server.restart(with_data=True, by=by)
        wait_for_all(pair)
        traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


def test_a_restart_without_data(redis_server, pair, talk):
    quiet = pair[0].client("kept:quiet")
    before = [quiet.ok("chat", channel="kept:quiet", data=number) for number in range(5)][-1]
    traffic = talk(pair, **LOSS)
    redis_server.restart(with_data=False)
    wait_for_all(pair)
    traffic.wait_for_more()
    ledger = traffic.stop()
    # Everyone in either channel was told, on both nodes.
    assert ledger.counts["renumberings"] == len(traffic.members)
    gap = quiet.next("system")
    assert (gap["event"], gap["channel"], gap["seq"]) == ("gap", "kept:quiet", 0) and gap["epoch"] != before["epoch"]
    since = {"epoch": before["epoch"], "seq": before["seq"]}
    for node in pair:
        answer = node.client().ok("join", channel="kept:quiet", since=since)
        assert (answer["recovered"], answer["epoch"], answer["seq"]) == (False, gap["epoch"], 0)
    assert quiet.ok("chat", channel="kept:quiet", data="new")["seq"] == 1


def test_a_restart_with_older_data(start_redis, wsd_directory, own_nodes, talk):
    """As a replica takes over that lacks the last messages: their numbers are not given twice in one numbering."""
    server = start_redis()
    nodes = [own_nodes.start(PATIENT, url=server.url()) for _ in range(2)]
    traffic = talk(nodes, **LOSS)
    server.client().save()
    traffic.wait_for_more(100)
    server.kill()
    server.start()
    wait_for_all(nodes)
    traffic.wait_for_more(100)
    assert traffic.stop().counts["renumberings"] == len(traffic.members)


def test_all_data_is_deleted(redis_server, pair, talk):
    quiet = pair[1].client("kept:quiet")
    before = quiet.ok("chat", channel="kept:quiet", data=1)
    traffic = talk(pair, **LOSS)
    redis_server.client().flushall()
    traffic.wait_for_more(50)
    ledger = traffic.stop()
    assert ledger.counts["renumberings"] == len(traffic.members)
    # In a quiet channel it is noticed when somebody looks.
    newcomer = pair[0].client()
    answer = newcomer.ok("join", channel="kept:quiet", since={"epoch": before["epoch"], "seq": 1})
    assert not answer["recovered"] and answer["epoch"] != before["epoch"]
    after = newcomer.ok("chat", channel="kept:quiet", data=2)
    assert (after["epoch"], after["seq"]) == (answer["epoch"], 1)
    quiet.next("chat")
    gap = quiet.next("system")
    assert (gap["event"], gap["epoch"]) == ("gap", after["epoch"])


def test_scripts_are_forgotten(redis_server, pair, talk):
    client = redis_server.client()
    traffic = talk(pair)
    for _ in range(10):
        client.script_flush()
        traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


# Redis stands still.


def test_it_hangs(redis_server, pair, talk):
    traffic = talk(pair, **GAPS)
    with redis_server.paused():
        began = time.monotonic()
        for node in pair:
            text = node.wait_until_not_ready("does not answer")
            assert str(redis_server.port) in text
        assert time.monotonic() - began < PROBE_SECONDS + SLACK
        for node in pair:
            assert "does not answer" in node.status()
        before = traffic.count()
        time.sleep(2)
        assert traffic.count() == before
        said = traffic.said
    wait_for_all(pair)
    traffic.wait_for_more(said - before)
    assert traffic.stop().counts["refused"] == 0


@pytest.mark.parametrize("mode", ["ALL", "WRITE"])
def test_it_holds_back_commands(redis_server, pair, talk, mode):
    traffic = talk(pair, **GAPS)
    redis_server.client().execute_command("CLIENT", "PAUSE", 3000, mode)
    for node in pair:
        node.wait_until_not_ready()
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


def test_a_script_is_slow(redis_server, pair, talk):
    """Others hear BUSY for as long as it runs."""
    client = redis_server.client()
    client.config_set("busy-reply-threshold", 100)
    traffic = talk(pair, **GAPS)
    slow = """
        local function now() local t=redis.call('TIME') return t[1]+t[2]/1e6 end
        local over=now()+3
        while now()<over do end
    """
    thread = threading.Thread(target=client.eval, args=(slow, 0))
    thread.start()
    for node in pair:
        node.wait_until_not_ready()
    thread.join()
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


# Connections end.


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
def test_one_of_the_connections_is_killed(redis_server, pair, talk, kind):
    client = redis_server.client()
    traffic = talk(pair, **GAPS)
    for _ in range(10):
        assert client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") >= len(pair)
        traffic.wait_for_more()
        wait_for_all(pair)
    assert traffic.stop().counts["refused"] == 0


def test_a_subscription_ends_because_its_buffer_is_full(redis_server, pair, talk):
    client = redis_server.client()
    traffic = talk(pair, **GAPS)
    client.config_set("client-output-buffer-limit", "pubsub 65536 0 0")
    loud = pair[0].client("kept:loud")
    listener = pair[1].client("kept:loud")
    loud.ok("chat", channel="kept:loud", data="x" * 100_000)
    wait_until(lambda: "client-output-buffer" in redis_server.log() or "output buffer limits" in redis_server.log(), "it is cut")
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
    wait_for_all(pair)
    assert len(loud.next("chat")["data"]) == len(listener.next("chat")["data"]) == 100_000
    traffic.wait_for_more()
    traffic.stop()


def test_ten_thousand_channels_are_subscribed_again(redis_server, own_nodes):
    count, part = 10_000, 500
    config = {"broker": {"queue_timeout": "60s"}, "limits": {"channels": part, "messages_per_second": 0}}
    nodes = [own_nodes.start(config) for _ in range(2)]
    names = [f"{'kept' if number % 2 else 'plain'}:{number}" for number in range(count)]
    parts = [names[start : start + part] for start in range(0, count, part)]
    wires = [(node.wire(), part) for node in nodes for part in parts]
    joins = [(wire, wire.request(*(("join", {"channel": name}) for name in part))) for wire, part in wires]
    for wire, ids in joins:
        assert {answer["type"] for answer in wire.answers(ids)} == {"ack"}
        wire.heard.clear()
    client = redis_server.client()
    assert len(client.pubsub_channels("wsd:c:*")) == count
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: len(client.pubsub_channels("wsd:c:*")) == count, "all are subscribed")
    wait_for_all(nodes)
    for wire, part in wires[: len(parts)]:
        wire.request(*(("chat", {"channel": name, "data": name}) for name in part))
    for wire, part in wires:
        # The order is one in each channel, not among them. On a machine that is busy, a subscription may seem dead once
        # more: then who keeps no history is told of a gap.
        heard = {}
        while len(heard) < len(part):
            message = wire.hear()
            if message["type"] == "chat" or message.get("event") == "gap":
                assert heard.setdefault(message["channel"], message) is message
        for name, message in heard.items():
            assert message["seq"] == 1
            assert message.get("data") == name or name.startswith("plain")


# One node's way to Redis.


@pytest.fixture
def parted(redis_server, own_nodes):
    """Two nodes, of which the second reaches Redis by a line only."""
    line = Line(redis_server.port)
    yield own_nodes.start(PATIENT), own_nodes.start(PATIENT, url=line.url()), line
    line.close()


@pytest.mark.parametrize("directions", [(TO_SERVER, TO_NODE), (TO_SERVER,), (TO_NODE,)], ids=["both", "there", "back"])
def test_one_node_is_parted_from_redis(parted, talk, directions):
    near, far, line = parted
    traffic = talk([near, far], **GAPS)
    line.hold(*directions)
    far.wait_until_not_ready()
    traffic.wait_for_more(50)
    assert near.is_ready()
    time.sleep(1)
    line.release()
    far.wait_until_ready()
    traffic.wait_for_more(50)
    assert traffic.stop().counts["refused"] == 0


def test_one_node_is_cut_off_again_and_again(parted, talk):
    near, far, line = parted
    traffic = talk([near, far], **GAPS)
    for _ in range(20):
        line.cut()
        traffic.wait_for_more(10)
    line.cut(refuse=True)
    far.wait_until_not_ready()
    traffic.wait_for_more(50)
    line.release()
    far.wait_until_ready()
    traffic.wait_for_more(50)
    assert traffic.stop().counts["refused"] == 0


def test_a_parted_node_gives_back_what_waited_too_long(redis_server, own_nodes):
    line = Line(redis_server.port)
    near, far = own_nodes.start(HURRIED), own_nodes.start(HURRIED, url=line.url())
    member, publisher = near.client("kept:1"), far.client("kept:1")
    publisher.ok("chat", channel="kept:1", data=1)
    line.cut(refuse=True)
    error = publisher.ask("chat", channel="kept:1", data=2)
    assert (error["type"], error["code"], error["channel"]) == ("error", "unavailable", "kept:1")
    assert near.publish("kept:1", 3)["seq"] == 2
    assert "127.0.0.1" in publish_refused(far, "kept:1")
    line.release()
    far.wait_until_ready()
    assert publisher.ok("chat", channel="kept:1", data=4)["seq"] == 3
    assert [member.next()["data"] for _ in range(3)] == [1, 3, 4]
    assert [publisher.next()["data"] for _ in range(3)] == [1, 3, 4]
    line.close()


# Redis refuses.


REFUSALS = {
    "OOM": ("maxmemory", "1", "0"),
    "NOREPLICAS": ("min-replicas-to-write", "1", "0"),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_it_takes_no_writes(redis_server, pair, talk, code):
    setting, value, before = REFUSALS[code]
    client = redis_server.client()
    traffic = talk(pair, **GAPS)
    client.config_set(setting, value)
    for node in pair:
        assert code in node.wait_until_not_ready(code)
        assert code in node.status()
    client.config_set(setting, before)
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


@pytest.mark.parametrize("code", REFUSALS)
def test_publishers_hear_why_it_takes_no_writes(redis_server, own_nodes, code):
    setting, value, before = REFUSALS[code]
    node = own_nodes.start(HURRIED)
    publisher = node.client("kept:1")
    redis_server.client().config_set(setting, value)
    error = publisher.ask("chat", channel="kept:1", data=1)
    assert (error["code"], code in error["message"]) == ("unavailable", True), error
    assert code in publish_refused(node, "kept:1")
    redis_server.client().config_set(setting, before)
    node.wait_until_ready()
    assert publisher.ok("chat", channel="kept:1", data=2)["seq"] == 1
    assert publisher.next("chat")["data"] == 2


def test_it_becomes_a_replica(redis_server, pair, talk):
    client = redis_server.client()
    traffic = talk(pair, **GAPS)
    # Of a master that is not there: its data stay.
    client.execute_command("REPLICAOF", "127.0.0.1", free_port())
    for node in pair:
        node.wait_until_not_ready("is a replica")
    client.execute_command("REPLICAOF", "NO", "ONE")
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


def test_it_is_a_replica_at_the_start(redis_server, start_redis, own_nodes):
    replica = start_redis(replicaof=f"127.0.0.1 {redis_server.port}")
    node = own_nodes.start(url=replica.url(), is_ready=False)
    assert "is a replica" in node.wait_until_not_ready("replica")


def test_the_password_is_wrong_at_the_start(start_redis, own_nodes):
    server = start_redis(password="right")
    wrong = own_nodes.start(url=server.url(password="wrong"), is_ready=False)
    text = wrong.wait_until_not_ready("refused the password")
    assert "wrong@" not in text and "wrong@" not in wrong.daemon.log()
    missing = own_nodes.start(url=f"redis://127.0.0.1:{server.port}", is_ready=False)
    missing.wait_until_not_ready("asks for a password")
    own_nodes.start(url=server.url())
    server.client().config_set("requirepass", "wrong")
    wrong.wait_until_ready()


def test_the_password_is_changed(redis_server, pair, talk):
    client = redis_server.client()
    traffic = talk(pair, **GAPS)
    client.config_set("requirepass", "new")
    # Who is logged in remains so.
    traffic.wait_for_more()
    for kind in ("pubsub", "normal"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    for node in pair:
        node.wait_until_not_ready("password")
        assert "password" in node.status()
    client.config_set("requirepass", "")
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


def test_it_has_no_room_for_more_connections(redis_server, pair, talk):
    client = redis_server.client()
    client.ping()
    traffic = talk(pair, **GAPS)
    client.config_set("maxclients", 1)
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    for node in pair:
        node.wait_until_not_ready("max number of clients")
    client.config_set("maxclients", 1000)
    wait_for_all(pair)
    traffic.wait_for_more()
    assert traffic.stop().counts["refused"] == 0


def test_a_user_may_not_publish_any_more(start_redis, own_nodes):
    server = start_redis(acl=["user default on nopass ~* &* +@all", "user hub on >secret ~* &* +@all"])
    nodes = [own_nodes.start(HURRIED, url=server.url("hub", "secret")) for _ in range(2)]
    member, publisher = nodes[0].client("kept:1"), nodes[1].client("kept:1")
    publisher.ok("chat", channel="kept:1", data=1)
    server.client().execute_command("ACL", "SETUSER", "hub", "-publish")
    error = publisher.ask("chat", channel="kept:1", data=2)
    assert error["code"] == "unavailable" and "can't run this command" in error["message"], error
    for node in nodes:
        node.wait_until_not_ready("can't run this command")
    server.client().execute_command("ACL", "SETUSER", "hub", "+publish")
    wait_for_all(nodes)
    last = publisher.ok("chat", channel="kept:1", data=3)["seq"]
    for client in (member, publisher):
        heard = [client.next("chat") for _ in range(last)]
        assert [m["seq"] for m in heard] == list(range(1, last + 1))
        # The script had come as far as the history: nobody was told that it had not.
        assert [m["data"] for m in heard] in ([1, 3], [1, 2, 3])
        if last == 3:
            assert "may not have been" in error["message"]


# Who is present.


BRIEF = {"broker": {"probe_interval": "1s", "presence_ttl": "2s", "queue_timeout": "60s"}}


def present(client):
    """The users in the channel; none while Redis can't be asked."""
    return {each["user"] for each in client.ask("presence", channel="here:1").get("users", [])}


@pytest.mark.parametrize("is_flushed", [False, True])
def test_users_are_present_again_after_all_data_is_lost(redis_server, own_nodes, is_flushed):
    clients = [own_nodes.start(BRIEF).client("here:1") for _ in range(2)]
    everybody = {client.user for client in clients}
    wait_until(lambda: all(present(client) == everybody for client in clients), "all are there")
    if is_flushed:
        redis_server.client().flushall()
    else:
        redis_server.restart(with_data=False)
    wait_for_all(own_nodes.all)
    wait_until(lambda: all(present(client) == everybody for client in clients), "all are there again")
    clients[0].ok("leave", channel="here:1")
    wait_until(lambda: present(clients[1]) == {clients[1].user}, "who leaves then is gone")


def test_the_users_of_a_parted_node_leave_and_come_back(redis_server, own_nodes):
    line = Line(redis_server.port)
    near, far = own_nodes.start(BRIEF), own_nodes.start(BRIEF, url=line.url())
    witness, stays, goes = near.client("here:1"), far.client("here:1"), far.client("here:1")
    wait_until(lambda: present(witness) == {witness.user, stays.user, goes.user}, "all are there")
    # The announcements come on another way than the answers.
    announced = set()
    while not announced >= {stays.user, goes.user}:
        announced.add(witness.next("join")["from"])
    witness.heard.clear()
    line.cut(refuse=True)
    assert {witness.next("leave")["from"] for _ in range(2)} == {stays.user, goes.user}
    assert present(witness) == {witness.user}
    goes.ok("leave", channel="here:1")
    line.release()
    assert witness.next("join")["from"] == stays.user
    wait_until(lambda: present(witness) == present(stays) == {witness.user, stays.user}, "who stayed is there again")
    assert not any(message["type"] in ("join", "leave") for message in witness.heard)
    line.close()


# Redis is not there yet, and what waits for it.


def test_it_can_not_be_reached_at_the_start(start_redis, own_nodes):
    port = free_port()
    # The daemon says that it has started all the same.
    nodes = [own_nodes.start(HURRIED, url=f"redis://127.0.0.1:{port}", is_ready=False) for _ in range(2)]
    for node in nodes:
        text = node.wait_until_not_ready("can't be reached")
        assert f"127.0.0.1:{port}" in text and "Connection refused" in text
        assert "can't be reached" in node.status()
        wait_until(lambda: any("can't be reached" in line for line in node.daemon.notified()), "STATUS= says it")
    client = nodes[0].client()
    assert client.refused("join", channel="kept:1") == "unavailable"
    assert "can't be reached" in publish_refused(nodes[1])
    assert client.ok("ping")
    start_redis(port=port)
    wait_for_all(nodes)
    client.ok("join", channel="kept:1")
    assert nodes[1].publish("kept:1", "hello")["seq"] == 1
    assert client.next("system")["data"] == "hello"


def test_a_name_that_nobody_has(own_nodes):
    node = own_nodes.start(url="redis://redis.invalid:6379", is_ready=False)
    assert "redis.invalid:6379" in node.wait_until_not_ready("redis.invalid")


def test_what_waits_longer_than_the_queue_timeout_is_refused(redis_server, own_nodes):
    nodes = [own_nodes.start(HURRIED) for _ in range(2)]
    member, publisher = nodes[0].client("kept:1"), nodes[1].client("kept:1")
    with redis_server.paused():
        began = time.monotonic()
        error = publisher.ask("chat", channel="kept:1", data=1)
        assert time.monotonic() - began > 0.9
        assert (error["code"], error["channel"]) == ("unavailable", "kept:1")
        publish_refused(nodes[1], "kept:1", 2)
        # Those who hear are still there.
        assert member.ok("ping") and publisher.ok("ping")
    for node in nodes:
        node.wait_until_ready()
    last = publisher.ok("chat", channel="kept:1", data=3)
    heard = [member.next()["data"]]
    while heard[-1] != 3:
        heard.append(member.next()["data"])
    # What had been given to Redis may have been published, each once, in its order; which the refusal has told.
    if 1 in heard:
        assert "may not have been" in error["message"]
    assert heard == sorted(set(heard)) and last["seq"] == len(heard)


def test_what_only_redis_knows_is_not_passed_off_as_nothing(redis_server, own_nodes):
    node = own_nodes.start(HURRIED)
    member = node.client("here:1", "kept:1")
    last = member.ok("chat", channel="kept:1", data=1)["seq"]
    wait_until(lambda: present(member) == {member.user}, "the member is there")
    headers = {"Authorization": f"Bearer {KEYS['admin']}", "Content-Type": "application/json"}
    with redis_server.paused():
        reason = node.wait_until_not_ready("the broker does not work")
        for channel in ("here:1", "here:none"):
            status, fields, answer = node.api.raw("POST", "/api/presence", f'{{"channel": "{channel}"}}', headers)
            assert (status, fields["Retry-After"]) == (503, "1"), answer
            assert "the broker does not work" in answer, (answer, reason)
            done = node.daemon.wsctl("presence", channel)
            assert done.returncode == 1 and "the broker does not work" in done.stderr, done
        for command in (["channels", "--cluster"], ["list", "--cluster"], ["nodes"]):
            done = node.daemon.wsctl(*command)
            assert done.returncode == 1 and "broker" in done.stderr, done
        assert member.ask("presence", channel="here:1")["code"] == "unavailable"
        # What the node has, and what is about it alone, is shown.
        assert node.api.ok("POST", "/api/history", {"channel": "kept:1"})["seq"] == last
        assert [m["data"] for m in member.ok("history", channel="kept:1")["messages"]] == [1]
        assert "here:1" in node.daemon.wsctl("channels").stdout
        # Nobody is kept out of a channel without requests.
        relay = node.relay("/relay")
    wait_for_all([node])
    wait_until(lambda: present(member) == {member.user}, "the member is seen again")
    wait_until(lambda: node.api.metrics()["wsd_broker_waiting_channels"] == 0, "all is delivered again")
    node.publish("plain:relay", 7)
    assert relay.receive_text() == "7"


def test_a_flood_by_another_program_is_bounded(start_redis, own_nodes):
    """100 MB come at once, and the worker has to send each message to hundreds of clients."""
    server = start_redis(client_output_buffer_limit="pubsub 0 0 0")
    config = {
        "limits": {"memory": "64MiB", "messages_per_second": 0},
        "queue": {"policy": "drop-oldest", "limit": "64KiB"},
        "server": {"max_connections_per_ip": 0},
    }
    node = own_nodes.start(config, url=server.url(), workers=1)
    idle = [node.wire("kept:1") for _ in range(300)]
    node.publish("kept:1", "first")
    siege.forget_peak(node.daemon)
    before = siege.peak_resident_bytes(node.daemon)
    hub = server.client()
    value = b'"' + b"x" * 1022 + b'"'
    blob = (b"S" + struct.pack(">qHI", int(time.time() * 1000), 0, len(value)) + value) * 100
    script = hub.register_script(hub.get("wsd:publish"))
    commands = hub.pipeline(transaction=False)
    for _ in range(1000):
        script(
            ["wsd:{ckept:1}:m", "wsd:{ckept:1}:h"],
            ["wsd:c:kept:1", 100, blob, "-", 0, "epoch", 1000, 1 << 20, 3600, 86400], client=commands,
        )
    done = commands.execute()
    assert done[-1][1] == 100_001
    # It goes on with the next message, and has what the history has.
    assert node.publish("kept:1", "last")["seq"] == 100_002
    figures = node.api.metrics()
    assert figures["wsd_broker_overrun_deliveries_total"] > 0
    assert siege.peak_resident_bytes(node.daemon) - before < 40 << 20
    reader = node.client("kept:1")
    page = reader.ok("history", channel="kept:1", limit=100)
    assert [m["seq"] for m in page["messages"]] == list(range(100_003 - len(page["messages"]), 100_003))
    wait_until(lambda: node.api.metrics()["wsd_broker_undelivered_bytes"] == 0, "the worker has caught up")
    del idle


def test_a_full_queue_stops_clients_and_refuses_programs(redis_server, own_nodes):
    config = {"broker": PATIENT["broker"] | {"queue_limit": "64KiB"}}
    nodes = [own_nodes.start(config) for _ in range(2)]
    member, publisher = nodes[0].wire("kept:1"), nodes[1].wire("kept:1")
    text, count = "x" * 4000, 200
    with redis_server.paused():
        # 800 kB: what does not fit into the queue waits in the sockets.
        sender = threading.Thread(
            target=lambda: publisher.request(*(("chat", {"channel": "kept:1", "data": [n, text]}) for n in range(count)))
        )
        sender.start()

        def refusal():
            headers = {"Authorization": f"Bearer {KEYS['publish']}", "Content-Type": "application/json"}
            try:
                # Until the queue is full, it waits.
                status, fields, answer = nodes[1].api.raw("POST", "/api/publish", b'{"channel":"kept:2","data":1}', headers, 2)
            except TimeoutError:
                return None
            assert (status, fields["Retry-After"]) == (503, "1")
            return answer

        assert "broker.queue_limit" in wait_until(refusal, "the queue is full")
        assert member.ok("ping")
    sender.join(DEADLINE)
    for wire in (member, publisher):
        while sum(m["type"] == "chat" for m in wire.heard) < count:
            wire.hear()
        assert [m["data"][0] for m in wire.heard if m["type"] == "chat"] == list(range(count))
    assert nodes[1].publish("kept:1", "again")["seq"] == count + 1


def test_redis_is_restarted_while_a_node_stands_still(redis_server, pair, talk):
    """The node finds everything anew when it goes on, and so do its clients."""
    traffic = talk(pair, **GAPS)
    pair[1].daemon.signal(signal.SIGSTOP)
    try:
        redis_server.restart(with_data=True)
        pair[0].wait_until_ready()
        traffic.wait_for_more()
    finally:
        pair[1].daemon.signal(signal.SIGCONT)
    wait_for_all(pair)
    traffic.wait_for_more(50)
    assert traffic.stop().counts["refused"] == 0


def test_a_server_that_is_none(own_nodes, shared_redis):
    """Something else listens at the port, such as a web server."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        node = own_nodes.start(url=f"redis://127.0.0.1:{other.server_port}", is_ready=False)
        node.wait_until_not_ready(str(other.server_port))
        other.shutdown()
