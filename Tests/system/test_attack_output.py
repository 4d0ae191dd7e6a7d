"""Short requests with long answers: what is in one turn, and in memory, stays bounded, and others are served meanwhile."""

import json
import time

import pytest

from attacks import ENDPOINTS, FORGIVING, MEBIBYTE, Flood, HonestPings, Memory, asking, joined, text_frame
from rawws import ClosedByServer, RawWebSocket

ROOMS = '[channels."room:*"]\nhistory = 1000\nhistory_bytes = "64MiB"\npresence = true\n'
CONFIGURATION = FORGIVING + ROOMS + ENDPOINTS
# 1,000 messages that are a MiB together: a page of history, or what a join with `since` brings.
MESSAGE = "x" * 900


def filled(daemon, channel="room:1", count=1000, text=MESSAGE):
    """A member of a channel in which so much has been said before it came, and the channel's epoch."""
    client = joined(daemon, [])
    client.send(b"".join(text_frame(asking("chat", channel=channel, data=text)) for _ in range(count - 1)))
    client.send_text(asking("chat", channel=channel, data=text, id="last"))
    message = json.loads(client.receive_text())
    assert message["seq"] == count
    client.send_text(asking("join", channel=channel, id="join"))
    assert json.loads(client.receive_text())["seq"] == count
    return client, message["epoch"]


def requests_with_long_answers(epoch):
    return {
        "history": asking("history", channel="room:1", id=1, limit=1000),
        "presence": asking("presence", channel="room:1", id=1),
        "join": asking("join", channel="room:1", id=1, since={"epoch": epoch, "seq": 0}),
    }


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["history", "presence", "join"])
def test_pipelined_requests_whose_answers_nobody_reads_take_no_memory(start_wsd, kind, workers):
    daemon = start_wsd(CONFIGURATION, workers=workers)
    _, epoch = filled(daemon)
    crowd = [joined(daemon, ["room:1"]) for _ in range(300 if kind == "presence" else 0)]
    attackers = [joined(daemon, ["room:1"], receive_buffer=4096) for _ in range(2)]
    # 30 KB bring 250 MiB, or 1,000 lists of 300 users 24 MiB for each attacker, where memory is not bounded.
    count = 3000 if kind == "presence" else 250
    data = text_frame(requests_with_long_answers(epoch)[kind]) * count
    with HonestPings(daemon), Memory(daemon, 48 * MEBIBYTE), Flood(attackers, data, times=1, reads=False):
        # A duration of measuring.
        time.sleep(2)
    assert len(crowd) in (0, 300)


@pytest.mark.parametrize("kind", ["history", "presence", "join"])
def test_pipelined_requests_whose_answers_are_read_keep_nobody_waiting(start_wsd, kind):
    daemon = start_wsd(CONFIGURATION, workers=1)
    _, epoch = filled(daemon)
    crowd = [joined(daemon, ["room:1"]) for _ in range(300 if kind == "presence" else 0)]
    attackers = [joined(daemon, ["room:1"]) for _ in range(2)]
    data = text_frame(requests_with_long_answers(epoch)[kind]) * 250
    with HonestPings(daemon), Memory(daemon, 48 * MEBIBYTE), Flood(attackers, data, times=8):
        time.sleep(2)
    assert len(crowd) in (0, 300)


def test_requests_of_a_reader_are_all_answered_in_their_order_however_long_the_answers(start_wsd):
    daemon = start_wsd(CONFIGURATION)
    _, epoch = filled(daemon)
    client = joined(daemon, ["room:1"])
    kinds = [requests_with_long_answers(epoch)[kind] for kind in ("history", "presence", "join")]
    texts = [kinds[number % 3].replace('"id":1', f'"id":{number}') for number in range(60)]
    client.send(b"".join(text_frame(text) for text in texts))
    answers, missed = [], 0
    while len(answers) < 60 or missed < 20 * 1000:
        message = json.loads(client.receive_text())
        if "id" in message:
            assert message["type"] == "ack", message
            answers.append(message["id"])
        else:
            missed += 1
    assert answers == list(range(60))


def test_answers_keep_the_order_of_requests_between_homes_and_kinds(start_wsd):
    daemon = start_wsd(CONFIGURATION)
    client = joined(daemon, [f"room:{number}" for number in range(8)])
    for _ in range(40):
        texts = []
        for number in range(40):
            kind = ("history", "ping", "presence", "chat", "join", "leave", "join")[number % 7]
            members = {} if kind == "ping" else {"channel": f"room:{number * 5 % 8}"}
            members |= {"data": 0} if kind == "chat" else {}
            texts.append(asking(kind, id=number, **members))
        client.send(b"".join(text_frame(text) for text in texts))
        answers = []
        while len(answers) < 40:
            message = json.loads(client.receive_text())
            if "id" in message:
                answers.append(message["id"])
        assert answers == list(range(40))


def test_a_page_of_history_is_bounded_in_bytes(start_wsd):
    daemon = start_wsd('[websocket]\nmax_message_size = "1MiB"\n' + CONFIGURATION)
    client, _ = filled(daemon, text="y" * 20_000)
    before, seen = None, []
    while True:
        members = {} if before is None else {"before": before}
        client.send_text(asking("history", channel="room:1", id="page", limit=1000, **members))
        while '"id":"page"' not in (text := client.receive_text()):
            pass
        page = json.loads(text)
        assert len(text) < 4 * MEBIBYTE, "20 MB in one answer"
        seen = [message["seq"] for message in page["messages"]] + seen
        if not page["more"]:
            break
        before = seen[0]
    assert seen == list(range(1, 1001))


@pytest.mark.parametrize("policy", ["disconnect", "drop-oldest", "drop-newest"])
def test_recovery_of_more_than_the_queue_limit_reaches_a_reader_whole(start_wsd, policy):
    daemon = start_wsd(f'[queue]\npolicy = "{policy}"\nlimit = "1MiB"\n' + CONFIGURATION.replace("1000", "5000"))
    _, epoch = filled(daemon, count=2000, text="z" * 4096)
    client = RawWebSocket(daemon.port, "/chat", receive_buffer=65536)
    daemon._clients.append(client)
    client.receive_text()
    client.socket.settimeout(10)
    client.send_text(asking("join", channel="room:1", id=1, since={"epoch": epoch, "seq": 0}))
    assert json.loads(client.receive_text())["recovered"] is True
    client.send_text(asking("ping", id="end"))
    seen = []
    while True:
        try:
            message = json.loads(client.receive_text())
        except (ClosedByServer, TimeoutError) as end:
            raise AssertionError(f"after {len(seen)} of 2,000 messages: {end}") from None
        if message["type"] == "ack":
            break
        seen.append(message["seq"])
    assert seen == list(range(1, 2001))


def test_many_who_recover_much_and_read_nothing_take_no_memory(start_wsd):
    daemon = start_wsd(CONFIGURATION.replace("1000", "5000"), workers=1)
    _, epoch = filled(daemon, count=2000, text="z" * 4096)
    with HonestPings(daemon), Memory(daemon, 48 * MEBIBYTE):
        for _ in range(20):
            client = RawWebSocket(daemon.port, "/chat", receive_buffer=4096)
            daemon._clients.append(client)
            client.send_text(asking("join", channel="room:1", id=1, since={"epoch": epoch, "seq": 0}))
        time.sleep(1)


def test_many_users_in_a_list_cost_a_question_little(start_wsd):
    """It is no sort of all of them for each question."""
    daemon = start_wsd(CONFIGURATION, workers=1)
    crowd = [joined(daemon, ["room:1"]) for _ in range(1000)]
    attacker = crowd[0]
    data = text_frame(asking("presence", channel="room:1", id=1)) * 200
    with HonestPings(daemon), Flood([attacker], data, times=1):
        time.sleep(2)
