"""Several nodes that share their channels through a log: Kafka's protocol, and a real RabbitMQ."""

import pytest

import seeded
from brokerservices import SERVICES
from cluster_soak import soak
from nodes import Nodes, hear, since
from plugins import plugin_environment
from waiting import wait_until
from wsdaemon import run_wsd

# Clients that wait for a broker answer no pings meanwhile.
PATIENT = {
    "broker": {"probe_interval": "1s", "presence_ttl": "2s", "queue_timeout": "60s"}, "websocket": {"ping_interval": "0s"},
}  # fmt: skip
LOGS = [name for name in SERVICES if name in ("kafka", "rabbitmq")]


@pytest.fixture(scope="module", params=LOGS)
def service(request, tmp_path_factory):
    service = SERVICES[request.param](tmp_path_factory.mktemp(request.param))
    yield service
    service.finish()


prefixes = iter(f"t{number}" for number in range(1000))


@pytest.fixture
def nodes(service, tmp_path):
    nodes = Nodes(tmp_path, service.url, next(prefixes), type=service.type)
    yield nodes
    assert nodes.finish() == []


@pytest.fixture
def pair(nodes):
    return nodes.start(PATIENT, workers=1), nodes.start(PATIENT, workers=2)


def test_what_is_published_at_one_node_reaches_the_clients_of_another(pair):
    one, two = pair
    clients = [two.wire("kept:1"), two.wire("plain:1")]
    for number in range(1, 21):
        for client, channel in zip(clients, ("kept:1", "plain:1")):
            assert one.publish(channel, number)["seq"] == number
            message = hear(client, "system")
            assert (message["data"], message["seq"]) == (number, number)


def test_a_client_goes_on_elsewhere_also_after_all_nodes_have_been_restarted(nodes):
    one = nodes.start(PATIENT)
    answers = [one.publish("kept:1", number) for number in range(5)]
    one.daemon.stop()
    two = nodes.start(PATIENT)
    there = two.wire()
    assert there.ask("join", channel="kept:1", since=since(answers[1]))["recovered"] is True
    assert [hear(there, "system")["data"] for _ in range(3)] == [2, 3, 4]
    last = two.publish("kept:1", 5)
    assert (last["epoch"], last["seq"]) == (answers[0]["epoch"], 6)


def test_users_are_those_of_all_nodes(pair):
    one, two = pair
    first, second = one.client("here:1"), two.client("here:1")
    wait_until(lambda: len(second.ok("presence", channel="here:1")["users"]) == 2, "both are there")
    one.daemon.kill()
    wait_until(lambda: len(second.ok("presence", channel="here:1")["users"]) == 1, "the node's user is gone")
    del first


def test_what_another_program_publishes_reaches_the_clients(service, pair, nodes):
    clients = [node.wire("kept:1") for node in pair]
    service.publish(nodes.prefix, "kept:1", '{"price":42}')
    service.publish(nodes.prefix, "kept:1", "no JSON")
    for client in clients:
        messages = [hear(client, "system") for _ in range(2)]
        assert [(message["data"], message["seq"]) for message in messages] == [({"price": 42}, 1), ("no JSON", 2)]
    assert pair[0].publish("kept:1", "a node's")["seq"] == 3


def test_a_server_that_stands_still_is_noticed_and_made_up_for(service, pair):
    one, two = pair
    client = two.wire("kept:1")
    with service.server.paused():
        for node in pair:
            node.wait_until_not_ready("")
        sender = one.wire()
        sender.request(("chat", {"channel": "kept:1", "data": "meanwhile"}))
    for node in pair:
        node.wait_until_ready()
    assert hear(client, "chat")["data"] == "meanwhile"


def test_a_server_that_is_stopped_and_started_again_has_everything(service, pair):
    if service.type == "kafka":
        return  # noida does not come back whole; librdkafka's mock cluster does, in the tests of the adapter
    one, two = pair
    client = two.wire("kept:1")
    before = one.publish("kept:1", "before")
    assert hear(client, "system")["data"] == "before"
    service.stop_and_start()
    for node in pair:
        # RabbitMQ may say for long that it does not find its own streams.
        node.wait_until_ready(deadline=180)
    after = one.publish("kept:1", "after")
    assert (after["epoch"], after["seq"]) == (before["epoch"], before["seq"] + 1)
    assert hear(client, "system")["data"] == "after"


def test_a_missing_plugin_is_an_error_that_names_its_package(tmp_path):
    config = tmp_path / "wsd.toml"
    config.write_text('[broker]\ntype = "kafka"\nurl = "kafka://127.0.0.1"\n')
    done = run_wsd("--config", config, "--check-config", WSD_PLUGIN_DIR=str(tmp_path))
    assert done.returncode == 78
    assert f"{tmp_path}/kafka.so is not there: install the package wsd-kafka" in done.stderr
    done = run_wsd("--config", config, "--check-config", **plugin_environment())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", LOGS)
def test_nothing_is_lost_or_twice_or_out_of_order_while_everything_breaks(name, wsd_directory):
    faults, counts = soak(wsd_directory, seeded.SEED, seconds=20, clients=100, channels=20, rate=60, broker=name)
    assert not faults, "\n".join(faults)
    assert counts["acknowledged"] > 100
