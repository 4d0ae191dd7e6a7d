"""The Debian package: what is in it, and its life in booted machines of both releases."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browser import Browser
from container import SUITES, Machine, kill, wait_for
from container.passage import Passage

from waiting import wait_until
from wsdaemon import REPOSITORY

SOCKETS = ("wsd.socket", "wsd-api.socket", "wsd-control.socket", "wsd-status.socket")


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The package and that of its debug symbols, built as an administrator builds them."""
    directory = tmp_path_factory.mktemp("dist")
    run(REPOSITORY / "packaging/deb", directory)
    [package] = directory.glob("wsd_*.deb")
    [symbols] = directory.glob("wsd-dbgsym_*.deb")
    return package, symbols


@pytest.fixture(scope="session")
def tree(packages, tmp_path_factory):
    """What the package installs."""
    directory = tmp_path_factory.mktemp("tree")
    run("dpkg-deb", "--extract", packages[0], directory)
    return directory


def changed(package, directory, version, change=lambda tree: None):
    """The same package with another version, and with what `change` makes of its tree."""
    tree = directory / f"wsd-{version}"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
    change(tree)
    target = directory / f"wsd_{version}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, target)
    return target


def test_lintian_finds_nothing(packages):
    found = run("lintian", "--pedantic", "--display-experimental", "--display-info", "--allow-root", *packages)
    assert [line for line in found.splitlines() if line[:1] in "EWIPX" and line[1:2] == ":"] == []


def test_what_is_in_it(tree):
    files = {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir()}
    expected = {f"usr/bin/{name}" for name in ("wsd", "wsctl", "wsbench")}
    expected |= {f"lib/systemd/system/{unit}" for unit in (*SOCKETS, "wsd.service")}
    expected |= {"usr/lib/sysusers.d/wsd.conf", "usr/lib/tmpfiles.d/wsd.conf"}
    expected |= {"etc/wsd/wsd.toml", "etc/apparmor.d/wsd", "etc/ufw/applications.d/wsd", "etc/logcheck/ignore.d.server/wsd"}
    for name in ("wsd", "wsctl", "wsbench"):
        expected.add(f"usr/share/bash-completion/completions/{name}")
        expected.add(f"usr/share/zsh/vendor-completions/_{name}")
        expected.add(f"usr/share/fish/vendor_completions.d/{name}.fish")
    for page in (REPOSITORY / "man").iterdir():
        expected.add(f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz")
    examples = {path.name for path in tree.glob("usr/share/doc/wsd/examples/**/*")}
    assert {"self-bind.conf", "credentials.conf", "nginx.conf", "haproxy.cfg", "Caddyfile"} <= examples
    assert {"wsd.rules.yml", "prometheus.yml", "50-site.toml.example"} <= examples
    assert expected <= files, expected - files
    copyright = (tree / "usr/share/doc/wsd/copyright").read_text()
    resolved = json.loads((REPOSITORY / "Package.resolved").read_text())
    for pin in resolved["pins"]:
        assert pin["location"].removesuffix(".git").split("/")[-1] in copyright, f"{pin['location']} is not named"


@pytest.mark.parametrize("name", ["wsd", "wsctl", "wsbench"])
def test_programs_are_hardened(tree, name):
    program = tree / "usr/bin" / name
    header = run("readelf", "--wide", "--file-header", "--program-headers", "--dynamic", program)
    assert re.search(r"Type: +DYN", header) and "GNU_RELRO" in header
    assert re.search(r"\(FLAGS(_1)?\).*\b(BIND_)?NOW\b", header)
    assert "(RUNPATH)" not in header and "(RPATH)" not in header
    assert ".symtab" not in run("readelf", "--wide", "--sections", program), "stripped"
    assert program.stat().st_size < {"wsd": 34, "wsctl": 16, "wsbench": 16}[name] << 20


def test_nothing_names_the_machine_it_was_built_on(tree):
    for name in ("wsd", "wsctl", "wsbench"):
        assert str(REPOSITORY).encode() not in (tree / "usr/bin" / name).read_bytes()


def test_it_is_the_same_when_it_is_built_again(packages, tmp_path):
    run(REPOSITORY / "packaging/deb", tmp_path)
    for package in packages:
        assert (tmp_path / package.name).read_bytes() == package.read_bytes()


def test_the_apparmor_profile_is_read(tree):
    run("apparmor_parser", "--skip-kernel-load", "--skip-cache", tree / "etc/apparmor.d/wsd")


def test_logcheck_leaves_out_what_is_daily(tree):
    patterns = (tree / "etc/logcheck/ignore.d.server/wsd").read_text().splitlines()
    lines = {
        "2026-11-24T13:02:29.123456+00:00 host wsd[24128]: listening on [::]:8080": True,
        "Nov 24 13:02:29 host wsd[24128]: reloaded, no changes": True,
        "Nov 24 13:02:29 host wsd[24128]: not reloaded; everything stays as it was": False,
        "Nov 24 13:02:29 host wsd[24128]: accepting connections fails, trying again": False,
    }
    for line, is_daily in lines.items():
        matched = subprocess.run(["grep", "-qE", *[f"-e{each}" for each in patterns]], input=line, text=True)
        assert (matched.returncode == 0) == is_daily, line


class Administrator:
    """Who installs the package in a booted machine."""

    def __init__(self, machine):
        self.machine = machine
        self.run = machine.run

    def apt(self, *arguments, status=0):
        return self.run(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet=2", "-o", "Dpkg::Use-Pty=0",
            *arguments, status=status, timeout=120,
        )

    def install(self, package, *options, status=0):
        shutil.copy(package, self.machine.path("/tmp"))
        return self.apt("install", *options, f"/tmp/{package.name}", status=status)

    def is_active(self, unit):
        return self.run("systemctl", "is-active", unit, status=None).stdout.strip() == "active"

    @property
    def pid(self):
        return int(self.run("systemctl", "show", "--value", "-p", "MainPID", "wsd.service").stdout)

    def talk(self, text):
        return self.run("python3", "/tmp/client.py", "talk", text).stdout.strip()

    def log(self):
        return self.run("journalctl", "--no-pager", "-u", "wsd*").stdout

    def troubles(self):
        """What the journal has of the units at the level of a warning and above."""
        lines = self.run("journalctl", "--no-pager", "-p", "warning", "-o", "cat", "-u", "wsd*").stdout.splitlines()
        # The machine that tests has fewer files to open than the unit asks for.
        return [line for line in lines if "limit of" not in line and "LimitNOFILE" not in line]


@pytest.fixture(params=SUITES)
def administrator(request):
    with Machine(request.param) as machine:
        machine.write("/tmp/client.py", (Path(__file__).parent / "container/client.py").read_text())
        yield Administrator(machine)


def test_the_life_of_the_package(administrator, packages, tmp_path):
    machine = administrator.machine
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

    # Members of the group steer it, others look.
    administrator.run("systemd-sysusers", "--inline", "u alice -", "u bob -", "m alice wsd-admin")
    assert '"connections":' in administrator.run("setpriv", *identity("bob"), "wsctl", "status", "--json").stdout
    refused = administrator.run("setpriv", *identity("bob"), "wsctl", "broadcast", "x", status=None)
    assert refused.returncode == 77 and "wsd-admin" in refused.stderr
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
        assert administrator.run("sh", "-c", "wsctl profile cpu --seconds 1 | wc -c").stdout.strip() > "100"
    finally:
        kill(clients)
    assert administrator.troubles() == []

    # Upgraded: another process, and meanwhile a client always found somebody to connect to.
    upgrade = changed(package, tmp_path, "0.1.1")
    knocking = machine.popen("python3", "-c", KNOCK)
    try:
        wait_for(lambda: knocking.stdout.readline(), "it knocks")
        administrator.install(upgrade)
        wait_until(lambda: administrator.pid not in (0, first), "the new one runs")
    finally:
        machine.run("pkill", "-INT", "-f", "knock-at-the-door")
    assert knocking.communicate(timeout=60)[0].strip().endswith("refused 0")
    assert administrator.talk("after the upgrade") == "after the upgrade"
    assert administrator.troubles() == []

    # A configuration that the new version does not like: the old process goes on serving, and it is said.
    machine.write("/etc/wsd/wsd.toml.d/50-broken.toml", "[limits]\nnonsense = 1\n")
    second = administrator.pid
    told = administrator.install(changed(package, tmp_path, "0.1.2"))
    assert administrator.pid == second and "goes on running" in told.stdout + told.stderr
    assert administrator.talk("still here") == "still here"
    assert "nonsense" in administrator.log()
    # Restarted all the same: it says why and stays down, with 78 and without a loop.
    administrator.run("systemctl", "stop", "wsd.service", *SOCKETS)
    administrator.run("systemctl", "start", "wsd.service", status=None)
    assert not administrator.is_active("wsd.service")
    status = administrator.run("systemctl", "show", "-p", "ExecMainStatus", "-p", "NRestarts", "wsd.service").stdout
    assert "ExecMainStatus=78" in status and "NRestarts=0" in status
    machine.path("/etc/wsd/wsd.toml.d/50-broken.toml").unlink()
    administrator.run("systemctl", "reset-failed", "wsd.service", status=None)
    administrator.run("systemctl", "start", *SOCKETS)
    assert administrator.talk("repaired") == "repaired"

    # A conffile that both sides changed: the usual question.
    with open(machine.path("/etc/wsd/wsd.toml"), "a") as file:
        file.write("\n[drain]\nperiod = \"1s\"\n")

    def change(tree):
        with open(tree / "etc/wsd/wsd.toml", "a") as file:
            file.write("\n# A newer version's.\n")

    newer = changed(package, tmp_path, "0.1.3", change)
    asked = administrator.run("dpkg", "--install", copied(machine, newer), status=None)
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
    assert [path for path in left if not path.startswith("/var/lib/systemd/deb-systemd-helper")] == []
    administrator.install(package)
    assert administrator.talk("again") == "again"


# Connects again and again until it is told to end, and says how often nobody was there.
KNOCK = """
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


def identity(user):
    return f"--reuid={user}", f"--regid={user}", "--init-groups"


def copied(machine, package):
    shutil.copy(package, machine.path("/tmp"))
    return f"/tmp/{package.name}"


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
    machine.write("/etc/systemd/system/wsd.service.d/self-bind.conf", example)
    machine.write("/etc/wsd/wsd.toml.d/50-listen.toml", '[server]\nlisten = ["127.0.0.1:8080"]\n')
    administrator.run("systemctl", "disable", "--now", "wsd.socket", "wsd-api.socket")
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "start", "wsd.service")
    assert administrator.talk("hello") == "hello"
    exposure = administrator.run("systemd-analyze", "security", "--no-pager", "wsd.service").stdout
    assert float(re.search(r"Overall exposure level[^0-9]*([0-9.]+)", exposure)[1]) <= 1.2, exposure


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
