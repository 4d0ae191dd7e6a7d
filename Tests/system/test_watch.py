"""The operator's view: wsctl's commands that watch, explain, set and follow."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from pathlib import Path

import pytest
import varlink
from websockets.sync.client import connect

from jsonclient import JSONClient
from tmux import Tmux
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment


class Follower:
    """A wsctl that runs on; its lines as they come."""

    def __init__(self, hub, *arguments, begun=lambda self: self.notes):
        self.lines = []
        self.notes = []
        self.process = subprocess.Popen(
            [binary("wsctl"), *arguments],
            env=clean_environment(WSD_SOCKET=hub.control),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell without job control has those in the background ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.notes)):
            threading.Thread(target=lambda s=stream, l=lines: l.extend(s), daemon=True).start()
        wait_until(lambda: begun(self), "it has begun")

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
        assert re.search(r"refuse +127\.0\.0\.1 (/nowhere )?not_found ", refused)
    # Nobody watches any more: the unremarkable is not reported.
    with connect(hub.url()) as again:
        again.send("x")
        assert again.recv(timeout=DEADLINE) == "x"


def test_a_monitor_that_does_not_read_loses_events_and_holds_up_nobody(daemon):
    control = varlink.Client(f"unix:{daemon.control}").open("io.wsd.Control")
    events = control.Monitor(_more=True)
    assert next(events) == {"events": [], "lost": 0}
    for _ in range(40):
        clients = [daemon.connect("/ws") for _ in range(200)]
        for client in clients:
            client.reset()
        daemon._clients.clear()
    daemon.wait_for_connections(0)
    with connect(daemon.url()) as client:
        client.send("nobody is held up")
        assert client.recv(timeout=DEADLINE) == "nobody is held up"
    # Now it reads again. Each connection is two events; those that it has not seen it is told to have lost.
    seen = lost = 0
    for reply in events:
        seen += len(reply["events"])
        lost = reply["lost"]
        if seen + lost >= 2 * 8001:
            break
    assert seen + lost == 2 * 8001 and seen > 0 and lost > 0
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
        assert nothing.returncode == 1 and "no close or refusal is known that matches nobody-of-this-name\n" in nothing.stderr
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
    told = json.loads(hub.wsctl("publish", "--json", "room:1", "-", input="text").stdout)
    kept = [json.loads(line) for line in hub.wsctl("history", "room:1").stdout.splitlines()]
    assert told == {"recipients": 0, "epoch": told["epoch"], "seq": kept[-1]["seq"]} and told["seq"] == 2
    assert hub.wsctl("publish", "--json", "other", "-", input="text").stdout == '{"recipients":0}\n'
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
    assert daemon.wsctl("limits", "nonsense").returncode == 1
    assert "by default" not in daemon.log() and "asked to set limits.messages_per_second = 50" in daemon.log()


def test_the_log_level_is_read_and_set(daemon):
    assert daemon.wsctl("log-level").stdout == 'log.level = "info"  # default\n'
    assert daemon.wsctl("log-level", "debug").returncode == 0
    with connect(daemon.url()):
        daemon.wait_for_log("connection opened")
    assert daemon.wsctl("log-level", "loud").returncode == 78
    assert daemon.wsctl("config", "log.level").stdout == 'log.level = "debug"  # wsctl\n'


@contextlib.contextmanager
def traffic(client):
    """Messages from a client, all the while."""
    is_over = threading.Event()

    def send():
        while not is_over.is_set():
            client.send("x")
            client.recv(timeout=DEADLINE)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


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
        # One look is enough for rates: of what came meanwhile.
        with traffic(client):
            text = daemon.wsctl("top", "--count", "1", "--interval", "0.5").stdout
        assert text.count("wsd ") == 1 and re.search(r"in +[1-9]\d* messages/s +[1-9]", text), text
    assert daemon.wsctl("top", "--order", "beauty").returncode == 64
    assert daemon.wsctl("top", "--interval", "0").returncode == 64


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


def top_in(directory, daemon, options="", size=(100, 30)):
    """A terminal in which `wsctl top` runs, and behind it says how it ended and how the terminal is."""
    top = f"env WSD_SOCKET={daemon.control} {binary('wsctl')} top {options}"
    return Tmux(directory, f"{top}; echo left $?; stty -a; exec sleep 300", size)


def pid_of_top(daemon):
    """The process of `wsctl top`, which is the only one that has the daemon's socket in its environment's place."""
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (directory / "cmdline").read_bytes().split(b"\0")
            environment = (directory / "environ").read_bytes()
            if words[1:2] == [b"top"] and f"WSD_SOCKET={daemon.control}".encode() in environment.split(b"\0"):
                return int(directory.name)
    return None


def state_of(pid):
    """A process's state (proc(5)), such as T for stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("hangs", [False, True], ids=["answers", "hangs"])
@pytest.mark.parametrize("ending", ["C-c", "q", "TERM"])
def test_top_ends_at_once_and_gives_the_terminal_back(daemon, wsd_directory, ending, hangs):
    terminal = top_in(wsd_directory, daemon, "--interval 0.1")
    try:
        terminal.wait_for("by queuedBytes")
        if hangs:
            wait_until(lambda: stops_while_asked(daemon), "top waits for an answer")
        if ending == "TERM":
            os.kill(pid_of_top(daemon), signal.SIGTERM)
        else:
            terminal.keys(ending)
        # The last of what stty says.
        terminal.wait_for("extproc")
        assert "icanon" in terminal.run("capture-pane", "-p", "-S", "-50").split()
    finally:
        daemon.signal(signal.SIGCONT)
        terminal.close()


def stops_while_asked(daemon):
    """Stops the daemon while a request of top's waits. One that it has read already, and not answered, does not show: then it
    goes on until the next try."""
    daemon.signal(signal.SIGSTOP)
    try:
        return wait_until(lambda: is_asking(daemon), "top asks", deadline=2)
    except AssertionError:
        daemon.signal(signal.SIGCONT)


def is_asking(daemon):
    """Whether something waits to be read from the daemon's control socket (ss(8))."""
    rows = subprocess.run(["ss", "-xH", "src", daemon.control], capture_output=True, text=True).stdout.splitlines()
    return any(int(row.split()[2]) > 0 for row in rows)


def test_top_takes_every_key_that_is_typed(daemon, wsd_directory):
    terminal = top_in(wsd_directory, daemon, "--interval 60")
    try:
        terminal.wait_for("by queuedBytes")
        # All at once, with arrows between, which are no letters: left is ESC [ D.
        terminal.run("send-keys", "i", "Left", "+", "I", "Left", "?", "o", "Left")
        screen = terminal.wait_for("by messagesOut")
        assert "refresh less often" in screen and "by bytes queued" in screen
        terminal.keys("?")
        wait_until(lambda: "refresh less often" not in terminal.screen(), "the keys are hidden")
        terminal.run("send-keys", "L", "q", "D")
        assert "left 0" in terminal.wait_for("left")
    finally:
        terminal.close()


def test_top_says_what_keys_do_as_wide_as_the_terminal_is(daemon, wsd_directory):
    terminal = top_in(wsd_directory, daemon, "--interval 0.1", size=(140, 30))
    try:
        assert "Q queued" in terminal.wait_for("by queuedBytes") and "- faster" in terminal.screen()
        terminal.run("resize-window", "-x", "60", "-y", "20")
        screen = wait_until(
            lambda: (now := terminal.screen()) and "faster" not in now and "? keys" in now and now, "keys fit"
        )
        assert "q quit" in screen and all(len(line) <= 60 for line in screen.splitlines())
        # What doesn't fit beside another stands below it.
        header = screen.partition("\n\n")[0]
        assert "slow clients" in header and "out " in header and "…" not in header
    finally:
        terminal.close()


@pytest.mark.parametrize("way", ["C-z", "TSTP", "STOP"])
def test_top_can_be_stopped_and_go_on(daemon, wsd_directory, way):
    terminal = Tmux(wsd_directory, f"exec env WSD_SOCKET={daemon.control} PS1='$ ' bash --norc -i")
    try:
        terminal.type(f"{binary('wsctl')} top --interval 0.1")
        terminal.keys("Enter")
        terminal.wait_for("by queuedBytes")
        pid = pid_of_top(daemon)
        if way == "C-z":
            terminal.keys("C-z")
        else:
            os.kill(pid, getattr(signal, f"SIG{way}"))
        wait_until(lambda: state_of(pid) == "T", "it is stopped")
        if way != "STOP":
            # The shell's own screen is back, with its prompt, and what is typed there is seen.
            terminal.wait_for("Stopped")
            terminal.type("echo the sh''ell is here; stty -a")
            terminal.keys("Enter")
            terminal.wait_for("the shell is here")
        terminal.keys("Enter")
        terminal.type("fg")
        terminal.keys("Enter")
        terminal.wait_for("by queuedBytes")
        terminal.keys("L")
        terminal.wait_for("by idle")
        terminal.keys("q")
        wait_until(lambda: "by idle" not in terminal.screen(), "the screen of before is back")
    finally:
        terminal.close()


def test_stopping_top_stops_the_whole_command(daemon, wsd_directory):
    """Control-Z in a script that runs top stops the script, too, or the shell would not get its terminal back."""
    terminal = Tmux(wsd_directory, f"exec env WSD_SOCKET={daemon.control} PS1='$ ' bash --norc -i")
    try:
        terminal.type(f"bash -c '{binary('wsctl')} top --interval 0.1; true'")
        terminal.keys("Enter")
        terminal.wait_for("by queuedBytes")
        pid = pid_of_top(daemon)
        terminal.keys("C-z")
        terminal.wait_for("Stopped")
        terminal.type("fg")
        terminal.keys("Enter")
        terminal.wait_for("by queuedBytes")
        assert state_of(pid) != "T"
    finally:
        terminal.close()


def test_top_leaves_the_last_of_so_many_looks(daemon, wsd_directory):
    with connect(daemon.url()):
        terminal = top_in(wsd_directory, daemon, "--count 1")
        try:
            screen = terminal.wait_for("left 0")
            assert "1 of " in screen and "by queuedBytes" in screen and "127.0.0.1" in screen
        finally:
            terminal.close()


def test_a_terminal_that_only_prints_is_no_screen(daemon):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [binary("wsctl"), "top", "--count", "2", "--interval", "0.1"]
    environment = clean_environment(WSD_SOCKET=daemon.control, TERM="dumb")
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        output = b""
        with contextlib.suppress(OSError):  # The end of a terminal.
            while piece := os.read(ours, 65536):
                output += piece
        os.close(ours)
    assert process.returncode == 0 and b"\x1b" not in output and output.count(b"by queuedBytes") == 2


# When the daemon ends.


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "command",
    [["monitor", "--wait", "0.5"], ["subscribe", "lobby"], ["top", "--interval", "0.1", "--json", "--wait", "0.5"]],
)
def test_the_end_of_the_daemon_is_told_to_who_watches(start_wsd, command, way):
    hub = start_wsd()
    with Follower(hub, *command, begun=lambda self: self.lines if command[0] == "top" else self.notes) as follower:
        hub.stop(way)
        assert follower.process.wait(DEADLINE) == 69
        wait_until(lambda: any("the daemon has ended" in line for line in follower.notes), "it is said")
        assert sum("following" in line or "watching" in line for line in follower.notes) <= 1


def test_top_on_a_terminal_says_that_the_daemon_has_ended(daemon, wsd_directory):
    terminal = top_in(wsd_directory, daemon, "--interval 0.1 --wait 0.5")
    try:
        terminal.wait_for("by queuedBytes")
        assert daemon.stop() == 0
        assert "the daemon has ended" in terminal.wait_for("left 69")
    finally:
        terminal.close()


def test_a_profile_that_is_cut_short_is_written_and_told(daemon):
    with Follower(daemon, "profile", "cpu", "--seconds", "200", "--json", begun=lambda self: True) as follower:
        daemon.wait_for_log("taking a CPU profile")
        assert daemon.stop() == 0
        assert follower.process.wait(DEADLINE) == 1
        [line] = follower.wait_for(1)
        assert json.loads(line)["data"]
        assert "cut short" in wait_until(lambda: follower.notes, "it is told")[0]


def test_a_profile_of_a_daemon_that_is_gone_is_none(daemon):
    with Follower(daemon, "profile", "cpu", "--seconds", "200", begun=lambda self: True) as follower:
        daemon.wait_for_log("taking a CPU profile")
        daemon.kill()
        assert follower.process.wait(DEADLINE) == 69 and follower.lines == []
        assert "the daemon has ended" in wait_until(lambda: follower.notes, "it is told")[0]


# What is wrong, for programs and for people.


def test_failures_are_an_object_for_programs(daemon):
    def errors(*arguments):
        done = daemon.wsctl(*arguments, "--json")
        assert done.returncode == (1 if arguments[0] == "config" else 78), done
        # A person is told the same.
        told = json.loads(done.stdout)["errors"]
        assert all(each in done.stderr for each in told) and "wsctl: wsctl:" not in done.stderr
        return told

    [error] = errors("limits", "limits.nope=1")
    assert "limits.nope" in error
    [error] = errors("log-level", "loud")
    assert "loud" in error
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(good + "\n[limits]\nchanels = 3\nburst = -1\n")
    for command in (["reload"], ["config", "--diff"]):
        told = errors(*command)
        assert len(told) == 2 and all(re.match(r".*wsd\.toml:\d+:\d+: ", each) for each in told)
    unreachable = daemon.wsctl("reload", "--json", "--socket", "/nonexistent")
    assert unreachable.returncode == 69 and "/nonexistent" in json.loads(unreachable.stdout)["errors"][0]
    # A difference is no failure to tell of.
    daemon.config_path.write_text(good + "\n[limits]\nburst = 7\n")
    rows = [json.loads(line) for line in daemon.wsctl("config", "--diff", "--json").stdout.splitlines()]
    assert [row["key"] for row in rows] == ["limits.burst"]


def test_keys_and_patterns_that_match_nothing_fail(daemon):
    for command in (["config", "nope"], ["config", "--diff", "nope"], ["limits", "nope"], ["limits", "auth.issuer"]):
        done = daemon.wsctl(*command)
        assert (done.returncode, done.stdout) == (1, "") and command[-1] in done.stderr, done
    assert daemon.wsctl("config", "--diff", "limits").returncode == 0
    none = daemon.wsctl("channels", "nope*")
    assert (none.returncode, none.stdout) == (1, "") and "no channel matches 'nope*'\n" in none.stderr
    assert daemon.wsctl("channels", "nope*", "-q").stderr == ""


def test_wrong_usage_names_the_command(daemon):
    for arguments in (
        ["limits", "a=1", "b"], ["limits", "limits.burst=1", "limits.burst=2"], ["history", "x", "--limit", "0"],
        ["why", "10.0.0.1", "--ip", "10.0.0.2"], ["why", "ada", "--user", "bob"],
    ):  # fmt: skip
        done = daemon.wsctl(*arguments)
        assert done.returncode == 64 and f"Usage: wsctl {arguments[0]}" in done.stderr, done
    both = daemon.wsctl("why", "ada", "--user", "bob").stderr
    assert "ada" in both and "--user bob" in both
    # One narrows the other where the fields differ.
    assert daemon.wsctl("why", "ada", "--ip", "10.0.0.1").returncode == 1


def test_limits_shows_every_key_that_it_sets(daemon):
    shown = [line.split(" = ")[0] for line in daemon.wsctl("limits").stdout.splitlines()]
    live = [row["key"] for row in map(json.loads, daemon.wsctl("config", "--json").stdout.splitlines()) if row["live"]]
    tables = ("server.", "websocket.", "queue.", "limits.", "drain.", "log.")
    assert shown == [key for key in live if key.startswith(tables)]
    assert {"websocket.ping_interval", "websocket.pong_timeout", "drain.period", "drain.timeout"} <= set(shown)
    assert daemon.wsctl("limits", "limits.burst", "drain").stdout.splitlines() == [
        line for line in daemon.wsctl("limits").stdout.splitlines() if line.startswith(("limits.burst ", "drain."))
    ]


def test_lists_are_tables(start_wsd):
    hub = start_wsd('[channels."room:*"]\npresence = true')
    with JSONClient(hub.port) as client, connect(hub.url()):
        client.ok("join", channel="room:1")
        user = client.welcome["user"]
        hub.wait_for_connections(2)
        rows = {line.split()[3]: line.split() for line in hub.wsctl("list").stdout.splitlines()}
        assert rows["ENDPOINT"][2] == "USER" and rows["/chat"][2] == user and rows["/ws"][2] == "-"
        lines = hub.wsctl("channels").stdout.splitlines()
        assert lines == ["CONNECTIONS  CHANNEL", "          2  lobby", "          1  room:1"]
        assert hub.wsctl("channels", "--no-legend", "room:*").stdout == "1  room:1\n"
        header, row = hub.wsctl("presence", "room:1").stdout.splitlines()
        assert header.split() == ["SINCE", "CONNECTIONS", "USER"] and row.split()[1:] == ["1", user]
        assert len(hub.wsctl("presence", "room:1", "--no-legend").stdout.splitlines()) == 1
