"""The installed service: its sandbox, its drop-ins, its page in a browser."""

import json
import os
import re
from pathlib import Path

from browser import Browser
from container.passage import Passage

from wsdaemon import REPOSITORY


# Runs in the service's own sandbox before the daemon, tries what it must not, and writes what came of it.
BURGLAR = r"""
import json, os, socket, subprocess
tried = {}

def attempt(name, act):
    try:
        act()
        tried[name] = "done"
    except Exception as error:
        tried[name] = type(error).__name__

attempt("home", lambda: os.listdir("/home/somebody"))
attempt("root", lambda: os.listdir("/root"))
attempt("shadow", lambda: open("/etc/shadow").read())
for place in ("/etc/wsd/x", "/usr/bin/x", "/var/lib/x", "/run/x", "/run/wsd/x", "/dev/x", "/sys/x"):
    attempt("write " + place, lambda: open(place, "w").close())
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    attempt("socket " + family.name, lambda: socket.socket(family, socket.SOCK_STREAM))
attempt("shell", lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True))
attempt("program", lambda: subprocess.run(["/usr/bin/env"], check=True, stdout=subprocess.DEVNULL))
attempt("others", lambda: open("/proc/1/status").read())
attempt("namespace", lambda: os.unshare(os.CLONE_NEWNS) if hasattr(os, "unshare") else subprocess.run(["unshare", "-m"], check=True))
attempt("clock", lambda: __import__("time").clock_settime(0, 0))
attempt("read its configuration", lambda: open("/etc/wsd/wsd.toml").read())
print("BURGLAR " + json.dumps(tried), flush=True)
"""


def test_the_sandbox_holds(administrator, packages):
    """From inside the service's context: no home, no secrets, no writing, no network, no programs."""
    machine = administrator.machine
    administrator.install(packages[0])
    os.makedirs(machine.path("/home/somebody"), exist_ok=True)
    machine.write("/usr/lib/wsd-burglar.py", BURGLAR)
    machine.write(
        "/run/systemd/system/wsd.service.d/50-burglar.conf",
        "[Service]\nExecStartPre=/usr/bin/python3 /usr/lib/wsd-burglar.py\nExecPaths=/usr/bin/python3\n",
    )
    administrator.run("systemctl", "daemon-reload")
    assert administrator.talk("hello") == "hello"
    found = re.search(r"BURGLAR (.*)", administrator.log())
    tried = json.loads(found[1])
    assert tried.pop("read its configuration") == "done"
    assert {name: result for name, result in tried.items() if result == "done"} == {}
    for unit in ("wsd.service",):
        exposure = administrator.run("systemd-analyze", "security", "--no-pager", unit).stdout
        assert float(re.search(r"Overall exposure level[^0-9]*([0-9.]+)", exposure)[1]) <= 0.3, exposure


def test_a_daemon_that_binds_its_own_sockets(administrator, packages):
    """The example of a drop-in: less sheltered, and still well."""
    machine = administrator.machine
    administrator.install(packages[0])
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


def listeners(administrator):
    return json.loads(administrator.run("wsctl", "status", "--json").stdout)["listeners"]


def test_another_address_is_for_the_unit_to_say(administrator, packages):
    """As the manual says it: an empty ListenStream= first."""
    administrator.install(packages[0])
    administrator.machine.write(
        "/etc/systemd/system/wsd.socket.d/override.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n"
    )
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "stop", "wsd.service")
    administrator.run("systemctl", "restart", "wsd.socket")
    assert administrator.run("curl", "--silent", "--fail", "--head", "http://127.0.0.1/").stdout.startswith("HTTP/1.1 200")
    assert listeners(administrator) == ["127.0.0.1:80"]


def test_io_uring_is_out_unless_it_is_let_in(administrator, packages):
    """With the filter of the unit the daemon does without it, and with the example it has one, where this kernel does."""
    machine = administrator.machine
    administrator.install(packages[0])
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


def test_a_browser_talks_to_the_installed_service(administrator, packages):
    """The chat page of the package in a real Chromium, and what the package's own test of itself finds."""
    administrator.install(packages[0])
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
    package, symbols = packages
    administrator.install(package)
    assert administrator.talk("hello") == "hello"
    worker = r"wsd-worker-0\n(  .*\n)*"
    bare = administrator.run("wsctl", "profile", "stacks").stdout
    assert re.search(worker, bare) and "Engine.Worker" not in bare
    administrator.install(symbols)
    named = re.search(worker, administrator.run("wsctl", "profile", "stacks").stdout)
    assert "Engine.Worker.run()" in named[0]


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


def test_credentials_reach_the_daemon_and_nobody_else(administrator, packages):
    machine = administrator.machine
    administrator.install(packages[0])
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
