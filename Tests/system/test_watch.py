"""The operator's view: wsctl's commands that watch, explain, set and follow."""

import json
import re
import subprocess
import threading

import pytest
import varlink
from websockets.sync.client import connect

from jsonclient import JSONClient
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment


class Follower:
    """A wsctl that runs on; its lines as they come."""

    def __init__(self, hub, *arguments):
        self.lines = []
        self.notes = []
        self.process = subprocess.Popen(
            [binary("wsctl"), *arguments],
            env=clean_environment(WSD_SOCKET=hub.control),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.notes)):
            threading.Thread(target=lambda s=stream, l=lines: l.extend(s), daemon=True).start()
        wait_until(lambda: self.notes, "it has begun")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait_for(self, count):
        return wait_until(lambda: len(self.lines) >= count and self.lines, f"{count} lines have come")


def test_monitor_shows_what_happens_as_it_happens(start_wsd):
    hub = start_wsd("[queue]\nlimit = '4KiB'")
    with Follower(hub, "monitor", "--json") as everything, Follower(hub, "monitor", "--kind", "refuse") as refusals:
        with JSONClient(hub.port) as client:
            name = client.welcome["connection"]
        hub.wire().send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        assert hub.wsctl("limits", "limits.channels=7").returncode == 0
        events = [json.loads(line) for line in everything.wait_for(4)]
        assert {each["kind"] for each in events} == {"connect", "close", "refuse", "reload"}
        closed = next(each for each in events if each["kind"] == "close")
        assert (closed["id"], closed["cause"], closed["code"]) == (name, "peer_closed", 1000)
        assert closed["user"] == client.welcome["user"] and closed["endpoint"] == "/chat"
        assert "limits.channels" in next(each for each in events if each["kind"] == "reload")["text"]
        [refused] = refusals.wait_for(1)
        assert re.search(r"refuse +127\.0\.0\.1 not_found ", refused)
    # Nobody watches any more: the unremarkable is not reported.
    with connect(hub.url()) as again:
        again.send("x")
        assert again.recv(timeout=DEADLINE) == "x"


def test_a_monitor_that_does_not_read_loses_events_and_holds_up_nobody(daemon):
    control = varlink.Client(f"unix:{daemon.status_path}").open("io.wsd.Status")
    events = control.Monitor(_more=True)
    assert next(events) == {"events": [], "lost": 0}
    for _ in range(40):
        clients = [daemon.connect("/ws") for _ in range(200)]
        for client in clients:
            client.reset()
        daemon._clients.clear()
    with connect(daemon.url()) as client:
        client.send("nobody is held up")
        assert client.recv(timeout=DEADLINE) == "nobody is held up"
        name = daemon.connections()[0]["id"]
    seen = lost = 0
    for reply in events:
        seen += len(reply["events"])
        lost = reply["lost"]
        if any(each.get("id") == name and each["kind"] == "close" for each in reply["events"]) or lost > 0:
            break
    assert seen > 0
    control.close()


def test_why_explains_a_close_and_a_refusal(start_wsd):
    hub = start_wsd("[server]\nmax_connections = 2")
    with connect(hub.url()) as kicked, JSONClient(hub.port) as guest:
        row = next(row for row in hub.connections() if row["endpoint"] == "/ws")
        assert connect_fails(hub)
        hub.wsctl("kick", row["id"], "--reason", "enough\u202e of this")
        with pytest.raises(Exception):
            kicked.recv(timeout=DEADLINE)
        told = hub.wsctl("why", row["id"])
        assert told.returncode == 0 and 'kicked (1008) after 0s "enough\\u202e of this"' in told.stdout
        told = [json.loads(line) for line in hub.wsctl("why", "127.0.0.0/8", "--json").stdout.splitlines()]
        assert {each["cause"] for each in told} == {"kicked", "connection_limit"}
        told = hub.wsctl("why", guest.welcome["user"])
        assert told.returncode == 0 and told.stdout == "" and "connected now" in told.stderr
        nothing = hub.wsctl("why", "nobody-of-this-name")
        assert nothing.returncode == 1 and "nothing is known" in nothing.stderr
        assert len(hub.wsctl("why", "--limit", "1").stdout.splitlines()) == 1
        assert hub.wsctl("why", "--limit", "0").returncode == 64


def connect_fails(hub):
    with pytest.raises(Exception) as refused:
        connect(hub.url())
    return refused.value.response.status_code == 503


def test_subscribe_follows_a_channel(daemon):
    with Follower(daemon, "subscribe", "lobby", "--count", "4") as plain, Follower(
        daemon, "subscribe", "lobby", "--json"
    ) as rows:
        with connect(daemon.url()) as relay, JSONClient(daemon.port) as client:
            relay.send("hello \x1b[31m")
            assert client.next("chat")["data"] == "hello \x1b[31m"
            relay.send(b"\x00\x01")
            client.ok("chat", data=[1.50])
            assert daemon.wsctl("publish", "lobby", "by hand").stdout == "sent to 2 connections\n"
            lines = plain.wait_for(4)
            assert lines[0] == "hello \\x1b[31m\n" and "AAE=\n" in lines and lines[-1] == "by hand\n"
            assert any('"data":[1.5]' in line or '"data":[1.50]' in line for line in lines)
            assert plain.process.wait(DEADLINE) == 0
            assert json.loads(rows.wait_for(4)[0])["message"] == "hello \x1b[31m"
    refused = varlink.Client(f"unix:{daemon.status_path}").open("io.wsd.Control")
    with pytest.raises(varlink.VarlinkError) as error:
        next(refused.FollowChannel("lobby", _more=True))
    assert error.value.error() == "org.varlink.service.PermissionDenied"
    refused.close()


def test_publish_says_where_it_goes_and_is_kept(start_wsd):
    hub = start_wsd('[channels."room:*"]\nhistory = 10')
    assert hub.wsctl("publish", "room:1", '{"a": 1.50}').stdout == "sent to 0 connections\n"
    assert hub.wsctl("publish", "--json", "room:1", "-", input="text").stdout == '{"recipients":0}\n'
    assert [json.loads(line)["data"] for line in hub.wsctl("history", "room:1").stdout.splitlines()] == [
        {"a": 1.5},
        "text",
    ]


def test_limits_are_read_and_set(daemon):
    shown = daemon.wsctl("limits").stdout
    assert "limits.messages_per_second = 0  # default\n" in shown and "queue.policy" in shown
    assert daemon.wsctl("limits", "limits.messages_per_second=50", "queue.policy=drop-oldest").stdout == (
        "set: queue.policy, limits.messages_per_second\n"
    )
    rows = {row["key"]: row for row in map(json.loads, daemon.wsctl("limits", "--json").stdout.splitlines())}
    assert rows["limits.messages_per_second"] == {
        "key": "limits.messages_per_second",
        "live": True,
        "origin": "wsctl",
        "value": "50",
    }
    diff = daemon.wsctl("config", "--diff").stdout.splitlines()
    assert "limits.messages_per_second: 50 -> 0 (reload)" in diff
    for wrong in ("limits.nope=1", "queue.limit=1", "server.workers=3", "auth.issuer=x", "queue.policy=", "x=\n[a]"):
        refused = daemon.wsctl("limits", "limits.burst=9", wrong)
        assert refused.returncode == 78 and wrong.split("=")[0] in refused.stderr, refused.stderr
    assert "limits.burst = 0" in daemon.wsctl("config", "limits").stdout
    assert daemon.wsctl("limits", "nonsense").returncode == 64
    assert "by default" not in daemon.log() and "asked to set limits.messages_per_second = 50" in daemon.log()


def test_the_log_level_is_read_and_set(daemon):
    assert daemon.wsctl("log-level").stdout == 'log.level = "info"  # default\n'
    assert daemon.wsctl("log-level", "debug").returncode == 0
    with connect(daemon.url()):
        daemon.wait_for_log("connection opened")
    assert daemon.wsctl("log-level", "loud").returncode == 78
    assert daemon.wsctl("config", "log").stdout == 'log.level = "debug"  # wsctl\n'


def test_top_is_printed_where_there_is_no_terminal(daemon):
    with connect(daemon.url()) as client:
        for _ in range(10):
            client.send("x")
        reply = json.loads(daemon.wsctl("top", "--count", "1", "--json", "--order", "messagesIn").stdout)
        assert reply["status"]["connections"] == 1 and reply["connections"][0]["messagesIn"] == 10
        [channel] = reply["channels"]
        assert (channel["name"], channel["connections"], channel["messages"]) == ("lobby", 1, 10)
        assert channel["messagesPerSecond"] > 0
        text = daemon.wsctl("top", "--count", "2", "--interval", "0.1").stdout
        assert text.count("lobby") >= 2 and "1 of " in text
    assert daemon.wsctl("top", "--order", "beauty").returncode == 64
    assert daemon.wsctl("top", "--interval", "0").returncode == 64


class Tmux:
    """A terminal that a person would sit at."""

    def __init__(self, directory, command, size=(100, 30)):
        self.socket = str(directory / "tmux")
        self.run("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), command)

    def run(self, *arguments):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def wait_for(self, text):
        wait_until(lambda: text in self.screen(), f"the screen shows {text!r}")
        return self.screen()

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


def test_top_on_a_terminal(daemon, wsd_directory):
    """It fills the screen, takes keys, follows the window's size, and leaves everything as it was."""
    command = f"env WSD_SOCKET={daemon.control} {binary('wsctl')} top --interval 0.2; stty -a; echo left $?; exec sleep 300"
    with connect(daemon.url()) as client, connect(daemon.url()):
        client.send("x")
        terminal = Tmux(wsd_directory, command)
        try:
            screen = terminal.wait_for("by queuedBytes")
            assert "2 of " in screen and "lobby" in screen and "127.0.0.1" in screen
            terminal.keys("i")
            terminal.wait_for("by messagesIn")
            terminal.keys("L")
            terminal.wait_for("by idle")
            terminal.run("resize-window", "-x", "60", "-y", "12")
            wait_until(lambda: all(len(line) <= 60 for line in terminal.screen().splitlines()), "lines are cut")
            terminal.wait_for("by idle")
            terminal.keys("q")
            screen = terminal.wait_for("left 0")
            assert "by idle" not in screen, "the screen of before is back"
            settings = terminal.run("capture-pane", "-p", "-S", "-50")
            assert {"icanon", "echo", "isig"} <= set(settings.split())
        finally:
            terminal.close()


@pytest.mark.parametrize("ending", ["C-c", "TERM"])
def test_top_gives_the_terminal_back_however_it_ends(daemon, wsd_directory, ending):
    command = f"env WSD_SOCKET={daemon.control} {binary('wsctl')} top; stty -a; echo left; exec sleep 300"
    terminal = Tmux(wsd_directory, command)
    try:
        terminal.wait_for("by queuedBytes")
        if ending == "C-c":
            terminal.keys("C-c")
        else:
            [pid] = subprocess.run(
                ["pgrep", "-f", f"{binary('wsctl')} top"], capture_output=True, text=True
            ).stdout.split()[-1:]
            subprocess.run(["kill", pid])
        terminal.wait_for("left")
        assert "icanon" in terminal.run("capture-pane", "-p", "-S", "-50").split()
    finally:
        terminal.close()


def test_shells_complete_names_from_the_daemon(daemon):
    with JSONClient(daemon.port) as client:
        client.ok("join", channel="room:1")
        for shell in ("bash", "zsh", "fish"):
            script = subprocess.run([binary("wsctl"), "--generate-completion-script", shell], capture_output=True)
            assert script.returncode == 0 and b"---completion" in script.stdout
        environment = clean_environment(WSD_SOCKET=daemon.control, SAP_SHELL="bash")
        completed = subprocess.run(
            [binary("wsctl"), "---completion", "presence", "--", "positional@0", "1", "0", "wsctl presence r"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert "room:1" in completed.stdout, completed
        completed = subprocess.run(
            [binary("wsctl"), "---completion", "show", "--", "positional@0", "1", "0", ""],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert client.welcome["connection"] in completed.stdout, completed
