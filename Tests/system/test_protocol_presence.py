"""Presence that is asked for, and announcements that are followed, know the same people."""

import jwt
import pytest

from jsonwire import JSONWire
from rawws import CLOSE, close_payload
from waiting import wait_until
from wsdaemon import toml

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def start(start_wsd, wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)

    def start(rules, workers=2, **tables):
        config = {
            "endpoint": [{"path": "/chat", "protocol": "json", "channel": ""}],
            "auth": {"mode": "jwt", "hmac_secret_file": str(secret)},
            "channels": {"*": {"presence": True, "join_leave": True, **rules}},
        }
        return start_wsd(toml(config | tables), workers=workers)

    return start


def connect(hub, user):
    token = jwt.encode({"sub": user, "exp": 4_000_000_000}, SECRET, "HS256")
    return JSONWire(hub.port, headers=[("Authorization", f"Bearer {token}")])


class Follower:
    """Joins, asks once, and then applies each join and leave, as wsd-protocol(7) says."""

    def __init__(self, hub, user, channel):
        self.wire = connect(hub, user)
        self.channel = channel
        self.wire.ok("join", channel=channel)
        self.wire.heard.clear()
        self.here = {each["user"] for each in self.ask()}

    def ask(self):
        """The users in the channel, as the hub returns them."""
        return self.wire.ok("presence", channel=self.channel)["users"]

    def follow(self):
        """The users in the channel, by the announcements up to now."""
        self.wire.ok("ping")
        for message in self.wire.heard:
            if message.get("channel") != self.channel:
                continue
            if message["type"] == "join":
                self.here.add(message["from"])
            elif message["type"] == "leave":
                self.here.remove(message["from"])
        self.wire.heard.clear()
        return self.here


@pytest.mark.parametrize("workers", [1, 2])
def test_a_user_who_comes_back_in_time_was_there_all_along(start, workers):
    """Also for somebody who has asked meanwhile: nobody will be told of the return."""
    hub = start({"leave_delay": "1m"}, workers)
    for number in range(4):
        channel = f"c{number}"
        early = Follower(hub, "early", channel)
        bob = connect(hub, "bob")
        bob.ok("join", channel=channel)
        bob.reset()
        hub.wait_for_connections(1)
        late = Follower(hub, "late", channel)
        again = connect(hub, "bob")
        again.ok("join", channel=channel)
        told = {each["user"] for each in early.ask()}
        assert told == {"early", "late", "bob"}
        assert early.follow() == told
        assert late.follow() == told
        for wire in (early.wire, late.wire, again):
            wire.send_frame(CLOSE, close_payload(1000))
            wire.receive_close()
            wire.close()
        hub.wait_for_connections(0)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_user_with_several_connections_comes_and_goes_once(start, workers):
    hub = start({"leave_delay": "0s"}, workers)
    watcher = Follower(hub, "watcher", "c")

    def told(count=0):
        """What was announced of bob since the last question; so many announcements may still be on their way."""
        kinds = []

        def have_come():
            watcher.wire.ok("ping")
            kinds.extend(m["type"] for m in watcher.wire.heard if m["type"] in ("join", "leave"))
            watcher.wire.heard.clear()
            return len(kinds) >= count

        wait_until(have_come, f"{count} announcements")
        return kinds

    def connections():
        return [each["connections"] for each in watcher.ask() if each["user"] == "bob"]

    for _ in range(5):
        bobs = [connect(hub, "bob") for _ in range(4)]
        for count, bob in enumerate(bobs, 1):
            bob.ok("join", channel="c")
            assert connections() == [count]
        assert told(1) == ["join"]
        # They end as connections end: left, closed, broken.
        bobs[0].ok("leave", channel="c")
        assert connections() == [3]
        bobs[1].close_properly()
        bobs[2].reset()
        wait_until(lambda: connections() == [1], "one is left")
        bobs[0].ok("join", channel="c")
        bobs[0].close_properly()
        wait_until(lambda: connections() == [1], "one is left")
        assert told() == []
        bobs[3].close_properly()
        wait_until(lambda: connections() == [], "nobody is left")
        assert told(1) == ["leave"]


ENDS = {
    "left": (lambda wire: wire.ok("leave", channel="c"), True),
    "closed with 1000": (lambda wire: wire.close_properly(1000), True),
    "closed with 1001": (lambda wire: wire.close_properly(1001), False),
    "closed with nothing": (lambda wire: (wire.send_close(), wire.receive_close(), wire.close()), False),
    "shut down": (lambda wire: wire.half_close(), False),
    "reset": (lambda wire: wire.reset(), False),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ENDS)
def test_who_says_goodbye_has_gone_at_once_and_who_is_lost_is_awaited(start, workers, how):
    hub = start({"leave_delay": "10m"}, workers)
    end, is_gone = ENDS[how]
    watcher = Follower(hub, "watcher", "c")
    bob = connect(hub, "bob")
    bob.ok("join", channel="c")
    assert watcher.follow() == {"watcher", "bob"}
    end(bob)
    if how != "left":
        hub.wait_for_connections(1)

    def listed():
        return [each["connections"] for each in watcher.ask() if each["user"] == "bob"]

    if is_gone:
        wait_until(lambda: watcher.follow() == {"watcher"}, "bob's leave is told")
        assert listed() == []
    else:
        wait_until(lambda: listed() == [0], "bob is awaited")
        assert watcher.follow() == {"watcher", "bob"}
    bob.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_is_still_awaited_is_told_to_those_who_ask(start, workers):
    """While the leave is not announced, the user counts as here."""
    hub = start({"leave_delay": "1m"}, workers)
    early = Follower(hub, "early", "c")
    bob = connect(hub, "bob")
    bob.ok("join", channel="c")
    bob.reset()
    hub.wait_for_connections(1)
    assert {each["user"] for each in early.ask()} == early.follow() == {"early", "bob"}
