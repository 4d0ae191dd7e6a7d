"""The model notices what it is to notice: made-up records, each with one promise broken."""

import itertools
import json

import pytest

from model.client import RECEIVED, SENT, Event, Record
from model.plan import Plan
from model.stream import Stream
from model.timeline import Timeline
from model.truth import Truth

JOIN = ">join kept:0 1"
JOINED = {"type": "ack", "id": 1, "channel": "kept:0", "epoch": "e", "seq": 4, "recovered": False}
LEAVE = ">leave kept:0 2"
LEFT = {"type": "ack", "id": 2, "channel": "kept:0"}
ASK = ">presence kept:0 3"


def sent(line, **members):
    kind, *rest = line[1:].split()
    request = {"type": kind, **dict(zip(("channel", "id"), rest)), **members}
    return request | {"id": int(request["id"])} if "id" in request else request


def said(seq, text="", by=1, n=0, channel="kept:0"):
    data = {"by": by, "n": n or seq, "pad": text}
    return {"type": "chat", "channel": channel, "from": "other", "seq": seq, "data": data}


def came(user, kind="join"):
    return {"type": kind, "channel": "kept:0", "from": user}


def told(*users):
    return {"type": "ack", "id": 3, "channel": "kept:0", "users": [{"user": u, "connections": 1} for u in users]}


def error(code, number=1):
    return {"type": "error", "id": number, "code": code, "message": "", "channel": "kept:0"}


def since(seq):
    return sent(">join kept:0 1", since={"epoch": "e", "seq": seq})


def recovered(seq):
    return JOINED | {"recovered": True, "seq": seq}


MUTE = [sent(">join mute:0 1"), JOINED | {"channel": "mute:0"}]

FAULTS = {
    "nothing": [JOIN, JOINED, said(5), said(6), LEAVE, LEFT],
    "answered twice": [JOIN, JOINED, JOINED],
    "order of answers": [JOIN, LEAVE, LEFT, JOINED],
    "state: left before joining": [LEAVE, LEFT],
    "state: told to a stranger": [ASK, told("other")],
    "state: a member is refused": [JOIN, JOINED, LEAVE, error("not_joined", 2)],
    "outside, before": [said(5)],
    "outside, behind": [JOIN, JOINED, LEAVE, LEFT, said(5)],
    "outside, announced": [JOIN, JOINED, LEAVE, LEFT, came("other")],
    "outside, behind left": [JOIN, JOINED, {"type": "system", "event": "left", "channel": "kept:0"}, said(5)],
    "epoch": [JOIN, JOINED, sent(">chat kept:0 2", data={"n": 1}), LEFT | {"epoch": "f", "seq": 5}],
    "double": [JOIN, JOINED, said(5), said(5)],
    "gap": [JOIN, JOINED, said(5), said(7)],
    "gap where the own is not heard": [*MUTE, said(6, channel="mute:0")],
    "tail": [JOIN, JOINED, said(5), said(6), said(7)],
    "echo": [*MUTE, said(5, by=2, channel="mute:0")],
    "recovered though it can't": [since(9), recovered(4)],
    "recovered: not, though it can": [since(2), JOINED],
    "recovery: live comes first": [since(2), recovered(4), said(5), said(3), said(4)],
    "recovery: one is missing": [since(2), recovered(4), said(4), said(5)],
    "recovery: none comes": [since(2), recovered(4)],
    "rejoin": [JOIN, JOINED, said(5), since(4), recovered(4)],
    "announced twice": [JOIN, JOINED, came("other", "leave"), came("other", "leave")],
    "announced itself": [JOIN, JOINED, came("me")],
    "following: one more": [JOIN, JOINED, ASK, told("other", "me", "third")],
    "following: one less": [JOIN, JOINED, ASK, told("me", "other"), came("other", "leave")],
    "permitted": [sent(">join news:0 1"), error("not_permitted") | {"channel": "news:0"}],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_promise_is_noticed(name):
    plan = Plan(1)
    truth = Truth(plan)
    record, other = Record(2, "/bare", user="me"), Record(1, "/bare", user="other")
    clock = itertools.count(1.0)
    for step in FAULTS[name]:
        message = sent(step) if isinstance(step, str) else step
        is_sent = isinstance(step, str) or "seq" in message.get("since", {}) or message.get("data", {}).keys() == {"n"}
        is_sent = is_sent or message["type"] == "join" and "id" in message
        record.events.append(Event(next(clock), SENT if is_sent else RECEIVED, message, json.dumps(message)))
        if message["type"] == "chat" and not is_sent:
            other.chats[message["data"]["n"]] = (message["channel"], True)
    stream = Stream(record, plan, Timeline(plan), truth)
    stream.advance()
    fences = {("kept:0", "e"): 8} if name == "tail" else {}
    stream.check_end(fences, {"kept:0": {"me", "other"}} if "following" in name else {})
    stream.finish()
    if name != "echo":
        truth.settle([record, other], {}, {})
    promises = {violation.promise for violation in truth.violations}
    expected = name.replace(":", " ").replace(",", " ").split()[0]
    assert expected in promises or expected == "nothing" and not promises, truth.violations
