"""Several nodes that share their channels through a real Redis."""

import random

import pytest

import seeded
from waiting import wait_until


@pytest.fixture
def pair(nodes):
    """Two nodes, one of them with one worker, where every channel is at home."""
    return nodes.start(workers=1), nodes.start(workers=3)


def positions(messages):
    return [(message["epoch"], message["seq"]) if "epoch" in message else message["seq"] for message in messages]


@pytest.mark.parametrize("channel", ["kept:1", "plain:1"])
def test_every_node_has_the_same_order_and_each_message_once(pair, channel):
    clients = [node.wire(channel) for node in pair for _ in range(3)]
    count = 200
    for start in range(0, count, 20):
        for index, client in enumerate(clients):
            client.request(*(("chat", {"channel": channel, "data": [index, number]}) for number in range(start, start + 20)))
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
        assert sorted(acks.values()) == [m["seq"] for m in own]
        assert list(acks) == sorted(acks)
        heard.append([(m["seq"], m["data"], m["from"], m["time"]) for m in chats])
        client.ok("ping")
        assert client.socket_is_empty()
    assert all(each == heard[0] for each in heard)
