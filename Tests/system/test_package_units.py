"""The installed package in trouble: ports that are taken, crashes, masked units, units by one name."""

import contextlib
import re
import time

import pytest
from container import SOCKETS, kill, wait_for
from debpackage import UNITS

from wsdaemon import REPOSITORY

EXAMPLES = REPOSITORY / "packaging/examples"

# Listens where it is told to, on all addresses, until it is killed.
OCCUPANT = """
import socket, sys, time

sockets = [socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(3600)
"""

# Connects to the hub again and again until it is killed, and waits for no answer.
CROWD = """
import collections, socket

kept = collections.deque(maxlen=100)
print("knocking", flush=True)
while True:
    try:
        kept.append(socket.create_connection(("127.0.0.1", 8080), 0.2))
    except OSError:
        pass
"""


def states(administrator, units=UNITS):
    return administrator.run("systemctl", "is-active", *units, status=None).stdout.split()


def drop_in(administrator, unit, text):
    administrator.machine.write(f"/etc/systemd/system/{unit}.d/50-test.conf", text)
    administrator.run("systemctl", "daemon-reload")


@contextlib.contextmanager
def running(administrator, program, *arguments):
    """A Python program in the machine, which has said that it is ready."""
    process = administrator.machine.popen("python3", "-c", program, *arguments)
    try:
        assert process.stdout.readline(), process.stderr.read()
        yield
    finally:
        kill(process)


def restarts(administrator):
    return int(administrator.run("systemctl", "show", "--value", "-p", "NRestarts", "wsd.service").stdout)


def test_a_taken_port_is_said_in_a_sentence_by_the_installation(administrator, packages):
    administrator.apt("purge", "wsd")
    with running(administrator, OCCUPANT, "8080"):
        told = administrator.install(packages[0])
        told = told.stdout + told.stderr
        assert re.search(r'wsd: wsd\.socket does not listen, for "python3" \(process \d+\) has port 8080', told), told
        assert "line " not in told and "deb-systemd-invoke" not in told
        assert administrator.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "wsd").stdout == "ii "
        assert states(administrator, SOCKETS[1:]) == ["active"] * 3
    # As it says.
    [command] = re.findall(r"Afterwards: (.*)", told)
    administrator.run(*command.split())
    assert administrator.talk("hello") == "hello"


def test_a_taken_port_is_said_by_the_daemon_which_gets_it_once_it_is_free(administrator):
    administrator.run("systemctl", "stop", *SOCKETS, "wsd.service")
    with running(administrator, OCCUPANT, "8080"):
        administrator.run("systemctl", "start", "wsd.service", status=1)
        said = administrator.log()
        assert 'systemd has passed no socket named "wsd"' in said and "systemctl status wsd.socket" in said, said
        # Of a service that is being tried again and again, it shows the lines of the latest try.
        show = ("systemctl", "status", "--no-pager", "--full", "wsd.service")
        wait_for(lambda: "ss -ltnp" in administrator.run(*show, status=None).stdout, "its status says it, too")
    wait_for(lambda: states(administrator) == ["active"] * 5, "it is there by itself")
    assert administrator.talk("hello") == "hello"


def test_it_comes_back_however_often_it_is_killed(administrator):
    assert administrator.talk("hello") == "hello"
    for _ in range(8):
        pid = wait_for(lambda: administrator.pid, "it runs")
        administrator.run("kill", "-KILL", str(pid), status=None)
        wait_for(lambda: administrator.pid != pid, "it has ended")
    wait_for(lambda: states(administrator) == ["active"] * 5, "it is back by itself")
    assert administrator.talk("again") == "again"


@pytest.mark.parametrize(
    "setting, mend",
    [
        ("LoadCredential=key:/etc/wsd/there.key", ("touch", "/etc/wsd/there.key")),
        ("ExecStart=\nExecStart=/usr/local/bin/wsd\nExecPaths=/usr/local/bin", ("cp", "/usr/bin/wsd", "/usr/local/bin/")),
    ],
    ids=["a credential", "the program"],
)
def test_it_comes_back_when_what_was_missing_is_there_again(administrator, setting, mend):
    administrator.run("rm", "--force", "/etc/wsd/there.key", "/usr/local/bin/wsd")
    drop_in(administrator, "wsd.service", f"[Service]\n{setting}\n")
    # Who connects has systemd start it: all the time, and yet it is tried in peace.
    with running(administrator, CROWD):
        began, first = time.monotonic(), restarts(administrator)
        # Five in ten seconds are what systemd allows by default.
        wait_for(lambda: restarts(administrator) >= first + 7, "it was tried seven times")
        assert restarts(administrator) - first <= time.monotonic() - began + 2
        assert states(administrator, SOCKETS) == ["active"] * 4
        administrator.run(*mend)
        wait_for(lambda: states(administrator) == ["active"] * 5, "it is back by itself")
    assert administrator.talk("mended") == "mended"
    administrator.run("rm", "--force", "/etc/wsd/there.key", "/usr/local/bin/wsd")


def test_the_way_back_that_wsctl_names_is_one(administrator):
    administrator.run("systemctl", "stop", *SOCKETS, "wsd.service")
    for _ in range(8):
        told = administrator.run("wsctl", "status", status=69).stderr
        [command] = re.findall(r"'(systemctl start [^']*)'", told)
        administrator.run(*command.split())
        assert '"connections":' in administrator.run("wsctl", "status", "--json").stdout
        administrator.run("systemctl", "stop", *SOCKETS, "wsd.service")


@pytest.mark.parametrize("name", ["api", "control", "status"])
def test_the_hub_starts_without_a_socket_that_is_masked(administrator, name):
    unit = f"wsd-{name}.socket"
    administrator.run("systemctl", "mask", "--now", unit)
    assert administrator.talk("hello") == "hello"
    assert f"systemctl status {unit}" in administrator.log()
    if name != "status":
        administrator.run("wsctl", "--socket", "/run/wsd/io.wsd.Status", "status")
    if name != "control":
        assert administrator.run("wsctl", "kick", "--all", status=None).returncode in (0, 1)
    administrator.run("systemctl", "restart", "wsd.service")
    assert states(administrator, ["wsd.service", unit]) == ["active", "inactive"]


@pytest.mark.parametrize("name", ["api", "control", "status"])
def test_a_socket_that_is_masked_while_the_hub_runs_takes_nobody_along(administrator, name):
    administrator.run("systemctl", "start", "wsd.service")
    pid = administrator.pid
    administrator.run("systemctl", "mask", "--now", f"wsd-{name}.socket")
    assert administrator.talk("hello") == "hello" and administrator.pid == pid


def test_everything_goes_by_one_name(administrator):
    run = administrator.run
    assert run("systemctl", "is-enabled", "wsd.target", *SOCKETS).stdout.split() == ["enabled"] * 5
    assert "wsd.target" in run("systemctl", "list-dependencies", "--plain", "multi-user.target").stdout
    run("systemctl", "start", "wsd.service")
    # Although clients come all the time.
    with running(administrator, CROWD):
        run("systemctl", "stop", "wsd.target")
        wait_for(lambda: states(administrator) == ["inactive"] * 5, "all are stopped")
        time_to_come_back = [states(administrator) for _ in range(10)]
        assert time_to_come_back == [["inactive"] * 5] * 10
    run("systemctl", "start", "wsd.target")
    assert states(administrator) == ["inactive"] + ["active"] * 4
    assert administrator.talk("hello") == "hello"
    # As the manual says: for good, and back.
    run("systemctl", "disable", "--now", "wsd.target")
    wait_for(lambda: states(administrator) == ["inactive"] * 5, "all are stopped")
    assert "wsd" not in run("systemctl", "list-dependencies", "--plain", "--all", "multi-user.target").stdout
    run("systemctl", "enable", "--now", "wsd.target")
    assert states(administrator) == ["inactive"] + ["active"] * 4
    # A single socket that was started alone is no exception.
    run("systemctl", "stop", "wsd.target")
    run("systemctl", "start", "wsd.socket")
    run("systemctl", "stop", "wsd.target")
    wait_for(lambda: states(administrator) == ["inactive"] * 5, "all are stopped")


def test_an_enabled_service_needs_no_client(administrator):
    run = administrator.run
    run("systemctl", "enable", "--now", "wsd")
    assert states(administrator) == ["active"] * 5
    run("systemctl", "stop", "wsd.target")
    run("systemctl", "start", "wsd.target")
    assert states(administrator) == ["active"] * 5
    assert "wsd.service" in run("systemctl", "list-dependencies", "--plain", "multi-user.target").stdout
    run("systemctl", "disable", "wsd")
    run("systemctl", "stop", "wsd.target")
    run("systemctl", "start", "wsd.target")
    assert states(administrator) == ["inactive"] + ["active"] * 4


@pytest.mark.parametrize("unit", ["wsd.socket", "wsd.target"])
def test_what_the_manual_tells_to_restart_can_be_restarted(administrator, unit):
    """More often than systemd allows by default."""
    assert administrator.talk("hello") == "hello"
    for _ in range(8):
        pid = administrator.pid
        # On a busy machine systemd may have a socket that it closes still in use when it opens it again (asynchronous_close).
        while administrator.run("systemctl", "restart", unit, status=None).returncode != 0:
            journal = administrator.run("journalctl", "--unit=wsd.socket", "--lines=8", "--no-pager").stdout
            assert "Failed to create listening socket" in journal and "Address already in use" in journal, journal
        wait_for(lambda: administrator.pid not in (0, pid), "another daemon runs")
        # One that is ended while it starts may leave systemd with a port in use for some milliseconds.
        wait_for(lambda: states(administrator, ["wsd.service"]) == ["active"], "it is ready")
        assert states(administrator, SOCKETS) == ["active"] * 4
    assert administrator.talk("again") == "again"


def test_the_example_has_the_hub_listen_on_this_machine_only(administrator):
    """As it says itself."""
    run = administrator.run
    assert administrator.talk("hello") == "hello"
    text = (EXAMPLES / "loopback.conf").read_text()
    administrator.machine.write("/etc/systemd/system/wsd.socket.d/loopback.conf", text)
    for command in re.findall(r"^#   (.*)$", text, re.M):
        run(*command.split())
    wait_for(lambda: administrator.pid, "it runs")
    assert administrator.talk("hello") == "hello"
    listening = run("ss", "-Hltn", "sport = :8080").stdout.splitlines()
    assert [line.split()[3] for line in listening] == ["127.0.0.1:8080"]


# Bookworm's systemd warns of settings that it does not know.
@pytest.mark.parametrize("installed", ["trixie"], indirect=True)
def test_the_example_has_the_pause_grow(administrator):
    text = (EXAMPLES / "restart-backoff.conf").read_text()
    drop_in(administrator, "wsd.service", text + "LoadCredential=key:/etc/wsd/nowhere.key\n")
    administrator.run("systemctl", "start", "wsd.service", status=1)
    def pause():
        return administrator.run("systemctl", "show", "--value", "-p", "RestartUSecNext", "wsd.service").stdout.strip()

    first = pause()
    wait_for(lambda: pause() not in (first, ""), "the pause is another")
    assert pause() != "1s"


def test_a_check_reads_as_the_service_does(administrator):
    run, machine = administrator.run, administrator.machine
    configuration = '[auth]\nmode = "jwt"\nhmac_secret_file = "/etc/wsd/check.key"\n'
    machine.write("/etc/wsd/wsd.toml.d/50-key.toml", configuration)
    machine.write("/etc/wsd/check.key", "a-secret-of-thirty-two-bytes-or-more\n", 0o600)
    checked = run("wsd", "--check-config", status=78)
    assert "/etc/wsd/check.key" in checked.stderr and "Permission denied" in checked.stderr
    assert "as the user wsd" in checked.stderr
    run("chown", "wsd", "/etc/wsd/check.key")
    assert "as the user wsd" in run("wsd", "--check-config").stdout
    run("systemctl", "start", "wsd.service")
    # Groups count, too.
    run("chown", "root:wsd", "/etc/wsd/check.key")
    run("chmod", "0640", "/etc/wsd/check.key")
    run("wsd", "--check-config")
    # A configuration of the service that it can't read, and one that is only to be looked at.
    machine.path("/etc/wsd/wsd.toml.d/50-key.toml").chmod(0o600)
    assert "50-key.toml" in run("wsd", "--check-config", status=78).stderr
    machine.write("/root/new.toml", configuration, 0o600)
    assert run("wsd", "--config", "/root/new.toml", "--check-config").stdout.startswith("good: /root/new.toml")
    run("chown", "root:root", "/etc/wsd/check.key")
    assert "check.key" in run("wsd", "--config", "/root/new.toml", "--check-config", status=78).stderr
    # Who is not root reads as ever.
    assert "as the user" not in run("wsd", "--check-config", user="bob", status=78).stdout
    run("rm", "/etc/wsd/check.key", "/root/new.toml")


def test_too_few_files_to_open_may_be_the_containers_fault(administrator):
    drop_in(administrator, "wsd.service", "[Service]\nLimitNOFILE=2000\n")
    assert administrator.talk("hello") == "hello"
    [line] = [line for line in administrator.log().splitlines() if "limit of open files allows" in line]
    assert "LimitNOFILE= in the unit" in line and "container" in line
