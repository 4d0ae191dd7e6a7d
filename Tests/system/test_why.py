"""Reports about clients that are gone or were refused, and the log of administrators' actions."""

import json
import socket

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


def scan(hub, count):
    """Asks for that many wrong paths; returns when they have been answered."""
    for start in range(0, count, 500):
        sockets = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(min(500, count - start))]
        for number, each in enumerate(sockets):
            each.sendall(b"GET /wrong/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (start + number))
        for each in sockets:
            assert each.recv(12).endswith(b"404")
            each.close()


def test_a_scan_does_not_erase_what_is_known(start_wsd):
    """15,000 wrong paths from one address: what was before is known, and of the scan its ends and how much there was."""
    hub = start_wsd("[server]\nallowed_origins = ['https://a.example']")
    with JSONClient(hub.port) as client:
        user = client.welcome["user"]
        hub.wsctl("kick", "--user", user, "--reason", "for good")
    assert refused(hub, "/ws", origin="https://evil.example").status_code == 403
    scan(hub, 15_000)
    refusals = json.loads(hub.wsctl("status", "--json").stdout)["refused"]
    assert refusals["not_found"] == 15_000
    [kicked] = why(hub, user)
    assert kicked["cause"] == "kicked" and kicked["text"] == "for good"
    events = why(hub, "--limit", "20")
    assert [each["cause"] for each in events].count("not_found") == len(events) - 2 == 18
    assert {each["cause"] for each in events} == {"kicked", "origin", "not_found"}
    assert sum(1 + each.get("more", {"count": 0})["count"] for each in events) == 15_002
    first = next(each for each in events if "more" in each)
    assert first["endpoint"].startswith("/wrong/") and first["more"]["sameAddress"]
    assert first["time"] <= first["more"]["first"] <= first["more"]["last"] <= events[0]["time"]
    # The same for a person.
    lines = hub.wsctl("why").stdout.splitlines()
    [more] = [line for line in lines if line.startswith("…")]
    times = f"between {first['more']['first'][11:19]} and {first['more']['last'][11:19]}"
    assert more == f"… and {first['more']['count']:,} more like it {times}"
    assert first["time"] in lines[lines.index(more) + 1] and any("for good" in line for line in lines)
