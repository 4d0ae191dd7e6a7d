"""The order of answers to requests that were sent together, and of the messages before and after them."""

import random
import threading

import pytest

from jsonwire import JSONWire
from rawws import ClosedByServer
from waiting import wait_until
from wsdaemon import toml

BARE = {"endpoint": [{"path": "/chat", "protocol": "json", "channel": ""}]}
WATCHED = {"presence": True, "join_leave": True, "leave_delay": "0s"}
KEPT = {"history": 100_000, "history_bytes": "64MiB"}


@pytest.fixture
def start(start_wsd):
    def start(rules=None, workers=2, **tables):
        return start_wsd(toml(BARE | {"channels": {"*": rules or {}}} | tables), workers=workers)

    return start


# Requests that are sent at once.


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_answers_come_in_the_order_of_the_requests(start, workers):
    """Whatever worker puts a channel in order, and whatever needs none."""
    hub = start(WATCHED | KEPT, workers=workers)
    with JSONWire(hub.port) as client:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            ids = client.request(
                ("join", channel), ("ping", {}), ("chat", {**channel, "data": 1}), ("presence", channel),
                ("history", channel), ("leave", channel), ("presence", channel), ("ping", {}),
            )  # fmt: skip
            answers = client.answers(ids)
            assert [each["id"] for each in answers] == ids
            assert [each["type"] for each in answers] == ["ack"] * 6 + ["error", "ack"]
            assert answers[6]["code"] == "not_joined"
            assert [each["user"] for each in answers[3]["users"]] == [client.user]
            assert [each["data"] for each in answers[4]["messages"]] == [1]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_is_said_in_several_channels_is_confirmed_in_its_order(start, workers):
    hub = start(workers=workers)
    choice = random.Random(24)
    with JSONWire(hub.port) as client, JSONWire(hub.port) as other:
        for number in range(0, 8, 2):
            client.ok("join", channel=f"c{number}")
        for _ in range(200):
            # Somebody else talks, too, so that the workers are busy.
            other.request(*[("chat", {"channel": f"c{choice.randrange(8)}", "data": "x" * 300}) for _ in range(4)])
            requests = [
                ("chat", {"channel": f"c{choice.randrange(8)}", "data": "x" * choice.choice((0, 300, 8000))})
                for _ in range(choice.randrange(2, 7))
            ]
            ids = client.request(*requests)
            assert [each["id"] for each in client.answers(ids)] == ids


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_pipelines_do_what_their_requests_do_one_after_the_other(start, workers):
    hub = start(WATCHED | KEPT, workers=workers, limits={"errors_per_minute": 0})
    choice = random.Random(20)
    with JSONWire(hub.port) as client:
        members = set()
        for _ in range(200):
            kinds = choice.choices(("join", "join", "leave", "presence", "history", "ping"), k=choice.randrange(2, 7))
            requests = [(kind, {} if kind == "ping" else {"channel": f"c{choice.randrange(3)}"}) for kind in kinds]
            expected = []
            for kind, about in requests:
                channel = about.get("channel")
                expected.append(kind in ("join", "ping") or channel in members)
                if kind == "join":
                    members.add(channel)
                elif kind == "leave":
                    members.discard(channel)
            ids = client.request(*requests)
            answers = client.answers(ids)
            assert [each["id"] for each in answers] == ids, requests
            assert [each["type"] == "ack" for each in answers] == expected, requests


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_behind_a_join_that_is_refused_nothing_is_told(start, workers):
    hub = start(WATCHED | KEPT | {"max_members": 1}, workers=workers)
    with JSONWire(hub.port) as first, JSONWire(hub.port) as second:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            first.ok("join", **channel)
            first.ok("chat", data="between us", **channel)
            ids = second.request(("join", channel), ("presence", channel), ("history", channel), ("leave", channel))
            answers = second.answers(ids)
            assert [each.get("code") for each in answers] == ["full", "not_joined", "not_joined", "not_joined"]


@pytest.mark.parametrize("workers", [1, 2])
def test_behind_a_join_that_is_refused_another_join_is_refused(start, workers):
    hub = start({"max_members": 1}, workers=workers)
    with JSONWire(hub.port) as first, JSONWire(hub.port) as second:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            first.ok("join", **channel)
            answers = second.answers(second.request(("join", channel), ("join", channel)))
            assert [each.get("code") for each in answers] == ["full", "full"]
            first.ok("chat", data="between us", **channel)
            second.ok("ping")
            assert second.chats(channel["channel"]) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_of_a_channel_comes_behind_the_ack_of_a_leave(start, workers):
    """Not what was published with it either, in one turn of the hub."""
    hub = start(workers=workers)
    with JSONWire(hub.port) as client:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            client.ok("join", **channel)
            last = client.request(*[("chat", {**channel, "data": n}) for n in range(20)], ("leave", channel))[-1]
            heard = client.hear_until(lambda m: m.get("id") == last)
            client.ok("ping")
            assert client.heard[-1]["type"] == "ack" and client.chats(channel["channel"]) == [
                m["seq"] for m in heard if m["type"] == "chat"
            ]


# Messages that wait for others.


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_for_others_does_not_come_behind_the_ack_of_a_leave(start, workers):
    hub = start(KEPT, workers=workers, server={"flush_delay": "300ms"})
    with JSONWire(hub.port) as speaker, JSONWire(hub.port) as client:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            client.ok("join", **channel)
            for n in range(3):
                speaker.ok("chat", data=n, **channel)
            client.ok("leave", **channel)
            count = len(client.heard)
            client.ok("ping")
            assert client.heard[count:-1] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_leave_and_join_with_since_bring_nothing_twice(start, workers):
    hub = start(KEPT, workers=workers, server={"flush_delay": "300ms"})
    with JSONWire(hub.port) as speaker, JSONWire(hub.port) as client:
        for number in range(8):
            name = f"c{number}"
            epoch = client.ok("join", channel=name)["epoch"]
            for n in range(3):
                speaker.ok("chat", channel=name, data=n)
            client.ok("leave", channel=name)
            seen = max(client.chats(name), default=0)
            ack = client.ok("join", channel=name, since={"epoch": epoch, "seq": seen})
            assert ack["recovered"] and ack["seq"] == 3
            speaker.ok("chat", channel=name, data=3)
            client.hear_until(lambda m: m.get("seq") == 4 and m["type"] == "chat")
            assert client.chats(name) == [1, 2, 3, 4]


# Coming back.


@pytest.mark.parametrize("policy", ["disconnect", "drop-oldest", "drop-newest"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_recovery_may_be_larger_than_the_queue(start, workers, policy):
    """An honest reader gets all that it was promised, and what is said meanwhile behind it."""
    hub = start(KEPT, workers=workers, queue={"limit": "64KiB", "policy": policy})
    with JSONWire(hub.port) as speaker, JSONWire(hub.port, receive_buffer=16384) as client:
        epoch = speaker.ok("chat", channel="c", data="")["epoch"]
        for _ in range(40):
            speaker.answers(speaker.request(*[("chat", {"channel": "c", "data": "x" * 4000})] * 50))
        [join] = client.request(("join", {"channel": "c", "since": {"epoch": epoch, "seq": 1}}))
        client.hear_until(lambda m: m.get("id") == join)
        ack = client.heard[-1]
        assert ack["recovered"] and ack["seq"] == 2001
        talk = threading.Thread(target=lambda: [speaker.ok("chat", channel="c", data=n) for n in range(20)])
        talk.start()
        client.hear_until(lambda m: m.get("data") == 19)
        talk.join()
        assert client.chats("c") == list(range(2, 2022))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_member_that_joins_again_with_since_gets_what_it_missed(start, workers):
    hub = start(KEPT | WATCHED, workers=workers)
    with JSONWire(hub.port) as speaker, JSONWire(hub.port) as client:
        for number in range(8):
            name = f"c{number}"
            speaker.ok("join", channel=name)
            epoch = client.ok("join", channel=name)["epoch"]
            for n in range(5):
                speaker.ok("chat", channel=name, data=n)
            client.hear_until(lambda m: m.get("seq") == 5)
            ack = client.ok("join", channel=name, since={"epoch": epoch, "seq": 2})
            assert ack["recovered"] and ack["seq"] == 5
            speaker.ok("chat", channel=name, data=5)
            client.hear_until(lambda m: m.get("seq") == 6 and m["type"] == "chat")
            assert client.chats(name) == [1, 2, 3, 4, 5, 3, 4, 5, 6]
            # The others have not noticed.
            speaker.ok("ping")
            said = [m for m in speaker.heard if m["type"] in ("join", "leave") and m["channel"] == name]
            assert [m["type"] for m in said] == ["join"]


def wait_for_drops(hub, user, channel):
    """Until messages were dropped for a user, whom this asks nothing."""
    def dropped():
        return [row["droppedMessages"] for row in hub.connections() if row["user"] == user and channel in row["channels"]]

    wait_until(lambda: sum(dropped()) > 0, "messages are dropped")


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
@pytest.mark.parametrize("workers", [1, 2])
def test_who_sees_a_gap_and_joins_again_with_since_has_everything(start, workers, policy):
    """What the server dropped for a slow client, it gets behind the ack, and then the live stream, all once."""
    hub = start(KEPT, workers=workers, queue={"limit": "64KiB", "policy": policy, "write_timeout": "10m"})
    with JSONWire(hub.port) as speaker, JSONWire(hub.port, receive_buffer=4096) as slow:
        epoch = slow.ok("join", channel="c")["epoch"]
        # More than the kernel's buffers (tcp(7), tcp_wmem) and the queue hold.
        for _ in range(40):
            speaker.answers(speaker.request(*[("chat", {"channel": "c", "data": "x" * 8000})] * 50))
        wait_for_drops(hub, slow.user, "c")
        # It reads what waits; something has to be said behind that, for a gap to be seen.
        while slow.hear().get("data") != "behind":
            if slow.socket_is_empty():
                speaker.ok("chat", channel="c", data="behind")
        seen = slow.chats("c")
        last = next(one for one, following in zip(seen, seen[1:]) if following != one + 1)
        slow.heard.clear()
        # While it joins again, the others talk on: some of that is before its ack, and some behind.
        [join] = slow.request(("join", {"channel": "c", "since": {"epoch": epoch, "seq": last}}))
        newest = max(speaker.ok("chat", channel="c", data="meanwhile")["seq"] for _ in range(100))
        slow.hear_until(lambda m: m.get("seq") == newest and m["type"] == "chat")
    [at] = [index for index, message in enumerate(slow.heard) if message.get("id") == join]
    ack = slow.heard[at]
    assert ack["recovered"] and ack["epoch"] == epoch and 2000 < ack["seq"] <= newest
    assert [m["seq"] for m in slow.heard[at + 1 :] if m["type"] == "chat"] == list(range(last + 1, newest + 1))


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_a_gap_of_which_too_little_is_kept_is_said(start, policy):
    hub = start({"history": 10}, queue={"limit": "64KiB", "policy": policy, "write_timeout": "10m"})
    with JSONWire(hub.port) as speaker, JSONWire(hub.port, receive_buffer=4096) as slow:
        epoch = slow.ok("join", channel="c")["epoch"]
        for _ in range(40):
            speaker.answers(speaker.request(*[("chat", {"channel": "c", "data": "x" * 8000})] * 50))
        wait_for_drops(hub, slow.user, "c")
        [join] = slow.request(("join", {"channel": "c", "since": {"epoch": epoch, "seq": 1}}))
        slow.hear_until(lambda m: m.get("id") == join)
        ack = slow.heard[-1]
        assert (ack["type"], ack["recovered"], ack["seq"]) == ("ack", False, 2000)
        # None follow; the live stream does.
        speaker.ok("chat", channel="c", data="live")
        assert [m["seq"] for m in slow.hear_until(lambda m: m.get("data") == "live")] == [2001]


# Publishing.


@pytest.mark.parametrize("history", [0, 100])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_ack_comes_before_the_own_copy(start, workers, history):
    hub = start({"history": history}, workers=workers, server={"flush_delay": "5ms"})
    with JSONWire(hub.port) as client, JSONWire(hub.port) as other:
        channels = [f"c{number}" for number in range(8)]
        for channel in channels:
            client.ok("join", channel=channel)
            other.ok("join", channel=channel)
        # What others say at the same time is in the way of both.
        theirs = other.request(*[("chat", {"channel": channel, "data": n}) for n in range(50) for channel in channels])
        client.request(*[("chat", {"channel": channel, "data": n}) for n in range(50) for channel in channels])
        own = 50 * len(channels)
        while sum(m["type"] == "chat" and m["from"] == client.user for m in client.heard) < own:
            client.hear()
        confirmed = set()
        for message in client.heard:
            about = (message.get("channel"), message.get("seq"))
            if message["type"] == "ack" and "seq" in message:
                confirmed.add(about)
            elif message["type"] == "chat" and message["from"] == client.user:
                assert about in confirmed, f"the copy of {about} came before its ack"
        other.answers(theirs)


# Taken out.


@pytest.mark.parametrize("workers", [1, 2])
def test_who_was_taken_out_hears_nobody_leave(start, workers):
    hub = start(WATCHED | {"subscribe": "anyone"}, workers=workers)
    clients = [JSONWire(hub.port) for _ in range(6)]
    channels = [f"c{number}" for number in range(8)]
    for client in clients:
        for channel in channels:
            client.ok("join", channel=channel)
    text = hub.config_path.read_text()
    hub.config_path.write_text(text.replace('subscribe = "anyone"', 'subscribe = "nobody"'))
    assert hub.wsctl("reload").returncode == 0
    for client in clients:
        client.ok("ping")
        for channel in channels:
            about = [m for m in client.heard if m.get("channel") == channel and m["type"] != "ack"]
            [left] = [index for index, m in enumerate(about) if m.get("event") == "left"]
            assert about[left + 1 :] == [], about[left:]
        client.close()


# Without echo.


@pytest.mark.parametrize("history", [0, 100])
@pytest.mark.parametrize("workers", [1, 2])
def test_who_spoke_to_nobody_hears_all_that_others_say(start, workers, history):
    """`echo = false`: what was said while nobody was there takes nothing from what is said later."""
    hub = start({"echo": False, "history": history}, workers=workers)
    with JSONWire(hub.port) as one, JSONWire(hub.port) as other:
        for number in range(8):
            channel = {"channel": f"c{number}"}
            other.ok("join", **channel)
            other.ok("leave", **channel)
            for n in range(3):
                one.ok("chat", data=n, **channel)
            seq = one.ok("join", **channel)["seq"]
            other.ok("join", **channel)
            other.answers(other.request(*[("chat", {**channel, "data": n}) for n in range(6)]))
            one.hear_until(lambda m: m.get("data") == 5)
            assert one.chats(channel["channel"]) == list(range(seq + 1, seq + 7))


# The end.


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_comes_behind_the_close_frame_of_a_slow_reader(start, workers):
    """Not what waited for others in its channels when it was closed either."""
    hub = start(
        {"join_leave": True}, workers, server={"flush_delay": "1s"}, websocket={"max_message_size": "8MiB"},
        queue={"limit": "64KiB", "write_timeout": "1h"},
    )  # fmt: skip
    with JSONWire(hub.port) as speaker, JSONWire(hub.port, receive_buffer=4096) as slow:
        quiet = [f"c{number}" for number in range(8)]
        slow.answers(slow.request(*[("join", {"channel": channel}) for channel in ("loud", *quiet)]))
        for channel in quiet:
            speaker.ok("chat", channel=channel, data="this waits for others")
        # What an operator publishes does not wait; it is more than the kernel buffers and the queue together.
        for _ in range(2):
            assert hub.wsctl("publish", "loud", "-", input="x" * 7_000_000).returncode == 0
        with pytest.raises(ClosedByServer) as closed:
            while True:
                slow.hear()
        assert closed.value.code == 1008
        slow.expect_end(reset_allowed=True)
