"""Records of a stream of NATS' JetStream are published in channels: `[[consume]]`."""

import asyncio
import json
import os
import signal
import ssl

import nats
import pytest
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import Error as JetStreamError

from natsserver import NATSServer
from nodes import Nodes
from ports import free_port
from redisserver import Authority
from test_consume import (
    LOCAL,
    check_a_batch_came_twice,
    check_order_over_nodes,
    consumer,
    firsts,
    hear,
    lasts,
    metrics_of,
    reader,
)
from waiting import wait_until

STREAM = "ORDERS"


def table(**keys):
    return {"consume": [{"source": "nats-stream", "stream": STREAM, "subject": "orders.>", "channel_field": "key", **keys}]}


class Backend:
    """Another program that makes a stream and publishes in it, by nats-py."""

    def __init__(self, url, **options):
        self.url = url
        self._options = options

    def _do(self, work):
        async def run():
            connection = await nats.connect(self.url, **self._options)
            try:
                return await work(connection.jetstream())
            finally:
                await connection.close()

        return asyncio.run(run())

    def make(self, name=STREAM, subjects=("orders.>",), **keys):
        self._do(lambda hub: hub.add_stream(StreamConfig(name=name, subjects=list(subjects), **keys)))
        return self

    def add(self, records, subject=lambda n: "orders.kept:1", headers=None):
        """Publishes records, each with its subject, and waits until the stream has them."""

        async def work(hub):
            for start in range(0, len(records), 1000):
                waiting = [
                    await hub.publish_async(subject(n), str(records[n]).encode(), headers=headers)
                    for n in range(start, min(start + 1000, len(records)))
                ]
                await asyncio.gather(*waiting)

        self._do(work)

    def add_consumer(self, **keys):
        self._do(lambda hub: hub.add_consumer(STREAM, ConsumerConfig(**keys)))

    def is_done(self, group="wsd"):
        """Whether everything was read and acknowledged."""
        state = self._do(lambda hub: hub.consumer_info(STREAM, group))
        return state.num_ack_pending == state.num_pending == 0


@pytest.fixture
def server(tmp_path):
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NATSServer(directory)
    yield server
    server.kill()


@pytest.fixture
def backend(server):
    return Backend(server.url).make()


@pytest.fixture
def nodes(server, tmp_path):
    nodes = Nodes(tmp_path, server.url, type="nats")
    yield nodes
    assert nodes.finish() == []


@pytest.mark.parametrize("broker", ["nats", "local"])
def test_records_reach_clients_in_their_order(nodes, server, backend, broker):
    node = nodes.start(table() if broker == "nats" else LOCAL | table(url=server.url))
    wire, relay = node.wire("kept:1"), node.relay()
    reader(node)
    backend.add(range(1000))
    assert hear(wire, 1000) == list(range(1000))
    backend.add(['{"total": 12.50}'], lambda _: "orders.lobby")
    assert relay.receive_text() == '{"total": 12.50}'
    wait_until(backend.is_done, "all is acknowledged")
    metrics = metrics_of(node, "nats-stream", server.url, STREAM)
    assert metrics["published_total"] == 1001
    assert metrics["up"] == metrics["reading"] == 1
    assert "consumes: nats-stream ORDERS (group wsd): reading, 1001 records published" in node.status()


@pytest.mark.parametrize("name", ["header", "member", "subject"])
def test_the_channel_is_named_by_a_header_a_member_or_the_subject(nodes, server, backend, name):
    field = {"header": "Room", "member": "room", "subject": "subject"}[name]
    node = nodes.start(LOCAL | table(url=server.url, channel_field=field))
    channel = "orders.eu.x" if name == "subject" else "kept:1"
    wire = node.wire(channel)
    reader(node)
    backend.add(
        [json.dumps({"room": "kept:1", "n": number}) for number in range(3)],
        lambda _: "orders.eu.x", {"Room": "kept:1"} if name == "header" else None,
    )  # fmt: skip
    assert [data["n"] for data in hear(wire, 3)] == [0, 1, 2]


def test_each_record_is_published_once_in_the_cluster_and_in_order(nodes, backend):
    pair = [nodes.start(table()) for _ in range(2)]

    def add(start, stop, channel):
        backend.add(range(start, stop), lambda n: f"orders.{channel(start + n)}")

    check_order_over_nodes(pair, add)


def test_a_node_that_dies_in_the_middle_loses_nothing(nodes, backend):
    pair = [nodes.start(table()) for _ in range(2)]
    reading = reader(*pair)
    other = next(node for node in pair if node is not reading)
    channels = ["kept:1", "plain:1", "plain:2"]
    wire = other.wire(*channels)
    count = 10_000
    backend.add(range(count), lambda n: f"orders.{channels[n % 3]}")
    heard = hear(wire, count // 10)
    reading.daemon.kill()
    reading.daemon.was_killed = True
    while len(set(heard)) < count:
        heard += hear(wire, 1)
    wait_until(backend.is_done, "all is acknowledged")
    wire.ok("ping")
    check_a_batch_came_twice(wire, count)


def test_what_is_given_out_again_in_another_order_is_published_in_its_own(nodes, server, backend):
    """A reader that is killed may have prolonged some of its records and not others: those end first."""
    backend.add_consumer(durable_name="wsd", filter_subject="orders.>", ack_policy="explicit", ack_wait=2)
    backend.add(range(20))

    async def read(hub):
        pull = await hub.pull_subscribe_bind("wsd", STREAM)
        records = await pull.fetch(10)
        await asyncio.sleep(0.5)
        for record in records[:5]:
            await record.in_progress()
        await hub._nc.flush()

    backend._do(read)
    node = nodes.start(LOCAL | table(url=server.url))
    wire = node.wire("kept:1")
    reader(node)
    assert hear(wire, 20) == list(range(20))
    wait_until(backend.is_done, "all is acknowledged")


def test_the_server_is_restarted(nodes, server, backend):
    node = nodes.start(LOCAL | table(url=server.url))
    wire = node.wire("kept:1")
    reader(node)
    backend.add(range(500))
    assert hear(wire, 500) == list(range(500))
    server.stop()
    wait_until(lambda: "can't be reached" in (consumer(node).get("problem") or ""), "the node says that it can't read")
    assert consumer(node)["state"] == "down"
    # Clients don't depend on it.
    assert node.is_ready()
    assert metrics_of(node, "nats-stream", server.url, STREAM)["up"] == 0
    node.daemon.wait_for_log('can\'t read nats-stream "ORDERS"')
    server.start()
    backend.add(range(500, 1000))
    assert firsts(hear(wire, 500)) == list(range(500, 1000))
    # Without its data, too, once the stream is made again; what is in it then is all new.
    server.restart(with_data=False)
    wait_until(lambda: 'has no stream "ORDERS"' in (consumer(node).get("problem") or ""), "the node says what is missing")
    backend.make()
    backend.add(range(1000, 1100))
    assert hear(wire, 100) == list(range(1000, 1100))
    wait_until(backend.is_done, "all is acknowledged")


def test_records_wait_while_the_broker_does_not_take_them(nodes, server, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    source = NATSServer(source)
    try:
        backend = Backend(source.url).make()
        node = nodes.start(table(url=source.url) | {"broker": {"queue_timeout": "500ms", "probe_interval": "1s"}})
        wire = node.wire("kept:1")
        reader(node)
        server.stop()
        node.wait_until_not_ready()
        backend.add(range(300))
        wait_until(lambda: metrics_of(node, "nats-stream", source.url, STREAM)["retries_total"] > 3, "it tries again")
        node.daemon.wait_for_log("wait, for they are refused")
        server.start()
        heard = []
        while len(set(heard)) < 300:
            heard += hear(wire, 1)
        assert firsts(heard) == lasts(heard) == list(range(300))
        wait_until(backend.is_done, "all is acknowledged")
    finally:
        source.kill()


def test_what_cannot_be_published_is_passed_over_and_counted(nodes, server, backend):
    node = nodes.start(LOCAL | table(url=server.url))
    wire = node.wire("kept:1")
    reader(node)
    backend.add(["1", "no JSON", "2", '"' + "x" * (2 << 20) + '"', "3"])
    backend.add(["4"], lambda _: f"orders.{'n' * 256}")
    backend.add(["5"])
    assert hear(wire, 4) == [1, 2, 3, 5]
    wait_until(lambda: consumer(node)["rejected"] == 3, "three were refused")
    wait_until(backend.is_done, "all is acknowledged")
    node.daemon.wait_for_log('record 2 of nats-stream "ORDERS" is not published: its field "data" is no JSON value')


def test_another_reader_takes_over_when_one_stands_still(nodes, backend):
    pair = [nodes.start(table()) for _ in range(2)]
    reading = reader(*pair)
    other = next(node for node in pair if node is not reading)
    wire = other.wire("kept:1")
    os.kill(reading.daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: consumer(other)["state"] == "reading", "the other node reads")
        backend.add(range(100))
        assert hear(wire, 100) == list(range(100))
    finally:
        os.kill(reading.daemon.pid, signal.SIGCONT)
    wait_until(lambda: consumer(reading)["state"] == "standby", "the first node does not read any more")


def test_a_server_that_stands_still_is_noticed(nodes, server, backend):
    node = nodes.start(LOCAL | table(url=server.url))
    reader(node)
    with server.paused():
        wait_until(lambda: consumer(node)["state"] == "down", "the node says that it can't read")
    wire = node.wire("kept:1")
    backend.add(range(10))
    assert hear(wire, 10) == list(range(10))


@pytest.mark.parametrize("fault", ["stream", "consumer", "jetstream", "login"])
def test_what_is_wrong_is_told(nodes, server, fault):
    url = server.url
    if fault == "consumer":
        Backend(url).make().add_consumer(durable_name="wsd", deliver_subject="elsewhere", ack_policy="explicit")
    elif fault in ("jetstream", "login"):
        server.stop()
        lines = "jetstream {}\nauthorization { user: ada, password: x }\n" if fault == "login" else ""
        (server.directory / "nats.conf").write_text(f"host: 127.0.0.1\nport: {server.port}\n{lines}")
        server.start()
    if fault == "login":
        url = url.replace("//", "//ada:wrong@")
    node = nodes.start(LOCAL | table(url=url))
    reason = {
        "stream": 'has no stream "ORDERS"; make it, or correct consume.stream',
        "consumer": "it is a push consumer, and a pull consumer is needed; set another consume.group",
        "jetstream": "add jetstream {} to its configuration",
        "login": "the user ada or the password is not what it knows",
    }[fault]
    wait_until(lambda: reason in (consumer(node).get("problem") or ""), reason)
    assert node.is_ready()
    node.daemon.wait_for_log(reason)


def test_a_server_with_tls_and_users(nodes, tmp_path):
    directory = tmp_path / "secure"
    directory.mkdir()
    authority = Authority(directory)
    server = NATSServer(
        directory,
        f'tls {{ cert_file: "{authority.certificate}", key_file: "{authority.key}" }}',
        "authorization { users = [{ user: ada, password: secret }] }",
    )
    try:
        url = f"tls://ada:secret@127.0.0.1:{server.port}"
        backend = Backend(url, tls=ssl.create_default_context(cafile=authority.authority)).make()
        doubting, node = nodes.start(LOCAL | table(url=url)), nodes.start(LOCAL | table(url=url, ca_file=authority.authority))
        wire = node.wire("kept:1")
        reader(node)
        backend.add(range(300))
        assert hear(wire, 300) == list(range(300))
        wait_until(lambda: "certificate" in (consumer(doubting).get("problem") or "").lower(), "it is not trusted unasked")
    finally:
        server.kill()


def test_a_server_of_a_cluster_dies(nodes, tmp_path):
    routes = [free_port() for _ in range(3)]
    all_routes = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
    servers = []
    try:
        for number, route in enumerate(routes):
            directory = tmp_path / f"server-{number}"
            directory.mkdir()
            cluster = f'cluster {{ name: c, listen: "127.0.0.1:{route}", routes: [{all_routes}] }}'
            servers.append(NATSServer(directory, f"server_name: server-{number}", cluster))
        backend = Backend(servers[1].url)

        def is_made():
            try:
                return backend.make(num_replicas=3)
            except (JetStreamError, nats.errors.TimeoutError):
                return None

        wait_until(is_made, "the cluster has a leader, and makes a stream")
        node = nodes.start(LOCAL | table(url=servers[0].url))
        wire = node.wire("kept:1")
        reader(node)
        backend.add(range(1000))
        heard = hear(wire, 500)
        servers[0].kill()
        while len(set(heard)) < 1000:
            heard += hear(wire, 1)

        def is_stored():
            try:
                backend.add([1000])
                return True
            except (JetStreamError, nats.errors.TimeoutError):
                return False

        wait_until(is_stored, "the stream has a leader again")
        backend.add(range(1001, 1100))
        while len(set(heard)) < 1100:
            heard += hear(wire, 1)
        assert firsts(heard) == lasts(heard) == list(range(1100))
        wait_until(backend.is_done, "all is acknowledged")
    finally:
        for server in servers:
            server.kill()
