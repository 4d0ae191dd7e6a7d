"""What an operator finds out about who is gone or was never let in, and what is logged of who acts."""

import json

import pytest
from websockets.sync.client import connect

from jsonclient import JSONClient
from test_jwt import bearer, key_files, start_jwt, token  # noqa: F401 (fixtures)


def why(hub, *arguments):
    return [json.loads(line) for line in hub.wsctl("why", "--json", *arguments).stdout.splitlines()]


def refused(hub, path, **options):
    with pytest.raises(Exception) as error:
        connect(hub.url(path), **options)
    return error.value.response


def test_refusals_say_of_whom_and_of_what(start_jwt):  # noqa: F811
    hub = start_jwt(leeway="0s")
    assert refused(hub, "/ws", **bearer(token(exp=1))).status_code == 401
    assert refused(hub, "/nowhere").status_code == 404
    assert refused(hub, "/ws", origin="https://evil.example", **bearer(token())).status_code == 403
    events = why(hub, "alice")
    assert [(each["kind"], each["cause"], each["endpoint"], each["user"]) for each in events] == [
        ("refuse", "unauthorized", "/ws", "alice")
    ]
    # Whose signature is wrong says nothing about whom it is from.
    assert refused(hub, "/ws", **bearer(token(key=b"another secret that is long enough"))).status_code == 401
    assert len(why(hub, "alice")) == 1
    [lost] = why(hub, "--endpoint", "/nowhere")
    assert lost["cause"] == "not_found" and "user" not in lost
    assert any("https://evil.example" in each["text"] for each in why(hub))
    long = refused(hub, "/" + "x" * 1000)
    assert long.status_code == 404 and any(each["endpoint"].endswith("…") for each in why(hub) if "endpoint" in each)


def test_every_channel_of_a_connection_finds_its_end(start_wsd):
    hub = start_wsd()
    with JSONClient(hub.port) as client:
        for name in ("room:1", "room:2"):
            client.ok("join", channel=name)
        hub.wsctl("kick", "--channel", "room:2")
    for name in ("lobby", "room:1", "room:2"):
        [event] = why(hub, "--channel", name)
        assert event["channels"] == ["lobby", "room:1", "room:2"] and event["cause"] == "kicked"
    assert why(hub, "--channel", "room:3") == []


def test_who_acts_is_logged_whatever_the_level(daemon):
    daemon.wsctl("log-level", "critical")
    with connect(daemon.url()):
        daemon.wsctl("kick", "--ip", "127.0.0.0/8", "--reason", "enough")
    daemon.wsctl("broadcast", "x")
    daemon.wsctl("limits", "limits.burst=9")
    daemon.wsctl("profile", "stacks")
    lines = [line for line in daemon.log().splitlines() if "peer-uid=" in line]
    for text in ("asked to set log.level", "kicked 1 connections: enough", "broadcast 1 bytes", "limits.burst", "each thread"):
        assert any(text in line and "peer-command=wsctl" in line for line in lines), (text, lines)
    assert any("selection=ip=127.0.0.0/8" in line or 'selection="ip=127.0.0.0/8"' in line for line in lines), lines
