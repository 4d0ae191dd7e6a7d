"""wsd under a real systemd, of the oldest and the newest release that it is for."""

import contextlib
import json
import re
import select
import subprocess

import pytest
from container import SOCKETS, Installation, kill, wait_for
from container.frozen_thread import frozen, thread_named

CONTROL = "/run/wsd/io.wsd.Control"
STATUS = "/run/wsd/io.wsd.Status"
UNITS = ("wsd.service", *SOCKETS)


@contextlib.contextmanager
def held(wsd: Installation, count: int):
    """Clients that stay connected; `closes` of the process tells how they ended."""
    clients = wsd.client("hold", str(count))
    try:
        readable, _, _ = select.select([clients.stdout], [], [], 30)
        assert readable and clients.stdout.readline() == "open\n", f"{count} clients can't connect\n{wsd.log()}"
        yield clients
    finally:
        kill(clients)


def closes(clients: subprocess.Popen, timeout: float = 30) -> list[dict]:
    """The closes of all held clients, once the last of them is closed."""
    out, err = clients.communicate(timeout=timeout)
    assert clients.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def descriptor_limits(process: int) -> tuple[int, int]:
    """The soft and the hard limit of open files of a process."""
    line = re.search(r"^Max open files +(\d+) +(\d+)", open(f"/proc/{process}/limits").read(), re.MULTILINE)
    return int(line[1]), int(line[2])


def test_units_are_correct_and_leave_nothing_open(wsd):
    run = wsd.machine.run
    verified = run("systemd-analyze", "verify", "--man=no", *(f"/usr/lib/systemd/system/{unit}" for unit in UNITS))
    assert verified.stdout + verified.stderr == ""
    security = run("systemd-analyze", "security", "--offline=yes", "--threshold=3", "--no-pager", "wsd.service")
    assert "Overall exposure level for wsd.service: 0." in security.stdout


def test_first_connection_starts_the_daemon(wsd):
    assert wsd.show("ActiveState") == "inactive"
    assert wsd.talk("hello") == "hello"
    assert wsd.show("ActiveState") == "active"
    assert wsd.show("SubState") == "running"


def test_first_call_on_the_control_socket_starts_the_daemon(wsd):
    wsd.machine.run("wsctl", "status")
    assert wsd.show("ActiveState") == "active"


def test_active_means_that_it_answers(wsd):
    wsd.machine.run("systemctl", "stop", "wsd.socket", "wsd-api.socket", "wsd-control.socket", "wsd-status.socket")
    wsd.machine.run("systemctl", "start", "wsd.service")
    assert wsd.show("ActiveState") == "active"
    # The service pulled its sockets in, and they were handed over before it said that it is ready.
    for unit in UNITS[1:]:
        assert wsd.show("SubState", unit) == "running"
    assert wsd.talk("hello") == "hello"


def test_the_sandbox_is_in_force(wsd):
    wsd.configure("[server]\nmax_connections = 1000\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    process = wsd.machine.host_pid(int(wsd.show("MainPID")))
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{process}/status").read().splitlines())
    assert status["Uid"].split()[0] != "0"
    assert status["CapBnd"] == "0000000000000000"
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # Where the machine itself has less and may not raise it, systemd gives the most that it can.
    soft, hard = descriptor_limits(process)
    assert soft == hard
    assert hard == 1048576 or hard == descriptor_limits(wsd.machine.leader)[1]
    # Nothing that the daemon does at its start is refused, nor does any library complain through syslog(3).
    assert wsd.talk("hello") == "hello"
    assert [entry["MESSAGE"] for entry in wsd.journal("-u", "wsd.service", "-p", "warning")] == []
    assert [entry["MESSAGE"] for entry in wsd.journal("-u", "wsd.service", "_TRANSPORT=syslog")] == []


def test_status_text_shows_live_figures(wsd):
    wsd.machine.run("systemctl", "start", "wsd.service")
    with held(wsd, 3):
        wsd.wait_for_property("StatusText", r"\b3\b")
        assert "Status: " in wsd.machine.run("systemctl", "--no-pager", "status", "wsd.service").stdout
    wsd.wait_for_property("StatusText", r"\b0\b")


def test_journal_entries_have_fields(wsd):
    wsd.configure('[log]\nlevel = "debug"\n')
    wsd.talk("hello")
    entries = wait_for(lambda: wsd.journal("-u", "wsd.service", "_COMM=wsd"), "wsd has logged")
    for entry in entries:
        assert entry["_TRANSPORT"] == "journal"
        assert entry["SYSLOG_IDENTIFIER"] == "wsd"
        assert entry["PRIORITY"] in "01234567"
        assert entry["CODE_FILE"] and entry["CODE_FUNC"] and int(entry["CODE_LINE"]) > 0
    connections = {entry["WSD_CONNECTION"] for entry in entries if "WSD_CONNECTION" in entry}
    assert connections
    # And they select: that is what they are for.
    number = connections.pop()
    selected = wsd.journal(f"WSD_CONNECTION={number}")
    assert selected and all(entry["WSD_CONNECTION"] == number for entry in selected)


def test_a_worker_that_hangs_is_killed_by_the_watchdog(wsd):
    wsd.configure("[server]\nworkers = 2\n")
    wsd.override("[Service]\nWatchdogSec=2s\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    first = wsd.show("MainPID")
    process = wsd.machine.host_pid(int(first))
    # One thread of several: the others turn, and the process as a whole could feed the watchdog.
    with frozen(thread_named(process, "wsd-worker-1")):
        wsd.wait_for_property("NRestarts", "^1$")
    wsd.wait_for_property("ActiveState", "^active$")
    assert wsd.show("MainPID") != first
    assert wsd.journal("UNIT=wsd.service", "UNIT_RESULT=watchdog")
    assert wsd.talk("again") == "again"


def test_healthy_workers_are_left_alone(wsd):
    wsd.configure("[server]\nworkers = 2\n")
    wsd.override("[Service]\nWatchdogSec=1s\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    fed = set()

    def has_been_fed_often() -> bool:
        fed.add(wsd.show("WatchdogTimestampMonotonic"))
        return len(fed) >= 6

    # Idle workers sleep in epoll_wait(2): they count as turning.
    wait_for(has_been_fed_often, "the watchdog is fed")
    assert wsd.show("NRestarts") == "0"


def test_stop_drains_within_its_time(wsd):
    wsd.configure('[drain]\nperiod = "2s"\ntimeout = "5s"\n')
    wsd.machine.run("systemctl", "start", "wsd.service")
    leaving = contextlib.ExitStack()
    leaving.enter_context(held(wsd, 30))
    with held(wsd, 20) as clients:
        # Those who are there came after others who are not any more.
        leaving.close()
        wsd.wait_for_property("StatusText", r"\b20\b")
        wsd.machine.run("systemctl", "stop", "wsd.service", timeout=30)
        ended = closes(clients)
    assert [end["code"] for end in ended] == [1001] * 20
    assert all(end["reason"] for end in ended)
    # Spread over the period, so that not all of them come back at once.
    seconds = [end["seconds"] for end in ended]
    assert max(seconds) - min(seconds) > 0.5
    assert wsd.show("ActiveState") == "inactive"
    assert wsd.show("Result") == "success"
    assert wsd.show("ExecMainStatus") == "0"


def test_drain_longer_than_the_unit_allows_asks_for_more_time(wsd):
    wsd.configure('[drain]\nperiod = "6s"\ntimeout = "10s"\n')
    wsd.override("[Service]\nTimeoutStopSec=3s\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    with held(wsd, 8) as clients:
        wsd.machine.run("systemctl", "stop", "wsd.service", timeout=30)
        ended = closes(clients)
    assert [end["code"] for end in ended] == [1001] * 8
    assert max(end["seconds"] for end in ended) > 3
    assert wsd.show("Result") == "success"


def test_clients_that_come_during_the_drain_wait_for_the_next_daemon(wsd):
    wsd.configure('[drain]\nperiod = "3s"\ntimeout = "6s"\n')
    wsd.machine.run("systemctl", "start", "wsd.service")
    first = wsd.show("MainPID")
    with held(wsd, 10):
        wsd.machine.run("systemctl", "stop", "--no-block", "wsd.service")
        wsd.wait_for_property("StatusText", "(?i)drain")
        # systemd still listens, so this one is neither refused nor served by the daemon that leaves.
        assert wsd.talk("hello", timeout=60) == "hello"
    assert wsd.show("ActiveState") == "active"
    assert wsd.show("MainPID") not in (first, "0")


def test_the_socket_outlives_the_daemon(wsd):
    wsd.machine.run("systemctl", "start", "wsd.service")
    wsd.machine.run("systemctl", "stop", "wsd.service")
    assert wsd.show("ActiveState") == "inactive"
    assert wsd.show("SubState", "wsd.socket") == "listening"
    assert wsd.machine.path(CONTROL).is_socket()
    assert wsd.talk("hello") == "hello"
    # It serves a moment before systemd has heard that it is ready.
    wsd.wait_for_property("ActiveState", "^active$")


def test_a_crash_is_followed_by_a_restart(wsd):
    wsd.machine.run("systemctl", "start", "wsd.service")
    wsd.machine.run("systemctl", "kill", "--signal=KILL", "wsd.service")
    wsd.wait_for_property("NRestarts", "^1$")
    wsd.wait_for_property("ActiveState", "^active$")
    assert wsd.talk("hello") == "hello"


def test_wrong_configuration_is_told_once_and_not_retried(wsd):
    wsd.configure("[server]\nnonsense = 1\n")
    wsd.machine.run("systemctl", "start", "wsd.service", status=1)
    assert wsd.show("ActiveState") == "failed"
    assert wsd.show("ExecMainStatus") == "78"
    assert wsd.show("NRestarts") == "0"
    messages = [str(entry["MESSAGE"]) for entry in wsd.journal("-u", "wsd.service")]
    assert any("50-test.toml:2:1:" in message for message in messages), messages


def test_a_reload_is_followed(wsd):
    wsd.configure("[limits]\nchannels = 7\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    wsd.configure("[limits]\nchannels = 8\n")
    wsd.machine.run("systemctl", "reload", "wsd.service")
    assert wsd.machine.run("wsctl", "limits", "limits.channels").stdout.split()[:3] == ["limits.channels", "=", "8"]
    assert wsd.show("ActiveState") == "active"


# In the configuration itself, and in a file that it names.
@pytest.mark.parametrize(
    "wrong, why",
    [
        ("[limits]\nchannels = -1\n", "50-test.toml:2:12: "),
        ("[limits]\nnonsense = 1\n", "50-test.toml:2:1: "),
        ('[auth]\nmode = "jwt"\nhmac_secret_file = "/etc/wsd/nowhere.key"\n', "/etc/wsd/nowhere.key"),
    ],
    ids=["a value", "a key", "a file"],
)
def test_a_reload_that_fails_says_why_and_changes_nothing(wsd, wrong, why):
    wsd.configure("[limits]\nchannels = 7\n")
    wsd.machine.run("systemctl", "start", "wsd.service")
    process = wsd.show("MainPID")
    wsd.configure(wrong)
    told = wsd.machine.run("systemctl", "reload", "wsd.service", status=1)
    assert "Job for wsd.service failed" in told.stderr
    # Where it says to look: the status and the journal.
    assert why in wsd.machine.run("systemctl", "status", "--no-pager", "--full", "wsd.service").stdout
    assert any(why in str(entry["MESSAGE"]) for entry in wsd.journal("-u", "wsd.service"))
    # And the daemon serves on, as it was.
    assert (wsd.show("ActiveState"), wsd.show("MainPID"), wsd.show("NRestarts")) == ("active", process, "0")
    assert wsd.talk("still here") == "still here"
    assert wsd.machine.run("wsctl", "limits", "limits.channels").stdout.split()[:3] == ["limits.channels", "=", "7"]


@pytest.mark.parametrize("wrong", ["[server]\nworkers = -1\n", '[api]\npublish_key_file = "/nowhere"\n'])
def test_clients_of_a_daemon_that_cannot_start_are_told_so_and_nothing_else_is_to_be_mended(wsd, wrong):
    """Each starts it again, and gets an answer; so systemd has no reason to close the sockets."""
    wsd.configure(wrong)
    for _ in range(3):
        refused = wsd.client("hold", "1").communicate(timeout=60)[1]
        assert "HTTP 503" in refused
    wsd.configure("")
    wsd.wait_for_property("MainPID", "^0$")
    assert wsd.talk("mended") == "mended"
    assert wsd.show("ActiveState", "wsd.socket") == "active"


def test_only_the_administrators_group_may_control(wsd):
    wsd.machine.run("systemctl", "start", "wsd.service")
    wsd.machine.run("wsctl", "status", user="alice")
    with held(wsd, 2) as clients:
        refused = wsd.machine.run("wsctl", "kick", "--all", user="bob", status=77)
        assert refused.stdout == "" and "wsd-admin" in refused.stderr
        assert wsd.machine.run("wsctl", "kick", "--all", user="alice").stdout == "closed 2 connections\n"
        assert [end["code"] for end in closes(clients)] == [1008, 1008]


def test_anybody_may_look(wsd):
    wsd.machine.run("systemctl", "start", "wsd.service")
    with held(wsd, 2):
        looked = wsd.machine.run("wsctl", "status", "--json", "--socket", STATUS, user="bob")
        assert isinstance(json.loads(looked.stdout), dict)


# Bookworm's systemd has no varlinkctl.
@pytest.mark.parametrize("installation", ["trixie"], indirect=True)
def test_varlinkctl_understands_the_control_socket(wsd):
    run = wsd.machine.run
    assert "io.wsd.Control" in run("varlinkctl", "info", CONTROL).stdout
    description = run("varlinkctl", "introspect", CONTROL, "io.wsd.Control").stdout
    assert "interface io.wsd.Control" in description
    run("varlinkctl", "validate-idl", input=description)
    info = run("varlinkctl", "call", "--json=short", CONTROL, "org.varlink.service.GetInfo", "{}").stdout
    assert "io.wsd.Control" in json.loads(info)["interfaces"]
    status = run("varlinkctl", "call", "--json=short", STATUS, "io.wsd.Status.GetStatus", "{}").stdout
    assert json.loads(status)["status"]["state"] == "running"


def test_a_second_signal_hurries(wsd):
    wsd.configure('[drain]\nperiod = "60s"\ntimeout = "90s"\n')
    wsd.machine.run("systemctl", "start", "wsd.service")
    with held(wsd, 10) as clients:
        wsd.machine.run("systemctl", "stop", "--no-block", "wsd.service")
        wsd.wait_for_property("StatusText", "(?i)drain")
        wsd.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=TERM", "wsd.service")
        ended = closes(clients, timeout=40)
    assert [end["code"] for end in ended] == [1001] * 10
    wsd.wait_for_property("ActiveState", "^inactive$")
    assert wsd.show("Result") == "success"
