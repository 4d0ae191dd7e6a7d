"""Several nodes that share their channels through a real NATS server."""

import json
import subprocess
import sys

import pytest

from natsserver import NATSServer
from nodes import Nodes, hear, since
from waiting import wait_until
from wsdaemon import REPOSITORY

EXAMPLE = REPOSITORY / "packaging" / "examples" / "publish-to-nats.py"
NATS = {"broker": {"type": "nats", "probe_interval": "1s", "presence_ttl": "2s", "queue_timeout": "60s"}}


@pytest.fixture
def server(tmp_path):
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NATSServer(directory)
    yield server
    server.kill()


@pytest.fixture
def nodes(server, tmp_path):
    nodes = Nodes(tmp_path, server.url)
    yield nodes
    assert nodes.finish() == []


@pytest.fixture
def pair(nodes):
    return nodes.start(NATS, workers=1), nodes.start(NATS, workers=2)


def publish(server, channel, value, limits):
    """Publishes as another program does; the epoch and the number."""
    words = [sys.executable, EXAMPLE, server.url, channel, json.dumps(value), limits]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    epoch, seq = done.stdout.split()
    return {"epoch": epoch, "seq": int(seq)}


def test_what_is_published_at_one_node_reaches_the_clients_of_another(pair):
    one, two = pair
    clients = [two.wire("kept:1"), two.wire("plain:1")]
    for number in range(1, 21):
        for client, channel in zip(clients, ("kept:1", "plain:1")):
            assert one.publish(channel, number)["seq"] == number
            message = hear(client, "system")
            assert (message["data"], message["seq"]) == (number, number)


def test_history_and_recovery_are_the_same_at_every_node(pair):
    one, two = pair
    here = one.wire("kept:1")
    answers = [one.publish("kept:1", number) for number in range(10)]
    assert [hear(here, "system")["data"] for _ in range(10)] == list(range(10))
    there = two.wire()
    joined = there.ask("join", channel="kept:1", since=since(answers[3]))
    assert joined["recovered"] is True
    assert [hear(there, "system")["data"] for _ in range(6)] == list(range(4, 10))


def test_users_are_those_of_all_nodes(pair):
    one, two = pair
    first, second = one.client("here:1"), two.client("here:1")
    wait_until(lambda: len(second.ok("presence", channel="here:1")["users"]) == 2, "both are there")
    one.daemon.kill()
    wait_until(lambda: len(second.ok("presence", channel="here:1")["users"]) == 1, "the node's user is gone")
    del first


@pytest.mark.parametrize("with_data", [True, False])
def test_a_restart_of_the_server(pair, server, with_data):
    one, two = pair
    client = two.wire("kept:1")
    before = one.publish("kept:1", "before")
    assert hear(client, "system")["data"] == "before"
    server.restart(with_data)
    for node in pair:
        node.wait_until_ready()
    after = one.publish("kept:1", "after")
    if with_data:
        assert (after["epoch"], after["seq"]) == (before["epoch"], before["seq"] + 1)
    else:
        assert after["epoch"] != before["epoch"] and after["seq"] == 1
        gap = hear(client, "system")
        assert (gap["event"], gap["seq"], gap["epoch"]) == ("gap", 0, after["epoch"])
    assert hear(client, "system")["data"] == "after"
    joined = one.wire().ask("join", channel="kept:1", since=since(before))
    assert joined["recovered"] is with_data


def test_a_server_that_stands_still_is_noticed_and_made_up_for(pair, server):
    one, two = pair
    client = two.wire("kept:1")
    with server.paused():
        for node in pair:
            node.wait_until_not_ready("does not answer")
        sender = one.wire()
        sender.request(("chat", {"channel": "kept:1", "data": "meanwhile"}))
    for node in pair:
        node.wait_until_ready()
    assert hear(client, "chat")["data"] == "meanwhile"


@pytest.mark.parametrize("channel, limits", [("kept:é.*", "1000-86400"), ("plain:1", "0-86400")])
def test_another_program_publishes_in_the_documented_form(pair, server, channel, limits):
    one, two = pair
    clients = [node.wire(channel) for node in pair]
    for number in range(1, 4):
        published = publish(server, channel, {"n": number}, limits)
        answer = one.publish(channel, "a node's")
        for client in clients:
            messages = [hear(client, "system") for _ in range(2)]
            assert [message["data"] for message in messages] == [{"n": number}, "a node's"]
            assert [message["seq"] for message in messages] == [published["seq"], answer["seq"]]
        assert answer["epoch"] == published["epoch"]


def test_a_server_without_jetstream_is_told_in_readyz(nodes, server):
    server.stop()
    (server.directory / "nats.conf").write_text(f"host: 127.0.0.1\nport: {server.port}\n")
    server.start()
    node = nodes.start(NATS, is_ready=False)
    assert "add jetstream {}" in node.wait_until_not_ready("JetStream")
