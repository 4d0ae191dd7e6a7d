"""Two nodes of one hub in one group of Kafka: its partitions are shared among them, and taken over."""

import subprocess

import pytest

from kafkaserver import MockKafka
from plugins import plugin_environment
from test_consume import consumer, lasts
from waiting import wait_until

TOPIC = "orders"
CHANNELS = [f"kept:{number}" for number in range(8)]
# A group takes several heartbeats for each step, and notices a member that was killed after its session.
PATIENCE = 120.0


@pytest.fixture
def cluster():
    server = MockKafka(brokers=3, topics={TOPIC: 4})
    yield server
    server.kill()


def add(cluster, start, stop):
    """Appends a record for each number; its channel is its key."""
    lines = "".join(f"{CHANNELS[number % len(CHANNELS)]}|{number}\n" for number in range(start, stop))
    command = ["kcat", "-P", "-b", cluster.servers, "-t", TOPIC, "-K|"]
    subprocess.run(command, input=lines.encode(), check=True, timeout=60)


def numbers(stop, channel):
    return [number for number in range(stop) if CHANNELS[number % len(CHANNELS)] == channel]


def test_two_nodes_share_a_topic_and_one_takes_over(own_nodes, cluster):
    table = {
        "source": "kafka-topic", "url": f"kafka://{cluster.servers}", "stream": TOPIC, "channel_field": "key", "from": "beginning",
    }  # fmt: skip
    config = {"consume": [table], "websocket": {"ping_interval": "0s"}}

    def start(name):
        return own_nodes.start(config, name=name, env=plugin_environment())

    def published(node):
        return consumer(node)["published"]

    nodes = [start("node-1"), start("node-2")]
    for node in nodes:
        wait_until(lambda: consumer(node)["state"] == "reading", f"{node.name} reads its share", PATIENCE)
    add(cluster, 0, 2000)
    wait_until(lambda: sum(map(published, nodes)) >= 2000, "all records are published", PATIENCE)
    assert min(map(published, nodes)) > 0, "both have a share"

    def histories(node):
        client = node.client(*CHANNELS)
        return {
            name: [message["data"] for message in client.ok("history", channel=name, limit=1000)["messages"]] for name in CHANNELS
        }

    expected = {name: numbers(2000, name) for name in CHANNELS}
    assert histories(nodes[0]) == histories(nodes[1]) == expected

    # A node that is killed leaves its share to the other; what it had not acknowledged comes again.
    nodes[0].close_clients()
    nodes[0].daemon.kill()
    add(cluster, 2000, 2400)
    left = nodes[1].client(*CHANNELS)

    def last(name):
        return left.ok("history", channel=name, limit=1)["messages"][-1]["data"]

    wait_until(lambda: all(last(name) == numbers(2400, name)[-1] for name in CHANNELS), "the other node takes over", PATIENCE)
    assert {name: lasts(each) for name, each in histories(nodes[1]).items()} == {name: numbers(2400, name) for name in CHANNELS}

    # One that comes anew gets a share again, from where the other has come to.
    nodes[0] = start("node-3")
    wait_until(lambda: consumer(nodes[0])["state"] == "reading", "the new node reads its share", PATIENCE)
    add(cluster, 2400, 2800)
    wait_until(lambda: published(nodes[0]) > 0, "the new node publishes", PATIENCE)
    wait_until(lambda: all(last(name) == numbers(2800, name)[-1] for name in CHANNELS), "all is published", PATIENCE)
    assert {name: lasts(each) for name, each in histories(nodes[0]).items()} == {name: numbers(2800, name) for name in CHANNELS}
