"""The life of the Debian package in booted machines of both releases."""

import json
import shutil

import pytest
from container import SOCKETS, kill, wait_for
from debpackage import changed

from waiting import wait_until


@pytest.fixture(scope="session")
def upgrades(packages, tmp_path_factory):
    """Three later versions, the last with another configuration."""

    def change(tree):
        with open(tree / "etc/wsd/wsd.toml", "a") as file:
            file.write("\n# A newer version's.\n")

    directory = tmp_path_factory.mktemp("upgrades")
    package = packages[0]
    return [
        changed(package, directory, "0.1.1"),
        changed(package, directory, "0.1.2"),
        changed(package, directory, "0.1.3", change),
    ]


def test_the_life_of_the_package(newcomer, packages, upgrades):
    administrator, machine = newcomer, newcomer.machine
    package = packages[0]

    # Installed: everything listens, nothing runs, and the first connection starts it.
    administrator.install(package)
    for unit in SOCKETS:
        assert administrator.is_active(unit), administrator.log()
        assert administrator.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
    assert administrator.pid == 0
    assert administrator.talk("hello") == "hello"
    first = administrator.pid
    assert first > 0

    # Members of the group steer it and see who is there, others see figures.
    administrator.run("systemd-sysusers", "--inline", "u alice -", "u bob -", "m alice wsd-admin")
    assert '"connections":' in administrator.run("setpriv", *identity("bob"), "wsctl", "status", "--json").stdout
    refused = administrator.run("setpriv", *identity("bob"), "wsctl", "broadcast", "x", status=None)
    assert refused.returncode == 77 and "wsd-admin" in refused.stderr
    hidden = administrator.run("setpriv", *identity("bob"), "wsctl", "list", status=None)
    assert hidden.returncode == 77 and "sudo adduser bob wsd-admin" in hidden.stderr
    clients = machine.popen("python3", "/tmp/client.py", "hold", "3")
    try:
        wait_for(lambda: clients.stdout.readline() == "open\n", "three are connected")
        listed = administrator.run("setpriv", *identity("alice"), "wsctl", "list", "--json").stdout.splitlines()
        assert len(listed) == 3
        sent = administrator.run("setpriv", *identity("alice"), "wsctl", "broadcast", "x").stdout
        assert sent == "sent to 3 connections\n"
        kicked = administrator.run("setpriv", *identity("alice"), "wsctl", "kick", json.loads(listed[0])["id"]).stdout
        assert kicked == "closed 1 connection\n"
        for kind in ("stacks", "heap"):
            assert administrator.run("wsctl", "profile", kind).stdout
        assert int(administrator.run("sh", "-c", "wsctl profile cpu --seconds 1 | wc -c").stdout) > 100
    finally:
        kill(clients)
    assert administrator.troubles() == []

    # Upgraded: another process, with the connections of the one before, and meanwhile a client always found somebody to
    # connect to.
    knocking = machine.popen("python3", "-c", KNOCK)
    held = machine.popen("python3", "/tmp/client.py", "hold", "20")
    try:
        wait_for(lambda: knocking.stdout.readline(), "it knocks")
        wait_for(lambda: held.stdout.readline() == "open\n", "twenty are connected")
        administrator.install(upgrades[0])
        wait_until(lambda: administrator.pid not in (0, first), "the new one runs")
        restart = json.loads(administrator.run("wsctl", "status", "--json").stdout)["lastRestart"]
        assert restart["adopted"] >= 20 and restart["closed"] == 0
        assert held.poll() is None
    finally:
        kill(held)
        machine.run("pkill", "-TERM", "-f", "knock-at-the-door")
    assert knocking.communicate(timeout=60)[0].strip().endswith("refused 0")
    assert administrator.talk("after the upgrade") == "after the upgrade"
    assert administrator.troubles() == []

    # A configuration that the new version does not like: the old process goes on serving, and it is said.
    machine.write("/etc/wsd/wsd.toml.d/50-broken.toml", "[limits]\nnonsense = 1\n")
    second = administrator.pid
    told = administrator.install(upgrades[1])
    assert administrator.pid == second and "goes on running" in told.stdout + told.stderr
    assert administrator.talk("still here") == "still here"
    assert "50-broken.toml:2:1: unknown key \"nonsense\"" in told.stdout + told.stderr
    # Restarted all the same: it says why, and is tried again, for there is what the process before has left.
    assert administrator.run("systemctl", "restart", "wsd.service", status=None).returncode == 1
    wait_for(lambda: administrator.run(
        "systemctl", "show", "--value", "-p", "NRestarts", "wsd.service").stdout.strip() != "0", "it is tried again")
    assert not administrator.is_active("wsd.service")
    # Stopped and started, with nothing left: it stays down, with 78.
    administrator.run("systemctl", "stop", "wsd.service")
    administrator.run("systemctl", "reset-failed", "wsd.service", status=None)
    administrator.run("systemctl", "restart", "wsd.service", status=None)
    assert not administrator.is_active("wsd.service")
    status = administrator.run("systemctl", "show", "-p", "ExecMainStatus", "-p", "NRestarts", "wsd.service").stdout
    assert "ExecMainStatus=78" in status and "NRestarts=0" in status
    # Clients start it more often than systemd allows within its time; each has an answer, and the sockets stay.
    asking = machine.popen("python3", "-c", ASK)
    try:
        starts = administrator.log().count("unknown key")
        # Three seconds each.
        wait_for(lambda: administrator.log().count("unknown key") > starts + 6, "it was started seven times", 120)
    finally:
        machine.run("pkill", "-TERM", "-f", "ask-again-and-again")
    assert asking.communicate(timeout=60)[0].strip() == "503"
    assert all(map(administrator.is_active, SOCKETS))
    machine.path("/etc/wsd/wsd.toml.d/50-broken.toml").unlink()
    # Nothing else has to be done.
    wait_for(lambda: administrator.pid == 0, "the last of them has ended")
    assert administrator.talk("repaired") == "repaired"

    # A conffile that both sides changed: the usual question.
    with open(machine.path("/etc/wsd/wsd.toml"), "a") as file:
        file.write("\n[drain]\nperiod = \"1s\"\n")

    asked = administrator.run("dpkg", "--install", copied(machine, upgrades[2]), status=None)
    assert "Configuration file '/etc/wsd/wsd.toml'" in asked.stdout + asked.stderr
    administrator.run("dpkg", "--force-confold", "--configure", "wsd")
    assert 'period = "1s"' in machine.path("/etc/wsd/wsd.toml").read_text()
    assert administrator.talk("with its own configuration") == "with its own configuration"

    # Removed: nothing listens, the configuration stays. Purged: nothing is left. Installed again: as at first.
    administrator.apt("remove", "wsd")
    assert not any(map(administrator.is_active, (*SOCKETS, "wsd.service")))
    assert machine.path("/etc/wsd/wsd.toml").exists() and not machine.path("/usr/bin/wsd").exists()
    administrator.apt("purge", "wsd")
    left = administrator.run(
        "find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*wsd*", "-not", "-path", "/usr/local/*",
        "-not", "-path", "/var/lib/apt/*", "-not", "-path", "/run/credentials/*",
    ).stdout.split()
    left = [path for path in left if not path.startswith("/var/lib/systemd/deb-systemd-helper")]
    assert left == [], (left, administrator.run("systemctl", "list-units", "--all", "wsd*").stdout, administrator.log())
    administrator.install(package)
    assert administrator.talk("again") == "again"


UNIT = """
[Service]
ExecStart=
ExecStart=/usr/bin/wsd --config /srv/chat.toml
SupplementaryGroups=keys
"""

JWT = '[auth]\nmode = "jwt"\nhmac_secret_file = "/srv/chat.key"\n'


def test_an_upgrade_checks_what_the_unit_as_it_is_reads(administrator, packages, upgrades):
    """The file that a drop-in names, with keys that only a group of that drop-in may read."""
    run, machine = administrator.run, administrator.machine
    run("systemd-sysusers", "--inline", "g keys -")
    machine.write("/srv/chat.toml", JWT)
    machine.write("/srv/chat.key", "a-secret-of-thirty-two-bytes-or-more\n", 0o640)
    run("chgrp", "keys", "/srv/chat.key")
    machine.write("/etc/systemd/system/wsd.service.d/50-test.conf", UNIT)
    # Nobody reads this one.
    machine.write("/etc/wsd/wsd.toml.d/50-broken.toml", "[limits]\nnonsense = 1\n")
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "start", "wsd.service")
        first = administrator.pid
        told = administrator.install(upgrades[0])
        assert administrator.pid not in (0, first), told.stdout + told.stderr
        second = administrator.pid
        machine.write("/srv/chat.toml", JWT + "nonsense = 1\n")
        told = administrator.install(upgrades[1])
        told = told.stdout + told.stderr
        assert administrator.pid == second and "goes on running" in told and "/srv/chat.toml:4:1" in told, told
        # Where a policy forbids to start anything, nothing is said to have failed.
        machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        machine.write("/srv/chat.toml", JWT)
        told = administrator.install(packages[0], "--allow-downgrades")
        assert "does not listen" not in told.stdout + told.stderr and administrator.pid == second
    finally:
        run("rm", "--force", "/usr/sbin/policy-rc.d", "/srv/chat.toml", "/srv/chat.key")
        run("systemctl", "stop", "wsd.service")


# Connects again and again until it is told to end, and says how often nobody was there.
UNTIL_TERMINATED = """
import signal

def end(*_):
    raise KeyboardInterrupt

# Not SIGINT: who starts the tests in the background has it ignored.
signal.signal(signal.SIGTERM, end)
"""

KNOCK = UNTIL_TERMINATED + """
# knock-at-the-door
import socket

tried = refused = 0
print("it knocks", flush=True)
try:
    while True:
        try:
            socket.create_connection(("127.0.0.1", 8080), 30).close()
        except ConnectionRefusedError:
            refused += 1
        tried += 1
except KeyboardInterrupt:
    print(f"tried {tried > 0} refused {refused}", flush=True)
"""

ASK = UNTIL_TERMINATED + """
# ask-again-and-again
import http.client, time

answers = set()
try:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
            connection.request("GET", "/")
            answers.add(str(connection.getresponse().status))
        except Exception as error:
            answers.add(repr(error))
        time.sleep(0.02)
except KeyboardInterrupt:
    print(" ".join(sorted(answers)), flush=True)
"""


def identity(user):
    return f"--reuid={user}", f"--regid={user}", "--init-groups"


def copied(machine, package):
    shutil.copy(package, machine.path("/tmp"))
    return f"/tmp/{package.name}"
