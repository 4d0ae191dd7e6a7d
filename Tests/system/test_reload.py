"""Reload: what stands in the file applies to the connections that are there."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets
from websockets.sync.client import connect

from fdstore import PASS
from jsonclient import JSONClient
from ports import free_port
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment


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
    hub = start_wsd("[websocket]\nping_interval = '1h'\npong_timeout = '300ms'")
    client = hub.connect("/ws")
    rewrite(hub, '"1h"', '"100ms"')
    reload_of(hub)
    assert client.receive_frame().opcode == 9
    wait_until(lambda: hub.connections() == [], "who does not answer pings is closed")


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


def test_a_service_manager_that_does_not_read_holds_nobody_up(start_wsd):
    hub = start_wsd()
    hub.notified()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"X=1", str(hub.notify_path))
    assert reload_of(hub)["changed"] == []
    assert "could not be told RELOADING" in hub.log() and "could not be told READY" in hub.log()
    hub.notified()
    reload_of(hub)
    assert "READY=1" in hub.notified()[-10:] or "RELOADING=1" in hub.notified()[-10:]


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


def test_what_waits_for_a_restart_is_told_wherever_an_administrator_looks(start_wsd):
    hub = start_wsd()
    quiet = json.loads(hub.wsctl("status", "--json").stdout)
    assert quiet["pendingRestart"] == quiet["unusedKeys"] == []
    rewrite(hub, "workers = 2", "workers = 1")
    told = hub.wsctl("reload")
    assert told.returncode == 0 and "only after a restart: server.workers" in told.stdout
    # As soon as the reload has ended.
    status = hub.wsctl("status")
    assert "after a restart: server.workers" in status.stdout
    assert json.loads(hub.wsctl("status", "--json").stdout)["pendingRestart"] == ["server.workers"]
    assert "WARNING reloaded, no changes; only after a restart: server.workers" in hub.log()
    last = [line for line in hub.notified() if line.startswith("STATUS=")][-1]
    assert last.endswith("; only after a restart: server.workers")
    rewrite(hub, "workers = 1", "workers = 2")
    assert "restart" not in hub.wsctl("reload").stdout
    assert "restart" not in hub.wsctl("status").stdout


def test_what_waits_for_a_restart_is_a_metric(start_wsd):
    port = free_port()
    hub = start_wsd(f"[api]\nlisten = ['127.0.0.1:{port}']")
    rewrite(hub, "workers = 2", "workers = 1")
    reload_of(hub)
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert "\nwsd_config_pending_restart 1\n" in answer and "\nwsd_config_unused 0\n" in answer


class Passed:
    """A daemon that a service manager has given its sockets, with a configuration that names others."""

    def __init__(self, directory, config):
        self.hub = socket.create_server(("127.0.0.1", 0))
        self.port = self.hub.getsockname()[1]
        self.control = str(directory / "control")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.control)
        listener.listen()
        self.config = directory / "wsd.toml"
        self.config.write_text(config)
        self.log = open(directory / "log", "w+b")
        descriptors = [self.hub.fileno(), listener.fileno()]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PASS, "wsd:control", ",".join(map(str, descriptors)), binary("wsd"),
             "--config", str(self.config)],
            env=clean_environment(), stdout=self.log, stderr=self.log, pass_fds=descriptors, cwd=directory,
        )
        listener.close()
        wait_until(lambda: self.wsctl("status").returncode == 0, "it answers")

    def wsctl(self, *arguments):
        return subprocess.run(
            [binary("wsctl"), *arguments], env=clean_environment(WSD_SOCKET=self.control), capture_output=True,
            text=True, timeout=DEADLINE,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.log.close()


def test_a_key_in_whose_place_systemd_passes_sockets_is_told_to_be_unused(wsd_directory):
    config = "[server]\nlisten = ['127.0.0.1:9000']\n[control]\nstatus_path = ''\n[api]\nlisten = []\n[drain]\nperiod='0s'\n"
    with Passed(wsd_directory, config) as daemon:
        expected = f'server.listen = ["127.0.0.1:{daemon.port}"]  # systemd; not used: ["127.0.0.1:9000"] ({daemon.config}:2)'
        assert daemon.wsctl("config", "server.listen").stdout == expected + "\n"
        setting = json.loads(daemon.wsctl("config", "server.listen", "--json").stdout)
        assert setting["unused"] == f'["127.0.0.1:9000"] ({daemon.config}:2)'
        assert f'control.path = "{daemon.control}"  # systemd\n' == daemon.wsctl("config", "control.path").stdout
        assert daemon.wsctl("config", "--diff").returncode == 0
        assert "not used: server.listen" in daemon.wsctl("status").stdout
        # Another value is as little in use, and waits for no restart.
        daemon.config.write_text(config.replace("9000", "9001"))
        told = daemon.wsctl("reload")
        assert "not used, for systemd passes sockets: server.listen" in told.stdout and "restart" not in told.stdout
        outcome = json.loads(daemon.wsctl("reload", "--json").stdout)
        assert outcome == {"changed": [], "needsRestart": [], "unused": ["server.listen"]}
        status = json.loads(daemon.wsctl("status", "--json").stdout)
        assert (status["pendingRestart"], status["unusedKeys"]) == ([], ["server.listen"])
        assert "9001" in daemon.wsctl("config", "server.listen").stdout
        daemon.config.write_text(config.replace("listen = ['127.0.0.1:9000']", ""))
        assert "not used" not in daemon.wsctl("reload").stdout
        assert "not used" not in daemon.wsctl("status").stdout


def test_nobody_has_chosen_who_may_connect(start_wsd):
    hub = start_wsd("[server]\nlisten = ['0.0.0.0:@PORT@']")
    assert hub.log().count("no access control is configured") == 1
    notice = json.loads(hub.wsctl("status", "--json").stdout)["notices"]
    assert len(notice) == 1 and "auth.mode" in notice[0] and f"NOTICE {notice[0]}\n" in hub.log()
    assert f"notice: {notice[0]}\n" in hub.wsctl("status").stdout
    with hub.config_path.open("a") as file:
        file.write('[auth]\nmode = "none"\n')
    reload_of(hub)
    assert json.loads(hub.wsctl("status", "--json").stdout)["notices"] == []
    for config in (
        "",
        "[server]\nlisten = ['0.0.0.0:@PORT@']\nallowed_origins = []",
        "[server]\nlisten = ['0.0.0.0:@PORT@']\n[auth]\nmode = 'none'",
        "[server]\nlisten = ['[::1]:@PORT@']",
    ):
        hub = start_wsd(config)
        assert "no access control is configured" not in hub.log(), config


def test_a_proxy_that_nobody_has_named_is_guessed_once(start_wsd):
    named = start_wsd("[server]\ntrusted_proxies = ['10.0.0.0/8']")
    few, hub = start_wsd(), start_wsd()
    clients = [hub.connect() for _ in range(101)] + [named.connect() for _ in range(101)] + [few.connect() for _ in range(50)]
    hint = "all clients come from 127.0.0.1: if that is a proxy, name it in server.trusted_proxies"
    hub.wait_for_log(hint)
    # The others have looked as often.
    again = start_wsd()
    clients += [again.connect() for _ in range(101)]
    again.wait_for_log(hint)
    assert (hub.log().count(hint), named.log().count(hint), few.log().count(hint)) == (1, 0, 0)
    assert len(clients) > 300


def test_tokens_are_asked_for_from_a_reload_on_and_no_more_from_another(start_wsd, wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text("a secret of thirty-two bytes or more")
    secret.chmod(0o600)
    hub = start_wsd()
    text = hub.config_path.read_text()
    asking = f'{text}\n[auth]\nmode = "jwt"\nhmac_secret_file = "{secret}"\n'
    with connect(hub.url("/ws")) as relay, JSONClient(hub.port) as guest:
        assert hub.wsctl("token", "--user", "alice").returncode != 0
        # What is wrong with a key keeps everything as it was.
        hub.config_path.write_text(asking.replace(str(secret), "/nowhere/secret"))
        refused = hub.wsctl("reload")
        assert refused.returncode == 78 and f"{hub.config_path}:" in refused.stderr
        relay.send("still here")
        assert relay.recv(timeout=DEADLINE) == "still here"
        hub.config_path.write_text(asking)
        assert reload_of(hub) == {"changed": ["auth.mode", "auth.hmac_secret_file"], "needsRestart": []}
        for client in (relay, guest.socket):
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    client.recv(timeout=DEADLINE)
            assert closed.value.rcvd.code == 3000 and "token" in closed.value.rcvd.reason
    with pytest.raises(websockets.InvalidStatus) as unasked:
        connect(hub.url("/ws"))
    assert unasked.value.response.status_code == 401
    token = hub.wsctl("token", "--user", "alice").stdout.strip()
    with JSONClient(hub.port, path=f"/chat?token={token}") as alice:
        assert alice.user == "alice"
        assert "not_permitted" in hub.wsctl("why", "--limit", "10").stdout
        hub.config_path.write_text(text)
        assert set(reload_of(hub)["changed"]) == {"auth.mode", "auth.hmac_secret_file"}
        with JSONClient(hub.port) as guest:
            assert guest.user.startswith("guest-")
            alice.ok("chat", channel="lobby", data=1)
            assert guest.next("chat")["from"] == "alice"
        assert hub.wsctl("token", "--user", "bob").returncode != 0
    # And again, by the same keys.
    hub.config_path.write_text(asking)
    assert "auth.mode" in reload_of(hub)["changed"]
    with JSONClient(hub.port, path=f"/chat?token={token}") as alice:
        assert alice.user == "alice"
