"""A topic of Kafka gets more partitions while nodes use it."""

import pytest

from brokerservices import SERVICES
from nodes import Nodes, hear
from plugins import plugin_environment
from test_consume import LOCAL, consumer
from test_consume import hear as hear_data
from test_consume_logs import PATIENCE, Topic
from waiting import wait_until

SETTINGS = {"broker": {"partitions": 2, "probe_interval": "1s", "retention": "3h"}}


@pytest.fixture
def service(tmp_path):
    service = SERVICES["kafka"](tmp_path / "kafka")
    yield service
    service.finish()


@pytest.fixture
def nodes(service, tmp_path):
    nodes = Nodes(tmp_path, service.url, type="kafka")
    yield nodes
    assert nodes.finish() == []


def test_nodes_are_not_ready_until_all_have_been_restarted(nodes, service):
    pair = [nodes.start(SETTINGS) for _ in range(2)]
    clients = [node.wire("kept:1") for node in pair]
    before = pair[0].publish("kept:1", "before")
    for client in clients:
        assert hear(client, "system")["data"] == "before"
    service.server.add_partitions("wsd", 5)
    for node in pair:
        node.wait_until_not_ready("restart all nodes")
    # It stays so: a node that is started now has the channels elsewhere, and would be another hub.
    third = nodes.start(SETTINGS)
    third.publish("kept:1", "elsewhere")
    for node in pair:
        assert "restart all nodes" in node.readiness()[1]
    third.close_clients()
    assert third.daemon.stop() == 0
    for node in pair:
        node.close_clients()
        assert node.daemon.stop() == 0
    pair = [nodes.start(SETTINGS) for _ in range(2)]
    channels = ["kept:1", "kept:2", "plain:1", "plain:2", "here:1"]
    clients = [node.wire(*channels) for node in pair]
    for channel in channels:
        after = pair[0].publish(channel, channel)
        assert (after["epoch"], after["seq"]) != (before["epoch"], before["seq"])
        for client in clients:
            assert hear(client, "system")["data"] == channel


def test_a_source_gets_more_partitions(nodes, service):
    topic = Topic(service)
    node = nodes.start(LOCAL | {"consume": [topic.table()]}, env=plugin_environment())
    wait_until(lambda: consumer(node)["state"] == "reading", "the source is read", PATIENCE)
    channels = [f"kept:{number}" for number in range(20)]
    wire = node.wire(*channels)
    service.server.add_partitions(topic.name, 8)
    for number, channel in enumerate(channels):
        topic.add([number], channel=channel)
    assert sorted(hear_data(wire, 20)) == list(range(20))
