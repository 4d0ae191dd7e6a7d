"""Reload: what stands in the file applies to the connections that are there."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets
from websockets.sync.client import connect

from jsonclient import JSONClient
from waiting import DEADLINE, wait_until


def rewrite(hub, old, new):
    text = hub.config_path.read_text()
    assert old in text
    hub.config_path.write_text(text.replace(old, new))


def reload_of(hub):
    done = hub.wsctl("reload", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_limits_apply_to_who_is_connected(start_wsd):
    hub = start_wsd("[limits]\nmessages_per_second = 0\n[websocket]\nmax_message_size = '1MiB'")
    with connect(hub.url()) as client, connect(hub.url()) as other:
        client.send("x" * 100_000)
        assert len(other.recv(timeout=DEADLINE)) == 100_000
        rewrite(hub, 'max_message_size = "1MiB"', 'max_message_size = "1KiB"')
        assert reload_of(hub) == {"changed": ["websocket.max_message_size"], "needsRestart": []}
        client.send("x" * 2_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                client.recv(timeout=DEADLINE)
        assert closed.value.rcvd.code == 1009
        rewrite(hub, "messages_per_second = 0", "messages_per_second = 1")
        reload_of(hub)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            for _ in range(100):
                other.send("x")
            while True:
                other.recv(timeout=DEADLINE)
        assert closed.value.rcvd.code == 1008


def test_heartbeats_apply_to_who_is_connected(start_wsd):
    hub = start_wsd("[websocket]\nping_interval = '1h'")
    client = hub.connect("/ws")
    rewrite(hub, '"1h"', '"100ms"')
    reload_of(hub)
    assert client.receive_frame().opcode == 9
    wait_until(lambda: hub.connections() == [], "who does not answer pings is closed", deadline=DEADLINE * 2)


def test_endpoints_channels_origins_and_the_log_follow(start_wsd):
    hub = start_wsd(
        """
        [server]
        allowed_origins = ["https://old.example"]
        [[endpoint]]
        path = "/ws"
        protocol = "relay"
        channel = "lobby"
        [[endpoint]]
        path = "/json"
        protocol = "json"
        channel = "room"
        """
    )
    with connect(hub.url("/ws"), origin="https://old.example") as old, JSONClient(hub.port, path="/json") as member:
        text = hub.config_path.read_text()
        text = text.replace("https://old.example", "https://new.example").replace('"/ws"', '"/moved"')
        text += '\n[channels."room"]\npresence = true\nhistory = 10\n[log]\nlevel = "debug"\n'
        hub.config_path.write_text(text)
        outcome = reload_of(hub)
        assert {"server.allowed_origins", "endpoint[0].path", 'channels."room"', "log.level"} <= set(outcome["changed"])
        assert outcome["needsRestart"] == []
        with pytest.raises(websockets.InvalidStatus) as refused:
            connect(hub.url("/moved"), origin="https://old.example")
        assert refused.value.response.status_code == 403
        with pytest.raises(websockets.InvalidStatus) as refused:
            connect(hub.url("/ws"), origin="https://new.example")
        assert refused.value.response.status_code == 404
        with connect(hub.url("/moved"), origin="https://new.example") as new:
            new.send("to everyone in the lobby")
            assert old.recv(timeout=DEADLINE) == "to everyone in the lobby"
        users = member.ok("presence", channel="room")["users"]
        assert [each["user"] for each in users] == [member.welcome["user"]]
        member.ok("chat", channel="room", data=1)
        assert len(member.ok("history", channel="room")["messages"]) == 1
        hub.wait_for_log("connection opened")


def test_a_reload_that_fails_changes_nothing_and_names_every_place(start_wsd):
    hub = start_wsd("[limits]\nchannels = 3")
    rewrite(hub, "channels = 3", 'channels = "many"\nnonsense = 1')
    refused = hub.wsctl("reload")
    assert refused.returncode == 78
    lines = refused.stderr.splitlines()
    assert sum(f"{hub.config_path}:" in line for line in lines) == 2, refused.stderr
    assert "limits.channels = 3" in hub.wsctl("config", "limits.channels").stdout
    diff = hub.wsctl("config", "--diff")
    assert diff.returncode != 0 and "nonsense" in diff.stderr
    hub.signal(signal.SIGHUP)
    wait_until(lambda: hub.log().count("not reloaded") == 2, "the signal has been followed")
    rewrite(hub, 'channels = "many"\nnonsense = 1', "channels = 4")
    diff = hub.wsctl("config", "--diff")
    assert diff.returncode == 1 and diff.stdout == "limits.channels: 3 -> 4 (reload)\n"
    assert reload_of(hub)["changed"] == ["limits.channels"]
    assert hub.wsctl("config", "--diff").returncode == 0


def test_reloads_at_the_same_time_come_one_after_the_other(start_wsd):
    hub = start_wsd("[limits]\nchannels = 3")
    with connect(hub.url()) as client, ThreadPoolExecutor(8) as pool:
        calls = [("reload",), ("limits", "limits.channels=7"), ("limits", "limits.channels=9"), ("reload",)] * 5
        futures = [pool.submit(hub.wsctl, *call) for call in calls]
        # As the service manager does: who doesn't read its notifications holds up who sends them.
        wait_until(lambda: hub.notified() and all(future.done() for future in futures), "all have been answered")
        results = [future.result() for future in futures]
        assert all(result.returncode == 0 for result in results), [result.stderr for result in results]
        client.send("still here")
        assert client.recv(timeout=DEADLINE) == "still here"
    reload_of(hub)
    assert "limits.channels = 3" in hub.wsctl("config", "limits.channels").stdout


def test_what_waits_for_a_restart_is_shown_as_it_is(start_wsd):
    hub = start_wsd("[server]\nflush_delay = '0s'\n[control]\n")
    before = hub.wsctl("config", "server.listen").stdout
    assert str(hub.port) in before
    (hub.config_path.parent / f"{hub.config_path.name}.d").mkdir()
    drop_in = hub.config_path.parent / f"{hub.config_path.name}.d" / "50-listen.toml"
    drop_in.write_text('[server]\nlisten = ["127.0.0.1:1"]\nflush_delay = "1ms"\n')
    assert reload_of(hub) == {"changed": ["server.flush_delay"], "needsRestart": ["server.listen"]}
    assert hub.wsctl("config", "server.listen").stdout == before
    diff = hub.wsctl("config", "--diff")
    assert diff.returncode == 1 and diff.stdout.startswith("server.listen: ") and "(restart)" in diff.stdout
    assert str(drop_in) in json.loads(hub.wsctl("status", "--json").stdout)["configurationFiles"]


def test_keys_that_are_rotated_are_named_and_every_error_has_its_place(start_wsd, wsd_directory):
    secret, publish = wsd_directory / "secret", wsd_directory / "publish"
    secret.write_text("a secret of thirty-two bytes or more")
    publish.write_text("a-key-for-publishing\n")
    auth = f"[auth]\nmode = 'jwt'\nhmac_secret_file = '{secret}'\n[api]\npublish_key_file = '{publish}'"
    hub = start_wsd(auth)
    assert reload_of(hub) == {"changed": [], "needsRestart": []}
    secret.write_text("another secret of thirty-two bytes or more")
    assert reload_of(hub)["changed"] == ["auth.hmac_secret_file"]
    publish.write_text("another-key-for-publishing\n")
    assert reload_of(hub)["changed"] == ["api.publish_key_file"]
    secret.write_text("short")
    publish.write_text("short")
    refused = hub.wsctl("reload")
    assert refused.returncode == 78
    for key in ("auth.hmac_secret_file", "api.publish_key_file"):
        assert any(f"{hub.config_path}:" in line and key in line for line in refused.stderr.splitlines()), refused.stderr
