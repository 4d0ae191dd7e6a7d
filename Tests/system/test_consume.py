"""Records of a Redis stream are published in channels: `[[consume]]`."""

import json
import os
import signal

import pytest

from waiting import wait_until
from wsdaemon import run_wsd

STREAM = "orders"


def table(stream=STREAM, **keys):
    return {"consume": [{"source": "redis-stream", "stream": stream, **keys}]}


def consumer(node, index=0):
    """What `wsctl status` says of a source."""
    return json.loads(node.daemon.wsctl("status", "--json").stdout)["consumers"][index]


def metrics_of(node, source, url, stream=STREAM, group="wsd"):
    """The metrics of a source, by what their names have behind wsd_consume_; `url` is without user and password."""
    labels = f'{{source="{source}",server="{url}",stream="{stream}",group="{group}"}}'
    found = node.api.metrics().items()
    return {name[12 : -len(labels)]: value for name, value in found if name.startswith("wsd_consume_") and name.endswith(labels)}


def at(server):
    """A Redis server as the labels of metrics name it."""
    return f"redis://127.0.0.1:{server.port}"


def reader(*nodes):
    """The node that reads, once there is one."""
    return wait_until(
        lambda: next((n for n in nodes if n.daemon.is_alive() and consumer(n)["state"] == "reading"), None), "a node reads"
    )


def add(client, start, stop, channel=lambda n: "kept:1", stream=STREAM):
    """Adds records whose messages are numbers."""
    pipe = client.pipeline(transaction=False)
    for number in range(start, stop):
        pipe.xadd(stream, {"channel": channel(number), "data": number})
    return pipe.execute()


def is_done(client, count=0, group="wsd", stream=STREAM):
    """Whether everything was read and acknowledged."""
    [state] = client.xinfo_groups(stream)
    return state["pending"] == count and state["last-delivered-id"] == client.xinfo_stream(stream)["last-generated-id"]


def hear(wire, count, kind="system"):
    """The data of the next messages."""
    found = []
    while len(found) < count:
        message = wire.hear()
        if message["type"] == kind:
            found.append(message["data"])
    return found


def firsts(numbers):
    """Each number where it comes for the first time."""
    return list(dict.fromkeys(numbers))


def lasts(numbers):
    """Each number where it comes for the last time."""
    return list(dict.fromkeys(reversed(numbers)))[::-1]


LOCAL = {"broker": {"type": "local", "url": "", "node_name": ""}}


@pytest.mark.parametrize("broker", ["redis", "local"])
def test_records_reach_clients_in_their_order(own_nodes, redis_server, broker):
    config = table() if broker == "redis" else LOCAL | table(url=redis_server.url())
    node = own_nodes.start(config)
    client = redis_server.client()
    wire, relay = node.wire("kept:1"), node.relay()
    reader(node)
    add(client, 0, 1000)
    assert hear(wire, 1000) == list(range(1000))
    client.xadd(STREAM, {"channel": "lobby", "data": '{"total": 12.50}', "other": "ignored"})
    assert relay.receive_text() == '{"total": 12.50}'
    wait_until(lambda: is_done(client), "all is acknowledged")
    metrics = metrics_of(node, "redis-stream", at(redis_server))
    assert metrics["published_total"] == 1001
    assert metrics["up"] == metrics["reading"] == 1
    assert "consumes: redis-stream orders (group wsd): reading, 1001 records published" in node.status()


def test_sources_of_the_same_names_have_metrics_of_their_own(own_nodes, redis_server, start_redis):
    other = start_redis()
    urls = [redis_server.url(), other.url(), redis_server.url("nobody", "wrong")]
    tables = [table(url=url)["consume"][0] for url in urls]
    node = own_nodes.start(LOCAL | {"consume": tables})
    for index in (0, 1):
        wait_until(lambda: consumer(node, index)["state"] == "reading", f"source {index} is read")
    wire = node.wire("kept:1")
    add(other.client(), 0, 10)
    assert hear(wire, 10) == list(range(10))
    places = [at(redis_server), at(other), f"{at(redis_server)}#2"]
    wait_until(lambda: metrics_of(node, "redis-stream", at(other))["published_total"] == 10, "all are counted")
    all_metrics = [metrics_of(node, "redis-stream", place) for place in places]
    assert [(metrics["published_total"], metrics["up"]) for metrics in all_metrics] == [(0, 1), (10, 1), (0, 0)]


def test_the_rest_of_what_cannot_be_published_is_told(own_nodes, redis_server):
    node = own_nodes.start(LOCAL | table(url=redis_server.url()))
    reader(node)
    pipe = redis_server.client().pipeline(transaction=False)
    for _ in range(5):
        pipe.xadd(STREAM, {"channel": "kept:1", "data": "no JSON"})
    pipe.execute()
    rest = 'records of redis-stream "orders" are not published, since the last such line'
    node.daemon.wait_for_log(f"4 more {rest}")
    redis_server.client().xadd(STREAM, {"channel": "kept:1", "data": "no JSON"})
    wait_until(lambda: consumer(node)["rejected"] == 6, "the last is counted")
    node.daemon.stop()
    assert f"1 more {rest}" in node.daemon.log()


def test_each_record_is_published_once_in_the_cluster_and_in_order(own_nodes, redis_server):
    nodes = [own_nodes.start(table()) for _ in range(2)]
    client = redis_server.client()
    check_order_over_nodes(nodes, lambda start, stop, channel: add(client, start, stop, channel))


def check_order_over_nodes(nodes, add):
    """Adds records and checks that all nodes publish them once and in order, also after the one that reads has ended.

    `add` gets the first number, the one behind the last, and a function that says the channel of each.
    """
    wires = [node.wire("kept:1", "plain:1") for node in nodes]
    reading = reader(*nodes)
    standby = next(node for node in nodes if node is not reading)
    wait_until(lambda: consumer(standby).get("reader") == reading.name, "the other node says who reads")
    count = 5000
    add(0, count, lambda n: "kept:1" if n % 2 else "plain:1")
    for wire in wires:
        heard = hear(wire, count)
        assert [n for n in heard if n % 2] == list(range(1, count, 2))
        assert [n for n in heard if not n % 2] == list(range(0, count, 2))
        wire.ok("ping")
        assert wire.socket_is_empty()
    # A node that ends in order leaves the source to the other at once, with nothing twice.
    reading.close_clients()
    assert reading.daemon.stop() == 0
    reader(standby)
    add(count, count + 100, lambda n: "kept:1")
    [wire] = [w for w, n in zip(wires, nodes) if n is standby]
    assert hear(wire, 100) == list(range(count, count + 100))
    wire.ok("ping")
    assert wire.socket_is_empty()


def test_a_node_that_dies_in_the_middle_loses_nothing(own_nodes, redis_server):
    nodes = [own_nodes.start(table()) for _ in range(2)]
    client = redis_server.client()
    reading = reader(*nodes)
    other = next(node for node in nodes if node is not reading)
    channels = ["kept:1", "plain:1", "plain:2"]
    wire = other.wire(*channels)
    count = 10_000
    ids = add(client, 0, count, lambda n: channels[n % 3])
    heard = hear(wire, count // 10)
    reading.daemon.kill()
    reading.daemon.was_killed = True
    while len(set(heard)) < count:
        heard += hear(wire, 1)
    wait_until(lambda: is_done(client), "all is acknowledged")
    wire.ok("ping")
    assert len(ids) == count
    check_a_batch_came_twice(wire, count)


def check_a_batch_came_twice(wire, count):
    """Checks what a client has heard of records in three channels whose reader was killed: all, and in order."""
    heard = [m["data"] for m in wire.heard if m["type"] == "system"]
    for place in range(3):
        own = [n for n in heard if n % 3 == place]
        assert lasts(own) == firsts(own) == list(range(place, count, 3))
    # What was under way, a batch at most, came twice.
    assert len(heard) - count <= 256


def test_redis_is_restarted(own_nodes, redis_server):
    node = own_nodes.start(LOCAL | table(url=redis_server.url()))
    client = redis_server.client()
    wire = node.wire("kept:1")
    reader(node)
    add(client, 0, 500)
    assert hear(wire, 500) == list(range(500))
    redis_server.kill()
    # At first it may be that the connection was broken off.
    wait_until(lambda: "can't be reached" in (consumer(node).get("problem") or ""), "the node says that it can't read")
    assert consumer(node)["state"] == "down"
    # Clients don't depend on it.
    assert node.is_ready()
    assert metrics_of(node, "redis-stream", at(redis_server))["up"] == 0
    node.daemon.wait_for_log('can\'t read redis-stream "orders"')
    redis_server.start()
    add(client, 500, 1000)
    assert hear(wire, 500) == list(range(500, 1000))
    # Without its data, too: the stream and the group begin anew.
    redis_server.restart(with_data=False)
    add(client, 1000, 1100)
    assert hear(wire, 100) == list(range(1000, 1100))
    wait_until(lambda: is_done(client), "all is acknowledged")


def test_a_stream_that_was_lost_is_read_from_its_beginning_by_a_node_that_stood_by(own_nodes, redis_server):
    nodes = [own_nodes.start(LOCAL | table(url=redis_server.url())) for _ in range(2)]
    client = redis_server.client()
    reading = reader(*nodes)
    other = next(node for node in nodes if node is not reading)
    wait_until(lambda: consumer(other)["state"] == "standby", "the other node stands by")
    wire = other.wire("kept:1")
    os.kill(reading.daemon.pid, signal.SIGSTOP)
    try:
        pipe = client.pipeline(transaction=True)
        pipe.delete(STREAM)
        for number in range(10):
            pipe.xadd(STREAM, {"channel": "kept:1", "data": number})
        pipe.execute()
        assert hear(wire, 10) == list(range(10))
    finally:
        os.kill(reading.daemon.pid, signal.SIGCONT)


def test_records_wait_while_the_broker_does_not_take_them(own_nodes, redis_server, start_redis):
    source = start_redis()
    node = own_nodes.start(table(url=source.url()) | {"broker": {"queue_timeout": "500ms"}})
    wire = node.wire("kept:1")
    reader(node)
    redis_server.kill()
    node.wait_until_not_ready()
    add(source.client(), 0, 300)
    wait_until(lambda: metrics_of(node, "redis-stream", at(source))["retries_total"] > 0, "it tries again")
    node.daemon.wait_for_log("wait, for they are refused")
    redis_server.start()
    heard = []
    while len(set(heard)) < 300:
        heard += hear(wire, 1)
    assert firsts(heard) == lasts(heard) == list(range(300))
    wait_until(lambda: is_done(source.client()), "all is acknowledged")


def test_a_server_that_stands_still_is_noticed(own_nodes, redis_server, start_redis):
    source = start_redis()
    node = own_nodes.start(table(url=source.url()))
    reader(node)
    with source.paused():
        wait_until(lambda: consumer(node)["state"] == "down", "the node says that it can't read")
    wire = node.wire("kept:1")
    add(source.client(), 0, 10)
    assert hear(wire, 10) == list(range(10))


@pytest.mark.parametrize("dead_letter", ["", "failed"])
def test_a_record_that_cannot_be_published_does_not_hold_up_the_rest(own_nodes, redis_server, dead_letter):
    node = own_nodes.start(table(dead_letter=dead_letter))
    wire = node.wire("kept:1")
    client = redis_server.client()
    reader(node)
    large = "x" * (1 << 20)
    broken = [
        {"data": "1"},
        {"channel": "kept:1"},
        {"channel": "kept:1", "data": "no JSON"},
        {"channel": b"\xff", "data": "1"},
        {"channel": "a\nb", "data": "1"},
        {"channel": "n" * 256, "data": "1"},
        {"channel": "kept:1", "data": f'"{large}"'},
        {"channel": "kept:1", "data": f'"{large * 20}"'},
        {"channel": "kept:1", "data": '"a"', "other": large * 2},
        {f"field{number}": "x" for number in range(300_000)},
    ]
    ids = []
    for number, fields in enumerate(broken):
        ids.append(client.xadd(STREAM, fields))
        client.xadd(STREAM, {"channel": "kept:1", "data": number})
    assert hear(wire, len(broken)) == list(range(len(broken)))
    wait_until(lambda: is_done(client), "all is acknowledged")
    rejected = consumer(node)["rejected"]
    # Whether too large a record was read with new ones that fit is not told; then its message may be good.
    assert len(broken) - 1 <= rejected <= len(broken)
    node.daemon.wait_for_log('is not published: it has no field "channel"')
    if dead_letter:
        failed = [fields for _, fields in client.xrange(dead_letter)]
        assert {fields[b"wsd-record"] for fields in failed} <= set(ids)
        # Once more where the server did not answer in time.
        assert len({fields[b"wsd-record"] for fields in failed}) == rejected
        first = next(fields for fields in failed if fields[b"wsd-record"] == ids[7])
        assert len(first[b"data"]) > 20 << 20 and b"bytes" in first[b"wsd-reason"]
    else:
        assert client.exists("failed") == 0


def test_a_fixed_channel_text_and_the_beginning(own_nodes, redis_server):
    client = redis_server.client()
    for word in ["17", "{", "ä"]:
        client.xadd(STREAM, {"body": word})
    keys = {"channel": "kept:1", "data_field": "body", "format": "text", "from": "beginning", "group": "g"}
    node = own_nodes.start(table(**keys))
    wait_until(lambda: is_done(client), "all is acknowledged")
    page = node.client("kept:1").ok("history", channel="kept:1")
    assert [message["data"] for message in page["messages"]] == ["17", "{", "ä"]


def test_a_flood_takes_no_memory(own_nodes, redis_server):
    client = redis_server.client()
    client.xgroup_create(STREAM, "wsd", "0", mkstream=True)
    node = own_nodes.start(LOCAL | table(url=redis_server.url()) | {"limits": {"history_bytes": "1MiB"}})
    reader(node)
    before = node.daemon.resident_bytes
    # Larger than anything that may be held at once: 200,000 of a kilobyte, and 100 of half a megabyte.
    text = json.dumps("x" * 1000)
    for _ in range(100):
        pipe = client.pipeline(transaction=False)
        for _ in range(2000):
            pipe.xadd(STREAM, {"channel": "plain:1", "data": text}, maxlen=50_000)
        pipe.xadd(STREAM, {"channel": "plain:1", "data": json.dumps("y" * (1 << 19))})
        pipe.execute()
        wait_until(lambda: consumer(node).get("lag", 0) < 30_000, "the node keeps up", deadline=120)
    wait_until(lambda: is_done(client), "all is acknowledged", deadline=120)
    assert node.daemon.resident_bytes - before < 64 << 20


def test_the_configuration_is_checked(wsd_directory):
    path = wsd_directory / "wsd.toml"
    path.write_text('[[consume]]\nsource = "redis-stream"\nstream = "a"\nurl = "redis://u@b"\npassword_file = "/none"\n')
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 78 and "consume.password_file" in done.stderr
    path.write_text('[[consume]]\nsource = "redis-stream"\nstream = "a"\n')
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 78 and "wsd.toml:1:1: consume.url: without it the source is at broker.url" in done.stderr


def test_a_user_who_may_do_only_what_the_manual_says(own_nodes, start_redis):
    rules = "~orders ~orders:wsd:reader ~failed -@all +hello +ping +xgroup|create +xreadgroup +xack +xinfo|groups"
    rules += " +eval +get +set +del +pexpire +xrange +xadd"
    source = start_redis(acl=["user default off", f"user wsd on >secret {rules}", "user admin on >admin ~* &* +@all"])
    node = own_nodes.start(table(url=source.url("wsd", "secret"), dead_letter="failed"))
    wire = node.wire("kept:1")
    reader(node)
    client = source.client(username="admin", password="admin")
    client.xadd(STREAM, {"data": "1"})
    add(client, 0, 10)
    assert hear(wire, 10) == list(range(10))
    assert client.xlen("failed") == 1
    node.close_clients()
    assert node.daemon.stop() == 0
    assert client.exists("orders:wsd:reader") == 0
    assert client.acl_log() == []


def test_another_reader_takes_over_when_one_stands_still(own_nodes, redis_server):
    nodes = [own_nodes.start(table()) for _ in range(2)]
    client = redis_server.client()
    reading = reader(*nodes)
    other = next(node for node in nodes if node is not reading)
    wire = other.wire("kept:1")
    os.kill(reading.daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: consumer(other)["state"] == "reading", "the other node reads")
        add(client, 0, 100)
        assert hear(wire, 100) == list(range(100))
    finally:
        os.kill(reading.daemon.pid, signal.SIGCONT)
    wait_until(lambda: consumer(reading)["state"] == "standby", "the first node does not read any more")
