"""Nodes in front of a master that Sentinels look after, and of a cluster, which lose servers and move slots while clients talk."""

import json
import time

import pytest

from nodes import PATIENT, Nodes, wait_for_all
from redisserver import Authority
from redistopologies import Cluster, Sentinels
from traffic import GAPS, LOSS
from waiting import DEADLINE, wait_until


@pytest.fixture
def hub(wsd_directory):
    """Starts servers and nodes that share them: hub(kind, count, has_tls=False)."""
    begun = []

    def start(kind, count, has_tls=False):
        authority = Authority(wsd_directory) if has_tls else None
        servers = kind(wsd_directory, authority)
        begun.append(servers)
        nodes = Nodes(wsd_directory, servers.url)
        begun.append(nodes)
        broker = PATIENT["broker"] | ({"ca_file": authority.authority} if has_tls else {})
        return servers, [nodes.start({"broker": broker}, workers=1) for _ in range(count)]

    yield start
    failures = [failure for each in reversed(begun) for failure in each.finish() or ()]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def assert_out(nodes, reason=""):
    """Every node says that the broker can't be used, and why."""
    reasons = [node.wait_until_not_ready(reason) for node in nodes]
    for node, text in zip(nodes, reasons):
        assert text and not node.is_ready()
        status = node.status()
        assert "not ready" in status, status


def assert_well(nodes):
    """Every node is ready, says so everywhere, and sees all of them."""
    wait_for_all(nodes)
    names = {node.name for node in nodes}
    for node in nodes:

        def sees_all():
            done = node.daemon.wsctl("nodes", "--json")
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            seen = {row["name"] for row in rows if row.get("state") == "running" and not row.get("notReady")}
            return done.returncode == 0 and len(rows) == len(names) and seen == names

        wait_until(sees_all, f"{node.name} sees all nodes")
        assert "not ready" not in node.status()
        metrics = node.api.raw("GET", "/metrics")[2]
        assert "wsd_broker_up 1" in metrics.splitlines() and f"wsd_nodes {len(nodes)}" in metrics.splitlines()


# Sentinel.


def test_sentinels_replace_a_master_that_is_killed(hub, talk):
    servers, nodes = hub(Sentinels, 3)
    assert_well(nodes)
    traffic = talk(nodes, **LOSS)
    servers.master.kill()
    assert_out(nodes)
    servers.wait_for_failover()
    assert_well(nodes)
    traffic.wait_for_more(100)
    assert traffic.stop().counts["refused"] == 0


def test_sentinels_replace_a_master_that_stands_still_with_tls(hub, talk):
    servers, nodes = hub(Sentinels, 2, has_tls=True)
    assert_well(nodes)
    traffic = talk(nodes, **LOSS)
    old = servers.master
    old.pause()
    assert_out(nodes)
    servers.wait_for_failover()
    assert_well(nodes)
    traffic.wait_for_more(100)
    # It still takes itself for the master when it goes on; nobody uses it.
    old.resume()
    wait_until(lambda: servers.is_master(old) is False, "the old master is a replica", DEADLINE * 2)
    traffic.wait_for_more(100)
    assert_well(nodes)
    assert traffic.stop().counts["refused"] == 0


# A cluster.


def test_a_slot_of_a_cluster_moves_and_nobody_misses_anything_with_tls(hub, talk):
    servers, nodes = hub(Cluster, 2, has_tls=True)
    assert_well(nodes)
    traffic = talk(nodes, **GAPS)
    for channel in ("kept:1", "plain:1", "kept:1"):
        servers.move(channel, lambda: time.sleep(0.3))
        traffic.wait_for_more(100)
    assert_well(nodes)
    assert traffic.stop().counts["refused"] == 0


def test_a_replica_replaces_a_master_of_a_cluster_that_is_killed(hub, talk):
    servers, nodes = hub(Cluster, 3)
    assert_well(nodes)
    traffic = talk(nodes, **LOSS)
    lost = wait_until(lambda: servers.owner("kept:1"), "the channel has an owner")
    lost.kill()
    assert_out(nodes, str(lost.port))
    servers.wait_for_failover("kept:1", lost)
    assert_well(nodes)
    traffic.wait_for_more(100)
    assert traffic.stop().counts["refused"] == 0
