"""The installed service: its sandbox, its drop-ins, its page in a browser."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from browser import Browser
from container.machine import kill, wait_for
from container.passage import Passage

from wsdaemon import REPOSITORY


# Runs in the service's own sandbox before the daemon, tries what it must not, and writes what came of it.
BURGLAR = r"""
import ctypes, json, os, shutil, socket
tried = {}

def attempt(name, act):
    try:
        act()
        tried[name] = "done"
    except Exception as error:
        tried[name] = repr(error)

def write(place):
    with open(place, "w"):
        pass
    os.unlink(place)

def run(program):
    # With what the filter of system calls lets through; subprocess and pipes it stops before anything is executed.
    here, there = socket.socketpair()
    if os.fork() == 0:
        try:
            os.execv(program, [program])
        except OSError as error:
            there.send(str(error.errno).encode())
        os._exit(1)
    there.close()
    # The program that begins closes it.
    if error := here.recv(9):
        raise OSError(int(error), "execve")

def run_own(place):
    shutil.copy("/usr/bin/true", place)
    try:
        run(place)
    finally:
        os.unlink(place)

attempt("home", lambda: os.listdir("/home/somebody"))
attempt("root", lambda: os.listdir("/root"))
for place in WRITABLE:
    attempt("write " + place, lambda: write(place + "/x"))
for place in SCRATCH:
    attempt("run " + place, lambda: run_own(place + "/x"))
for family, kind in (("AF_INET", "STREAM"), ("AF_INET6", "STREAM"), ("AF_NETLINK", "DGRAM")):
    attempt("socket " + family, lambda: socket.socket(getattr(socket, family), getattr(socket, "SOCK_" + kind)))
attempt("shell", lambda: run("/bin/sh"))
attempt("program", lambda: run("/usr/bin/true"))
attempt("others", lambda: open("/proc/1/status").read())
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("read its configuration", lambda: open("/etc/wsd/wsd.toml").read())

def unshare():
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")

attempt("namespace", unshare)  # the last one: it changes who tries
print("BURGLAR " + json.dumps(tried), flush=True)
"""

# Directories that are opened to everybody first, so that nothing but the sandbox is in the burglar's way.
WRITABLE = ("/etc/wsd", "/usr/bin", "/var/lib", "/run", "/run/wsd")
# Those that everybody may write in.
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")


@pytest.fixture(scope="session")
def burglary(installed):
    """What the service's user could do outside of the sandbox, and in it."""
    administrator, machine = installed, installed.machine
    administrator.reset()
    os.makedirs(machine.path("/home/somebody"), exist_ok=True)
    doors = {name: machine.path(name).stat().st_mode & 0o7777 for name in ("/root", "/home", *WRITABLE)}
    program = BURGLAR.replace("WRITABLE", repr(WRITABLE)).replace("SCRATCH", repr(SCRATCH))
    machine.write("/usr/lib/wsd-burglar.py", program)
    machine.write(
        "/run/systemd/system/wsd.service.d/50-burglar.conf",
        "[Service]\nExecStartPre=/usr/bin/python3 /usr/lib/wsd-burglar.py\nExecPaths=/usr/bin/python3\n",
    )
    administrator.run("systemctl", "daemon-reload")
    try:
        for name in doors:
            machine.path(name).chmod(0o1777)
        outside = administrator.run("python3", "/usr/lib/wsd-burglar.py", user="wsd").stdout
        assert administrator.talk("hello") == "hello"
        inside = administrator.log()
    finally:
        for name, mode in doors.items():
            machine.path(name).chmod(mode)
        administrator.reset()
    return [json.loads(re.search(r"BURGLAR (.*)", text)[1]) for text in (outside, inside)]


def done(attempts, kind=""):
    return {name for name, result in attempts.items() if result == "done" and name.startswith(kind)}


def test_the_sandbox_holds(burglary):
    """No home, no writing, no network, no programs, all of which the service's user may outside."""
    outside, inside = burglary
    assert outside.keys() - done(outside) == {"shadow"}
    assert done(inside) - done(inside, "run ") - {"write /run", "write /run/wsd"} == {"read its configuration"}


def test_what_the_sandbox_is_set_to(administrator):
    exposure = administrator.run("systemd-analyze", "security", "--no-pager", "wsd.service").stdout
    assert float(re.search(r"Overall exposure level[^0-9]*([0-9.]+)", exposure)[1]) <= 0.3, exposure


@pytest.mark.xfail(strict=True, reason="ProtectSystem=strict leaves /run as it is where ProtectProc= is set as well")
def test_nothing_in_run_can_be_written(burglary):
    """Its directories belong to root: it takes one that is open to find this."""
    assert done(burglary[1], "write /run") == set()


@pytest.mark.xfail(strict=True, reason="NoExecPaths=/ leaves /tmp, /var/tmp and /dev/shm as they are")
def test_what_the_service_writes_it_cannot_run(burglary):
    assert done(burglary[1], "run ") == set()


def test_a_daemon_that_binds_its_own_sockets(administrator):
    """The example of a drop-in: less sheltered, and still well."""
    machine = administrator.machine
    example = (REPOSITORY / "packaging/examples/self-bind.conf").read_text()
    machine.write("/etc/wsd/wsd.toml.d/50-listen.toml", '[server]\nlisten = ["127.0.0.1:9000"]\n')
    administrator.run("systemctl", "start", "wsd.service")
    assert "server.listen is not used, for systemd passes sockets" in administrator.log()
    assert listeners(administrator) == ["[::]:8080"]
    machine.write("/etc/systemd/system/wsd.service.d/self-bind.conf", example)
    administrator.run("systemctl", "mask", "--now", "wsd.socket", "wsd-api.socket")
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "restart", "wsd.service")
    assert listeners(administrator) == ["127.0.0.1:9000"]
    assert administrator.run("curl", "--silent", "--fail", "http://127.0.0.1:8081/readyz").stdout == "ok\n"
    exposure = administrator.run("systemd-analyze", "security", "--no-pager", "wsd.service").stdout
    assert float(re.search(r"Overall exposure level[^0-9]*([0-9.]+)", exposure)[1]) <= 1.2, exposure


@pytest.fixture
def redis(administrator):
    """A Redis in the machine, at its usual port and at the Unix socket that Debian's has for members of its group."""
    administrator.run("systemd-sysusers", "--inline", "u redis -")
    administrator.run("install", "-d", "-o", "redis", "-g", "redis", "-m", "2755", "/run/redis")
    server = administrator.machine.popen(
        "bash", "-c", "umask 007; exec -a redis-server redis-check-rdb --bind 127.0.0.1 --save '' --dir /tmp "
        "--unixsocket /run/redis/redis-server.sock --unixsocketperm 770",
        user="redis", stdout=subprocess.DEVNULL)
    ping = lambda: administrator.run("redis-cli", "ping", status=None).stdout == "PONG\n"
    wait_for(ping, "Redis answers")
    yield server
    administrator.run("gpasswd", "--delete", "wsd", "redis", status=None)
    kill(server)


def ready(administrator):
    return administrator.run("curl", "--silent", "http://127.0.0.1:8081/readyz").stdout


def exposure(administrator):
    text = administrator.run("systemd-analyze", "security", "--no-pager", "wsd.service").stdout
    return float(re.search(r"Overall exposure level[^0-9]*([0-9.]+)", text)[1])


def test_a_broker_by_tcp_needs_the_drop_in_for_its_address(administrator, redis):
    machine = administrator.machine
    machine.write("/etc/wsd/wsd.toml.d/50-broker.toml", '[broker]\ntype = "redis"\nurl = "redis://127.0.0.1"\n')
    assert "does not work" in ready(administrator)
    wait_for(lambda: "permits no TCP" in ready(administrator), "it is said why the broker can't be reached")
    example = (REPOSITORY / "packaging/examples/broker.conf").read_text()
    assert "\nIPAddressAllow=10.0.0.5\n" in example
    for address in ("10.0.0.5", "127.0.0.1"):
        machine.write("/etc/systemd/system/wsd.service.d/broker.conf", example.replace("10.0.0.5", address))
        administrator.run("systemctl", "daemon-reload")
        administrator.run("systemctl", "restart", "wsd.service")
        if address == "10.0.0.5":
            wait_for(lambda: "did not accept the connection" in ready(administrator), "no other address is reached")
    wait_for(lambda: ready(administrator) == "ok\n", "the broker works")
    assert administrator.talk("hello") == "hello"
    assert exposure(administrator) <= 1.2


def test_a_broker_at_a_unix_socket_needs_its_group_only(administrator, redis):
    url = "unix:///run/redis/redis-server.sock"
    administrator.machine.write("/etc/wsd/wsd.toml.d/50-broker.toml", f'[broker]\ntype = "redis"\nurl = "{url}"\n')
    wait_for(lambda: "Permission denied" in ready(administrator), "the socket is not for everybody")
    administrator.run("usermod", "--append", "--groups", "redis", "wsd")
    administrator.run("systemctl", "restart", "wsd.service")
    wait_for(lambda: ready(administrator) == "ok\n", "the broker works")
    assert administrator.talk("hello") == "hello"
    assert exposure(administrator) <= 0.3


def listeners(administrator):
    return json.loads(administrator.run("wsctl", "status", "--json").stdout)["listeners"]


def test_another_address_is_for_the_unit_to_say(administrator):
    """As the manual says it: an empty ListenStream= first."""
    administrator.machine.write(
        "/etc/systemd/system/wsd.socket.d/override.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n"
    )
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "stop", "wsd.service")
    administrator.run("systemctl", "restart", "wsd.socket")
    assert administrator.run("curl", "--silent", "--fail", "--head", "http://127.0.0.1/").stdout.startswith("HTTP/1.1 200")
    assert listeners(administrator) == ["127.0.0.1:80"]


def test_io_uring_is_out_unless_it_is_let_in(administrator):
    """With the filter of the unit the daemon does without it, and with the example it has one, where this kernel does."""
    machine = administrator.machine
    assert administrator.talk("without") == "without"
    assert not rings(administrator.pid)
    example = (REPOSITORY / "packaging/examples/io-uring.conf").read_text()
    machine.write("/etc/systemd/system/wsd.service.d/io-uring.conf", example)
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "restart", "wsd.service")
    assert administrator.talk("with") == "with"
    forbidden = Path("/proc/sys/kernel/io_uring_disabled")
    if not forbidden.exists() or forbidden.read_text().strip() == "0":
        assert rings(administrator.pid)


def test_a_browser_talks_to_the_installed_service(administrator):
    """The chat page of the package in a real Chromium, and what the package's own test of itself finds."""
    passage = Passage(administrator.machine, 8080)
    browser = Browser()
    browser.outage = True
    try:
        ada = browser.open(f"http://127.0.0.1:{passage.port}/").until_connected()
        grace = browser.open(f"http://127.0.0.1:{passage.port}/", "tab").until_connected()
        ada.call_me("Ada")
        ada.write("Out of the package")
        grace.until_shown("Out of the package")
        assert len(administrator.run("wsctl", "list", "--json").stdout.splitlines()) == 2
        assert administrator.run("wsctl", "kick", "--all").stdout == "closed 2 connections\n"
        grace.until_connected()
        assert browser.complaints() == []
    finally:
        browser.quit()
        passage.close()
    test = (REPOSITORY / "packaging/debian/tests/installed").read_text()
    administrator.machine.write("/tmp/installed", test, 0o755)
    administrator.run("/tmp/installed", timeout=60)
    assert administrator.troubles() == []


def test_debug_symbols_give_functions_their_names(administrator, packages):
    """A profile of the stripped program has addresses; with the package of its symbols it has names."""
    assert administrator.talk("hello") == "hello"
    worker = r"wsd-worker-0\n(  .*\n)*"
    bare = administrator.run("wsctl", "profile", "stacks").stdout
    assert re.search(worker, bare) and "Engine.Worker" not in bare
    administrator.install(packages[1])
    try:
        named = re.search(worker, administrator.run("wsctl", "profile", "stacks").stdout)
        assert "Engine.Worker.run()" in named[0]
    finally:
        administrator.apt("purge", "wsd-dbgsym")


def rings(pid):
    """The rings that a process holds; its id is of the machine, whose processes are seen from here as well."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            if re.search(rf"^NSpid:.*\t{pid}$", status, re.M) and (process / "comm").read_text() == "wsd\n":
                found += [os.readlink(each) for each in (process / "fd").iterdir()]
        except OSError:
            continue
    return [each for each in found if "io_uring" in each]


def test_credentials_reach_the_daemon_and_nobody_else(administrator):
    machine = administrator.machine
    machine.write("/etc/wsd/jwt.secret", "a-secret-of-thirty-two-bytes-or-more\n")
    machine.write("/etc/wsd/publish.key", "a-key-for-publishing\n")
    for name in ("jwt.secret", "publish.key"):
        os.chmod(machine.path(f"/etc/wsd/{name}"), 0o600)
    example = (REPOSITORY / "packaging/examples/credentials.conf").read_text()
    machine.write("/etc/systemd/system/wsd.service.d/credentials.conf", example)
    settings = [line.removeprefix("#").strip() for line in example.splitlines() if re.match(r"#   ", line)]
    machine.write("/etc/wsd/wsd.toml.d/50-keys.toml", "\n".join(settings) + "\n")
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "start", "wsd.service")
    token = administrator.run("wsctl", "token", "--user", "alice").stdout.strip()
    assert token.count(".") == 2
    published = administrator.run(
        "curl", "--silent", "--fail", "http://127.0.0.1:8081/api/publish", "-H", "X-API-Key: a-key-for-publishing",
        "-H", "Content-Type: application/json", "--data", '{"channel": "a", "data": 1}',
    ).stdout
    assert json.loads(published) == {"recipients": 0}
    administrator.run("systemctl", "reload", "wsd.service")
    everything = administrator.log() + administrator.run("systemctl", "show", "wsd.service").stdout
    everything += administrator.run("wsctl", "config").stdout
    assert "a-secret-of-thirty-two" not in everything and "a-key-for-publishing" not in everything
