"""Records of a topic of Kafka and of a queue of RabbitMQ are published in channels: `[[consume]]`."""

import itertools
import json
import subprocess

import pika
import pytest

from brokerplugin import UP, Log
from brokerservices import SERVICES
from nodes import Nodes
from plugins import plugin_environment
from test_consume import LOCAL, consumer, hear, lasts, metrics_of
from waiting import wait_until

# A group takes several heartbeats for each step.
PATIENCE = 120.0
names = (f"orders-{number}" for number in itertools.count())


class Topic:
    """Records of a topic, by kcat; each is of the channel that is its key."""

    source = "kafka-topic"

    def __init__(self, service):
        self.service = service
        self.name = next(names)
        # Who appends creates a topic, and who reads it does not.
        with Log("kafka", servers=service.server.servers, prefix=self.name, partitions=4) as log:
            log.expect(UP)

    def table(self, **keys):
        return {"source": self.source, "url": self.service.url, "stream": self.name, "channel_field": "key", "from": "beginning", **keys}

    def add(self, records, channel="kept:1"):
        lines = "".join(f"{channel}|{record}\n" for record in records)
        command = ["kcat", "-P", "-b", self.service.server.servers, "-t", self.name, "-K|"]
        subprocess.run(command, input=lines.encode(), check=True, timeout=60)


class Queue:
    """Records of a queue, by pika; each is of the channel that is its routing key."""

    source = "rabbitmq-queue"

    def __init__(self, service):
        self.service = service
        self.name = next(names)
        with self._channel() as channel:
            channel.exchange_declare(self.name, "topic", durable=True)

    def table(self, **keys):
        return {
            "source": self.source, "url": self.service.url, "stream": self.name, "exchange": self.name, "binding": "#",
            "channel_field": "key", **keys,
        }  # fmt: skip

    def _channel(self):
        return _Channel(self.service.server.port)

    def add(self, records, channel="kept:1"):
        with self._channel() as sending:
            for record in records:
                sending.basic_publish(self.name, channel, str(record).encode(), pika.BasicProperties(delivery_mode=2))


class _Channel:
    def __init__(self, port):
        self._port = port

    def __enter__(self):
        self._connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self._port))
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def __exit__(self, *_):
        self._connection.close()


KINDS = {"kafka": Topic, "rabbitmq": Queue}


@pytest.fixture(scope="module", params=KINDS)
def service(request, tmp_path_factory):
    service = SERVICES[request.param](tmp_path_factory.mktemp(request.param))
    yield service
    service.finish()


@pytest.fixture
def records(service):
    return KINDS[service.type](service)


@pytest.fixture
def nodes(service, tmp_path):
    nodes = Nodes(tmp_path, service.url, "unused", type=service.type)
    yield nodes
    assert nodes.finish() == []


def start(nodes, *tables):
    """A hub of its own that reads."""
    # A client that waits for a server answers no pings meanwhile.
    quiet = {"websocket": {"ping_interval": "0s"}, "consume": list(tables)}
    node = nodes.start(LOCAL | quiet, env=plugin_environment())
    for index in range(len(tables)):
        wait_until(lambda: consumer(node, index)["state"] == "reading", f"source {index} is read", PATIENCE)
    return node


def test_records_reach_clients_in_their_order(nodes, records):
    node = start(nodes, records.table())
    wire, relay = node.wire("kept:1"), node.relay()
    records.add(range(500))
    assert hear(wire, 500) == list(range(500))
    records.add(['{"total": 12.50}'], channel="lobby")
    assert relay.receive_text() == '{"total": 12.50}'
    wait_until(lambda: consumer(node)["published"] == 501, "all are counted")
    assert metrics_of(node, records.source, records.service.url, records.name)["published_total"] == 501
    assert f"consumes: {records.source} {records.name} (group wsd): reading, 501 records published" in node.status()


def test_the_channel_is_a_member_of_the_message(nodes, records):
    node = start(nodes, records.table(channel_field="room"))
    wire = node.wire("kept:1")
    records.add([json.dumps({"room": "kept:1", "n": number}) for number in range(3)], channel="kept:9")
    assert [data["n"] for data in hear(wire, 3)] == [0, 1, 2]


def test_what_cannot_be_published_is_passed_over_and_counted(nodes, records):
    node = start(nodes, records.table())
    wire = node.wire("kept:1")
    records.add(["1", "no JSON", "2"])
    records.add(["3"], channel="a\tb")
    records.add(["4"])
    assert hear(wire, 3) == [1, 2, 4]
    wait_until(lambda: consumer(node)["rejected"] == 2, "two were refused")
    assert "WARNING" in node.daemon.log()


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_node_that_ends_leaves_nothing_out(service, nodes, records, ending):
    if service.type == "kafka":
        ending = "stop"  # what stands in for Kafka waits for a member that was killed for longer than a test can
    node = start(nodes, records.table())
    wire = node.wire("kept:1")
    records.add(range(300))
    heard = hear(wire, 100)
    node.close_clients()
    getattr(node.daemon, ending)()
    records.add(range(300, 320))
    other = nodes.start(LOCAL | {"consume": [records.table()]}, env=plugin_environment())
    client = other.client("kept:1")

    def history():
        return [message["data"] for message in client.ok("history", channel="kept:1", limit=1000)["messages"]]

    wait_until(lambda: history()[-1:] == [319], "the last record is published", PATIENCE)
    # What the first has published and not acknowledged comes again, in its order.
    again = history()
    assert heard == list(range(100)) and again == list(range(again[0], 320)) and again[0] <= 300


def test_a_server_that_stood_still_is_read_on(service, nodes, records):
    node = start(nodes, records.table())
    wire = node.wire("kept:1")
    records.add(range(10))
    assert hear(wire, 10) == list(range(10))
    with service.server.paused():
        wait_until(lambda: consumer(node)["state"] == "down", "the node says that it can't read", PATIENCE)
    wait_until(lambda: consumer(node)["state"] == "reading", "the source is read again", PATIENCE)
    records.add(range(10, 20))
    assert lasts(hear(wire, 10))[-10:] == list(range(10, 20))


@pytest.mark.parametrize("service", ["rabbitmq"], indirect=True)
def test_one_of_several_nodes_reads(nodes, records):
    node = start(nodes, records.table())
    other = nodes.start(LOCAL | {"consume": [records.table()]}, env=plugin_environment())
    wait_until(lambda: consumer(other)["state"] == "standby", "the other node stands by", PATIENCE)
    node.daemon.stop()
    wait_until(lambda: consumer(other)["state"] == "reading", "the other node reads", PATIENCE)
    wire = other.wire("kept:1")
    records.add(range(10))
    assert hear(wire, 10) == list(range(10))


@pytest.mark.parametrize("service", ["rabbitmq"], indirect=True)
def test_a_server_that_ends_is_made_up_for(service, nodes, records):
    node = start(nodes, records.table())
    wire = node.wire("kept:1")
    records.add(range(100))
    assert hear(wire, 100) == list(range(100))
    service.stop_and_start()
    wait_until(lambda: consumer(node)["state"] == "reading", "the source is read again", PATIENCE)
    assert node.is_ready()
    records.add(range(100, 200))
    assert lasts(hear(wire, 100)) == list(range(100, 200))
