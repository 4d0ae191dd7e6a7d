"""The control sockets and wsctl, with clients that are there: what is shown is so, and what is ordered happens."""

import contextlib
import grp
import json
import os
import pty
import pwd
import re
import socket
import subprocess
import sys
import termios
import time

import pytest
import varlink
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_client

from jsonclient import JSONClient
from waiting import DEADLINE, wait_until
from wsdaemon import REPOSITORY, binary, clean_environment

CONNECTION_KEYS = {
    "address", "bytesIn", "bytesOut", "channels", "connectedSince", "droppedMessages", "endpoint", "id", "idleSeconds",
    "messagesIn", "messagesOut", "port", "protocol", "queuedBytes", "state",
}  # fmt: skip


def client(daemon, path="/ws", **options):
    return open_client(daemon.url(path), proxy=None, compression=None, ping_interval=None, **options)


@contextlib.contextmanager
def clients(daemon, *paths, **options):
    """Clients on some endpoints, once all of them are listed."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(client(daemon, path, **options)) for path in paths]
        daemon.wait_for_connections(len(paths))
        yield opened


def row_of(daemon, opened):
    """The row of the list for one client."""
    port = opened.socket.getsockname()[1]
    [row] = [row for row in daemon.connections() if row["port"] == port]
    return row


def close_of(opened):
    """The code and the reason that a client was closed with."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            opened.recv(timeout=DEADLINE)
    return closed.value.rcvd.code, closed.value.rcvd.reason


def json_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class RawVarlink:
    """A client that sends whatever bytes a test wants."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, message):
        self.socket.sendall(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\0")

    def receive(self):
        """The next reply, or None at the end."""
        while b"\0" not in self.rest:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not piece:
                return None
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        self.send({"method": method, "parameters": parameters})
        return self.receive()


# What is shown.


def test_status_tells_what_the_hub_does(daemon):
    with clients(daemon, "/ws", "/ws", "/ws"):
        status = json_of(daemon.wsctl("status", "--json"))
        assert status["connections"] == 3
        assert sum(status["connectionsPerWorker"]) == 3 and len(status["connectionsPerWorker"]) == 2
        assert status["accepted"] >= 3
        assert status["pid"] == daemon.pid
        assert status["state"] == "running"
        assert any(listener.endswith(f":{daemon.port}") for listener in status["listeners"])
        assert status["configurationFiles"] == [str(daemon.config_path)]

        text = daemon.wsctl("status")
        assert text.returncode == 0 and text.stderr == ""
        assert re.search(r"connections: 3 of at most \d+", text.stdout)
        assert re.search(r"state: running, for \d+s", text.stdout)


def test_list_tells_who_is_connected(daemon):
    with clients(daemon, "/ws", "/ws", user_agent_header="tester/1.0") as (first, second):
        first.send("hello")
        assert first.recv() == second.recv() == "hello"
        wait_until(lambda: row_of(daemon, first)["messagesIn"] == 1, "the message is counted")
        row, other = row_of(daemon, first), row_of(daemon, second)
        assert CONNECTION_KEYS <= row.keys()
        assert row["address"] == "127.0.0.1"
        assert row["endpoint"] == "/ws" and row["protocol"] == "relay" and row["channels"] == ["lobby"]
        assert row["userAgent"] == "tester/1.0" and row["state"] == "open"
        assert row["messagesOut"] == 1 and row["bytesIn"] >= 5 and row["bytesOut"] >= 5
        assert other["messagesIn"] == 0 and other["messagesOut"] == 1
        assert row["id"] != other["id"]
        assert row["queuedBytes"] == 0 and row["droppedMessages"] == 0
        assert 0 <= row["idleSeconds"] < DEADLINE
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["connectedSince"])

        lines = daemon.wsctl("list").stdout.splitlines()
        assert lines[0].split() == "ID ADDRESS USER ENDPOINT CHANNELS AGE IDLE IN OUT QUEUED USER AGENT".split()
        assert {line.split()[0] for line in lines[1:]} == {row["id"], other["id"]}
        assert len(daemon.wsctl("list", "--no-legend").stdout.splitlines()) == 2


def test_idle_time_is_since_the_last_frame_of_the_peer(daemon):
    tick = 0.1  # what the daemon's clock may be behind
    with clients(daemon, "/ws") as (idle,):
        wait_until(lambda: row_of(daemon, idle)["idleSeconds"] > 1, "it is idle")
        before = time.monotonic()
        idle.send("x")
        idle.recv()
        after = time.monotonic()
        row, looked = row_of(daemon, idle), time.monotonic()
        assert row["idleSeconds"] <= looked - before + tick
        wait_until(lambda: row_of(daemon, idle)["idleSeconds"] > 0.2, "it is idle again")
        looked = time.monotonic()
        assert row_of(daemon, idle)["idleSeconds"] >= looked - after - tick


def test_list_selects_what_every_option_holds_for(daemon):
    with clients(daemon, "/ws", "/ws") as (first, _):
        everyone = {row["id"] for row in daemon.connections()}

        def selected(*options):
            result = daemon.wsctl("list", "--json", *options)
            rows = {json.loads(line)["id"] for line in result.stdout.splitlines()}
            assert result.returncode == (0 if rows else 1)
            return rows

        for options in (["--ip", "127.0.0.1"], ["--ip", "127.0.0.0/8"], ["--channel", "lobby"], ["--endpoint", "/ws"]):
            assert selected(*options) == everyone, options
        for options in (
            ["--ip", "192.0.2.0/24"], ["--ip", "2001:db8::/32"], ["--channel", "other"], ["--endpoint", "/chat"],
            ["--user", "ada"], ["--channel", "lobby", "--ip", "10.0.0.0/8"],
        ):  # fmt: skip
            assert selected(*options) == set(), options


def test_list_of_nobody_is_no_failure(daemon):
    result = daemon.wsctl("list")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "no connections\n")
    result = daemon.wsctl("list", "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_show_tells_about_one_connection(daemon):
    with clients(daemon, "/ws", user_agent_header="tester/1.0") as (only,):
        row = row_of(daemon, only)
        shown = json_of(daemon.wsctl("show", "--json", row["id"]))
        assert {key: shown[key] for key in ("id", "port", "userAgent")} == {
            key: row[key] for key in ("id", "port", "userAgent")
        }
        text = daemon.wsctl("show", row["id"]).stdout
        assert f"id: {row['id']}\n" in text and "user agent: tester/1.0\n" in text

        for unknown in ("zzzzzzzzz", "nonsense", ""):
            result = daemon.wsctl("show", unknown)
            assert (result.returncode, result.stdout) == (1, "")
            assert f"no connection {unknown}" in result.stderr


@pytest.mark.parametrize("agent", ["\x9b31mred", "tab\there", "right\u202eleft", "日本語"])
def test_what_a_client_says_of_itself_cannot_move_the_cursor(daemon, agent):
    # The client of the tests takes each character for a byte.
    hostile = daemon.connect("/ws", headers=[("User-Agent", agent.encode().decode("latin-1"))])
    try:
        daemon.wait_for_connections(1)
        for command in (["list"], ["show", daemon.connections()[0]["id"]], ["list", "--json"]):
            output = daemon.wsctl(*command).stdout
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", output), command
            if command[-1] != "--json":
                assert "\u202e" not in output
    finally:
        hostile.close()


def test_many_connections_are_listed_once_each(start_wsd):
    daemon = start_wsd(workers=4)
    with contextlib.ExitStack() as stack:
        for _ in range(700):
            stack.callback(daemon.connect("/ws").close)
        daemon.wait_for_connections(700)
        ids = [row["id"] for row in daemon.connections()]
        assert len(ids) == len(set(ids)) == 700
        assert len(daemon.wsctl("list", "--no-legend").stdout.splitlines()) == 700

        # One page at a time, and a stream of pages, give the same.
        with varlink.Client(f"unix:{daemon.control}").open("io.wsd.Control") as control:
            paged, after = [], None
            while True:
                page = control.List(limit=99, after=after)
                assert len(page["connections"]) <= 99
                paged += [row["id"] for row in page["connections"]]
                after = page.get("next")
                if after is None:
                    break
            streamed = [row["id"] for page in control.List(_more=True) for row in page["connections"]]
        assert sorted(paged) == sorted(streamed) == sorted(ids)


def test_a_reader_of_the_list_may_stop(daemon):
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.callback(daemon.connect("/ws").close)
        daemon.wait_for_connections(600)
        command = f"{binary('wsctl')} list --json | head -n 1"
        result = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            env=clean_environment(WSD_SOCKET=daemon.control), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout)["endpoint"] == "/ws"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_lines_that_fit_and_colour_unless_told_not_to(daemon, no_color):
    with clients(daemon, "/ws", user_agent_header="x" * 300):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        environment = clean_environment(WSD_SOCKET=daemon.control, TERM="xterm", NO_COLOR=no_color)
        with subprocess.Popen([binary("wsctl"), "list"], env=environment, stdout=theirs) as process:
            os.close(theirs)
            output = b""
            with contextlib.suppress(OSError):  # The end of a terminal.
                while piece := os.read(ours, 65536):
                    output += piece
            os.close(ours)
        assert process.returncode == 0
        header, row = output.decode().splitlines()
        assert header.startswith("\x1b[1mID ") == (no_color == "")
        assert len(row) == 100 and row.endswith("x…")


# What is ordered.


def test_kick_closes_the_connections_named(daemon):
    with clients(daemon, "/ws", "/ws", "/ws") as (first, second, third):
        ids = [row_of(daemon, opened)["id"] for opened in (first, second)]
        result = daemon.wsctl("kick", *ids, "--code", "4001", "--reason", "go — now")
        assert (result.returncode, result.stdout, result.stderr) == (0, "closed 2 connections\n", "")
        assert close_of(first) == close_of(second) == (4001, "go — now")
        daemon.wait_for_connections(1)
        third.send("still here")
        assert third.recv(timeout=DEADLINE) == "still here"

        # One that is gone is named, and the others are closed all the same.
        last = row_of(daemon, third)["id"]
        some = daemon.wsctl("kick", ids[0], last, "zzzzzzzzz")
        assert (some.returncode, some.stdout) == (1, "closed 1 connection\n")
        assert f"no connection {ids[0]}\n" in some.stderr and "no connection zzzzzzzzz\n" in some.stderr
        assert last not in some.stderr and close_of(third)[0] == 1008

        again = daemon.wsctl("kick", *ids)
        assert (again.returncode, again.stdout) == (1, "")
        assert f"no connection matches {' '.join(ids)}\n" in again.stderr


@pytest.mark.parametrize(
    "selection", [["--all"], ["--ip", "127.0.0.0/8"], ["--channel", "lobby"], ["--endpoint", "/ws"]]
)
def test_kick_closes_the_connections_selected(daemon, selection):
    with clients(daemon, "/ws", "/ws") as opened:
        assert json_of(daemon.wsctl("kick", "--json", *selection)) == {"connections": 2}
        assert [close_of(one) for one in opened] == [(1008, "closed by an administrator")] * 2
        daemon.wait_for_connections(0)
        assert daemon.wsctl("kick", *selection).returncode == 1


def test_kick_is_in_the_log_with_who_did_it(daemon):
    with clients(daemon, "/ws") as (only,):
        daemon.wsctl("kick", "--all", "--reason", "for the record")
        close_of(only)
        line = next(line for line in daemon.log().splitlines() if "for the record" in line)
        assert str(os.getuid()) in line


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["--all", "0.1.2"], ["--all", "--ip", "10.0.0.0/8"], ["--ip", "here"], ["--all", "--code", "1006"],
        ["--all", "--code", "1002"], ["--all", "--reason", "x" * 124],
    ],
)  # fmt: skip
def test_kick_that_cannot_be_meant_closes_nobody(daemon, arguments):
    with clients(daemon, "/ws"):
        result = daemon.wsctl("kick", *arguments)
        assert result.returncode == 64 and result.stdout == "" and result.stderr
        assert len(daemon.connections()) == 1


def test_broadcast_reaches_everyone_or_a_channel(start_wsd):
    daemon = start_wsd({"endpoint": [
        {"path": "/ws", "protocol": "relay", "channel": "lobby"},
        {"path": "/news", "protocol": "relay", "channel": "news"},
    ]})  # fmt: skip
    with clients(daemon, "/ws", "/ws", "/news") as (first, second, news):
        result = daemon.wsctl("broadcast", "hello everyone")
        assert (result.returncode, result.stdout) == (0, "sent to 3 connections\n")
        assert json_of(daemon.wsctl("broadcast", "--json", "--channel", "lobby", "hello lobby")) == {"recipients": 2}
        assert json_of(daemon.wsctl("broadcast", "--json", "-", input="from standard input\n")) == {"recipients": 3}
        assert daemon.wsctl("broadcast", "--binary", "--channel", "news", "-", input=b"\x00\xff").returncode == 0
        for one in (first, second):
            received = [one.recv(timeout=DEADLINE) for _ in range(3)]
            assert received == ["hello everyone", "hello lobby", "from standard input\n"]
        assert [news.recv(timeout=DEADLINE) for _ in range(3)] == [
            "hello everyone", "from standard input\n", b"\x00\xff"
        ]  # fmt: skip

        nobody = daemon.wsctl("broadcast", "--channel", "empty", "hello?")
        assert (nobody.returncode, nobody.stdout) == (1, "")
        assert daemon.wsctl("broadcast", "--", "--not-an-option").returncode == 0


def test_broadcast_refuses_what_cannot_be_sent(daemon):
    with clients(daemon, "/ws"):
        not_text = daemon.wsctl("broadcast", "-", input=b"\xff")
        assert not_text.returncode == 1 and b"--binary" in not_text.stderr
        too_long = daemon.wsctl("broadcast", "-", input="x" * ((1 << 20) + 1))
        assert too_long.returncode == 1 and "max_message_size" in too_long.stderr
        assert daemon.wsctl("broadcast", "-", input="x" * (1 << 20)).returncode == 0


def test_a_node_without_a_broker_says_that_there_are_no_others(daemon):
    with clients(daemon, "/ws"):
        for arguments in (
            ["nodes"], ["list", "--cluster"], ["show", "--cluster", "x"], ["kick", "--cluster", "--all"],
            ["broadcast", "--cluster", "hi"], ["channels", "--cluster"], ["why", "--cluster"],
        ):  # fmt: skip
            refused = daemon.wsctl(*arguments)
            assert refused.returncode == 1 and refused.stdout == "", arguments
            assert refused.stderr == "wsctl: this node has no broker\nSee [broker] in wsd.toml(5).\n", arguments
        assert len(daemon.connections()) == 1


def test_drain_ends_the_daemon(daemon):
    with clients(daemon, "/ws", "/ws") as opened:
        result = daemon.wsctl("drain")
        assert result.returncode == 0 and result.stdout.startswith("draining 2 connections")
        assert [close_of(one)[0] for one in opened] == [1001, 1001]
    assert daemon.wait() == 0
    assert not os.path.exists(daemon.control) and not os.path.exists(daemon.status_path)


def test_drain_can_be_waited_for(daemon):
    assert json_of(daemon.wsctl("drain", "--wait", "--json"))["connectionsAtStart"] == 0
    assert daemon.wait() == 0


# Who may do what, and what goes wrong.


def test_without_a_daemon_wsctl_names_the_socket_and_the_way_out(daemon, tmp_path):
    nowhere = tmp_path / "nowhere"
    for command in (["status"], ["list"], ["show", "x"], ["kick", "--all"], ["broadcast", "x"], ["drain"]):
        result = daemon.wsctl(*command, "--socket", nowhere)
        assert (result.returncode, result.stdout) == (69, "")
        assert str(nowhere) in result.stderr and "systemctl start wsd" in result.stderr
    daemon.kill()
    assert daemon.wsctl("status").returncode == 69  # The socket file is left over.


SEEING = {
    "list": ["list"], "show": ["show", "zzzzzzzzz"], "why": ["why"], "top": ["top", "--count", "1"], "monitor": ["monitor"],
    "channels": ["channels"], "presence": ["presence", "lobby"], "history": ["history", "lobby"],
    "subscribe": ["subscribe", "lobby"], "config": ["config"], "limits": ["limits"],
}  # fmt: skip
ACTING = {"kick": ["kick", "--all"], "broadcast": ["broadcast", "x"], "drain": ["drain"]}


def test_the_status_socket_is_for_figures_only(daemon):
    def wsctl(*arguments):
        return daemon.wsctl(*arguments, "--socket", daemon.status_path)

    with clients(daemon, "/ws"):
        assert json_of(wsctl("status", "--json"))["connections"] == 1
        for command in (SEEING | ACTING).values():
            result = wsctl(*command)
            assert (result.returncode, result.stdout) == (77, ""), command
            assert "not permitted on this socket" in result.stderr
        with RawVarlink(daemon.status_path) as raw:
            for method in ("List", "Show", "Top", "Why", "Monitor", "ListChannels", "ShowChannel"):
                for interface in ("Status", "Control"):
                    for more in ({}, {"more": True}):
                        raw.send(json.dumps({"method": f"io.wsd.{interface}.{method}", **more}).encode() + b"\0")
                        assert raw.receive() == {"error": "org.varlink.service.PermissionDenied", "parameters": {}}
            for method in ("Kick", "Broadcast", "Publish", "Drain", "Reload", "MakeToken", "GetStatus", "Nope"):
                assert raw.call(f"io.wsd.Control.{method}") == {
                    "error": "org.varlink.service.PermissionDenied", "parameters": {}
                }  # fmt: skip
            reply = raw.call("io.wsd.Status.Kick", filter={"all": True})
            assert reply["error"] == "org.varlink.service.MethodNotFound"
        assert len(daemon.connections()) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_another_user_may_look_but_not_touch(daemon):
    nobody = pwd.getpwnam("nobody")

    def wsctl(*arguments, path):
        return subprocess.run(
            ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
             executable, *arguments, "--socket", path],
            env=clean_environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    # The user must get as far as the sockets, and to the program.
    os.chmod(daemon.directory, 0o755)
    os.chmod(daemon.directory.parent, 0o755)
    executable = str(daemon.directory / "wsctl")
    subprocess.run(["cp", binary("wsctl"), executable], check=True)

    for command in (["status"], *SEEING.values(), *ACTING.values()):
        result = wsctl(*command, path=daemon.control)
        assert (result.returncode, result.stdout) == (77, ""), command
        assert daemon.control in result.stderr
    with JSONClient(daemon.port) as client:
        client.ok("join", channel="secret-room")
        text = wsctl("status", path=daemon.status_path)
        whole = wsctl("status", "--json", path=daemon.status_path)
        assert text.returncode == whole.returncode == 0 and json.loads(whole.stdout)["connections"] == 1
        # Figures, and nothing that a client has or says.
        for word in ("127.0.0.1", client.welcome["user"], "secret-room", "lobby"):
            assert word not in (text.stdout + whole.stdout).replace(f"127.0.0.1:{daemon.port}", "")
        for command in (*SEEING.values(), *ACTING.values()):
            result = wsctl(*command, path=daemon.status_path)
            assert (result.returncode, result.stdout) == (77, ""), command
    # Nobody is told to join root's group; where the file names another one, that is the way in.
    advice = wsctl("list", path=daemon.control).stderr
    assert "adduser" not in advice and "sudo wsctl" in advice
    os.chown(daemon.control, -1, grp.getgrnam("games").gr_gid)
    advice = wsctl("list", path=daemon.control).stderr
    assert "This needs membership in games: sudo adduser nobody games" in advice
    os.chown(daemon.control, -1, nobody.pw_gid)
    assert wsctl("list", path=daemon.control).returncode == 0


@pytest.mark.parametrize("arguments", [["frobnicate"], ["list", "--nope"], ["show"], ["broadcast"], ["list", "--ip", "x"]])
def test_wrong_usage_is_told(daemon, arguments):
    result = daemon.wsctl(*arguments)
    assert result.returncode == 64 and result.stdout == "" and result.stderr


def test_help_and_version(daemon):
    assert re.fullmatch(r"wsctl \d+\.\d+\.\d+\n", daemon.wsctl("--version").stdout)
    for command in ("status", "list", "show", "kick", "broadcast", "drain"):
        result = daemon.wsctl(command, "--help")
        assert result.returncode == 0 and f"wsctl {command}" in result.stdout and "EXAMPLES" in result.stdout
        assert command in daemon.wsctl("--help").stdout
        for text in (result.stdout, daemon.wsctl("--help").stdout):
            assert re.findall(r"^  (\d+)  ", text.partition("EXIT STATUS")[2], re.M) == ["0", "1", "64", "69", "77", "78"]


# Any Varlink client.


@pytest.mark.parametrize("name", ["control", "status_path"])
def test_the_sockets_describe_themselves(daemon, name):
    client = varlink.Client(f"unix:{getattr(daemon, name)}")
    with client.open("org.varlink.service") as service:
        info = service.GetInfo()
        expected = ["org.varlink.service", "io.wsd.Control", "io.wsd.Status"]
        assert info["interfaces"] == [each for each in expected if name == "control" or each != "io.wsd.Control"]
        assert info["product"] == "wsd" and re.fullmatch(r"\d+\.\d+\.\d+", info["version"])
        for interface in info["interfaces"]:
            parsed = client.get_interface(interface)
            assert parsed.name == interface and parsed.doc
            assert all(member.doc for member in parsed.members.values()), "everything is documented"
            methods = {each for each in parsed.members if type(parsed.members[each]).__name__ == "_Method"}
            looking = {"GetStatus", "List", "Show", "ListChannels", "ShowChannel", "Top", "Monitor", "Why", "Nodes"}
            acting = {"Kick", "Broadcast", "Publish", "Drain", "Reload", "PlanRestart", "MakeToken", "FollowChannel", "Profile"}
            acting |= {"GetConfiguration", "SetConfiguration"}
            if interface == "io.wsd.Status":
                assert methods == {"GetStatus"} and "address" not in str(parsed.members)
            if interface == "io.wsd.Control":
                assert methods == looking | acting


def test_any_varlink_client_can_do_what_wsctl_does(daemon):
    with clients(daemon, "/ws") as (only,):
        with varlink.Client(f"unix:{daemon.control}").open("io.wsd.Control") as control:
            assert control.GetStatus()["status"]["connections"] == 1
            [row] = control.List(filter={"channel": "lobby"})["connections"]
            assert control.Show(row["id"])["connection"]["id"] == row["id"]
            assert control.Broadcast(message="by Varlink") == {"recipients": 1}
            assert only.recv(timeout=DEADLINE) == "by Varlink"
            assert control.Publish(channel="lobby", message="in a channel") == {"recipients": 1}
            assert only.recv(timeout=DEADLINE) == "in a channel"
            with pytest.raises(varlink.VarlinkError) as error:
                control.Kick({})
            assert error.value.error() == "io.wsd.Control.NothingSelected"
            assert control.Kick({"ids": [row["id"]]}, 4000, "bye") == {"connections": 1}
            with pytest.raises(varlink.VarlinkError) as error:
                control.Show("gone")
            assert error.value.error() == "io.wsd.Control.NoSuchConnection"
            assert error.value.parameters() == {"id": "gone"}
        assert close_of(only) == (4000, "bye")


def test_varlink_on_the_command_line(daemon):
    command = [sys.executable, "-m", "varlink.cli"]
    result = subprocess.run(
        [*command, "call", f"unix:{daemon.control}/io.wsd.Control.GetStatus", "{}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert json.loads(result.stdout)["status"]["state"] == "running", result.stderr


@pytest.mark.parametrize(
    ("method", "parameters", "error", "named"),
    [
        ("io.wsd.Control.Kick", {}, "InvalidParameter", {"parameter": "filter"}),
        ("io.wsd.Control.Kick", {"filter": {"chanel": "x"}}, "InvalidParameter", {"parameter": "filter.chanel"}),
        ("io.wsd.Control.Show", {"id": 5}, "InvalidParameter", {"parameter": "id"}),
        ("io.wsd.Control.Show", {"id": "x", "extra": 1}, "InvalidParameter", {"parameter": "extra"}),
        ("io.wsd.Control.List", {"limit": 1.5}, "InvalidParameter", {"parameter": "limit"}),
        ("io.wsd.Control.List", {"limit": 0}, "InvalidParameter", {"parameter": "limit"}),
        ("io.wsd.Control.List", {"after": "../.."}, "InvalidParameter", {"parameter": "after"}),
        ("io.wsd.Control.List", {"after": "0.99999999999"}, "InvalidParameter", {"parameter": "after"}),
        ("io.wsd.Control.Broadcast", {}, "InvalidParameter", {"parameter": "message"}),
        ("io.wsd.Control.Broadcast", {"data": "%"}, "InvalidParameter", {"parameter": "data"}),
        ("io.wsd.Control.Nope", {}, "MethodNotFound", {"method": "io.wsd.Control.Nope"}),
        ("com.example.Other", {}, "InterfaceNotFound", {"interface": "com.example"}),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong_and_the_next_one_answered(daemon, method, parameters, error, named):
    with RawVarlink(daemon.control) as raw:
        reply = raw.call(method, **parameters)
        assert reply == {"error": f"org.varlink.service.{error}", "parameters": named}
        assert raw.call("io.wsd.Control.GetStatus")["parameters"]["status"]["state"] == "running"


@pytest.mark.parametrize(
    "message",
    [
        b"nonsense\0", b"\0", b"[]\0", b"{}\0", b'{"method":5}\0', b'{"method":"a.b.C","more":"x"}\0', b"\xff\xfe\0",
        b"GET / HTTP/1.1\r\n\r\n\0", b"[" * 100_000 + b"\0", b'{"x":' * 100_000 + b"\0",
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_not_varlink_ends_its_connection_only(daemon, message):
    with RawVarlink(daemon.control) as raw:
        raw.send(message)
        assert raw.receive() is None
    assert daemon.wsctl("status").returncode == 0


def test_a_call_without_end_is_cut_off(daemon):
    for path, limit in ((daemon.control, 17 << 20), (daemon.status_path, 1 << 20)):
        with RawVarlink(path) as raw:
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(limit // 65536 + 16):
                    raw.send(b"x" * 65536)
    assert daemon.resident_bytes < 200 << 20
    assert daemon.wsctl("status").returncode == 0


def test_a_client_that_does_not_read_holds_up_nobody(daemon):
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.callback(daemon.connect("/ws").close)
        daemon.wait_for_connections(600)
        before = daemon.resident_bytes
        stuck = [stack.enter_context(RawVarlink(daemon.control)) for _ in range(20)]
        for raw in stuck:
            # Each asks for some 20 MB, and reads none of it.
            with contextlib.suppress(BlockingIOError):
                raw.socket.setblocking(False)
                raw.send(b'{"method":"io.wsd.Control.List","more":true}\0' * 100)
        began = time.monotonic()
        assert len(daemon.connections()) == 600
        assert time.monotonic() - began < DEADLINE
        assert daemon.resident_bytes - before < 64 << 20
    assert daemon.wsctl("status").returncode == 0


def test_pipelined_calls_are_answered_in_order_though_the_client_has_finished(daemon):
    with RawVarlink(daemon.control) as raw:
        ids = [f"x{number}" for number in range(50)]
        for each in ids:
            raw.send({"method": "io.wsd.Control.Show", "parameters": {"id": each}})
        raw.send(b'{"half a mess')
        raw.socket.shutdown(socket.SHUT_WR)
        assert [raw.receive()["parameters"]["id"] for _ in ids] == ids
        assert raw.receive() is None


def test_a_one_way_call_is_carried_out_though_the_client_is_gone(daemon):
    with clients(daemon, "/ws") as (only,):
        with RawVarlink(daemon.control) as raw:
            raw.send({"method": "io.wsd.Control.Broadcast", "oneway": True, "parameters": {"message": "one way"}})
        assert only.recv(timeout=DEADLINE) == "one way"


def test_a_second_daemon_does_not_take_the_socket_from_the_first(daemon):
    second = subprocess.run(
        [binary("wsd"), "--config", "/dev/null", "--listen", "127.0.0.1:0", "--control", daemon.control],
        env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert second.returncode != 0
    assert daemon.control in second.stderr
    assert daemon.wsctl("status").returncode == 0


def test_a_left_over_socket_is_replaced(start_wsd):
    first = start_wsd()
    control = first.control
    first.kill()
    assert os.path.exists(control)
    second = start_wsd({"control": {"path": control}})
    assert json_of(first.wsctl("status", "--json"))["pid"] == second.pid
    mode = os.stat(control).st_mode & 0o777
    assert mode == 0o660


def test_every_command_is_in_the_manual_with_an_example(daemon):
    """wsctl(1) and the program can't drift apart: commands, their options, and an example of each."""
    manual = (REPOSITORY / "man/wsctl.1").read_text()
    helped = subprocess.run([binary("wsctl"), "--experimental-dump-help"], capture_output=True, text=True, check=True)
    examples = manual[manual.index(".Sh EXAMPLES") :]
    common = {"socket", "json", "no-legend", "quiet", "version", "help"}
    for command in json.loads(helped.stdout)["command"]["subcommands"]:
        name = command["commandName"]
        if name == "help":
            continue
        assert f"\n.Cm {name}\n" in manual, f"{name} is not in the synopsis"
        assert f"\n.It Cm {name}" in manual, f"{name} is not described"
        assert re.search(rf"\bwsctl {name}\b", examples), f"{name} has no example"
        for argument in command["arguments"]:
            for option in argument.get("names") or []:
                if option["kind"] == "long" and option["name"] not in common:
                    assert f"\n.It Fl \\-{option['name']}" in manual, f"{name} --{option['name']} is not described"


@pytest.mark.parametrize("name, page", [("wsd", "wsd.8"), ("wsbench", "wsbench.1")])
def test_every_option_is_in_the_manual(name, page):
    """The other programs' options can't drift from their manuals either."""
    manual = (REPOSITORY / "man" / page).read_text()
    helped = subprocess.run([binary(name), "--experimental-dump-help"], capture_output=True, text=True, check=True)

    def options(command):
        for argument in command.get("arguments", []):
            yield from (each["name"] for each in argument.get("names") or [] if each["kind"] == "long")
        for subcommand in command.get("subcommands", []):
            if subcommand["commandName"] != "help":
                assert f"Cm {subcommand['commandName']}" in manual
                yield from options(subcommand)

    named = set(options(json.loads(helped.stdout)["command"]))
    missing = {each for each in named - {"help", "version"} if not re.search(rf"Fl \\-{each}\b", manual)}
    assert named and missing == set()
