"""Where keys are not: in a core file, in what another process can read, and in memory once nobody needs them."""

import os
import re
import resource
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from certificates import Certificate, client_context
from fdstore import ServiceManager
from rawws import RawWebSocket
from securedaemon import SecureDaemon
from waiting import wait_until

# Where the kernel puts core files: this only sees those in the directory of the process.
PATTERN = Path("/proc/sys/kernel/core_pattern").read_text().strip()


@pytest.fixture
def start(wsd_directory):
    started = []

    def start(prefix=(), **tls):
        started.append(SecureDaemon(wsd_directory / str(len(started)), {"tls": tls}, prefix=prefix))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


def connect(port, directory, version=None):
    """A client and the secrets of its connection, which only the two ends know."""
    log = directory / "keylog"
    log.unlink(missing_ok=True)
    context = client_context(version)
    context.keylog_filename = str(log)
    client = RawWebSocket(port, tls=context)
    client.expect_echo()
    found = re.findall(r"^(?:CLIENT|SERVER)_TRAFFIC_SECRET_0 \S+ (\S+)$", log.read_text(), re.MULTILINE)
    assert len(found) == 2
    return client, [bytes.fromhex(secret) for secret in found]


def memory(pid):
    """What a process can write to, its stacks among it."""
    pieces = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(number, 16) for number in span.split("-"))
                try:
                    mem.seek(start)
                    pieces.append(mem.read(end - start))
                except OSError:
                    pass
    return b"\0".join(pieces)


def places(secrets, content):
    """How often each secret is there, and how often as text."""
    return [(content.count(secret), content.count(secret.hex().encode())) for secret in secrets]


def test_a_secret_is_in_memory_once_and_with_the_connection_it_goes(start):
    # Also without privileges a parent may read the memory then.
    daemon = start(core_dumps=True)
    client, secrets = connect(daemon.tls_port, daemon.directory, ssl.TLSVersion.TLSv1_3)
    assert places(secrets, memory(daemon.pid)) == [(1, 0), (1, 0)]
    client.close()
    wait_until(lambda: not daemon.connections(), "the connection is gone")
    assert places(secrets, memory(daemon.pid)) == [(0, 0), (0, 0)]


def test_after_a_restart_a_secret_is_in_memory_once(wsd_directory, tmp_path):
    tls = {"tls": {"core_dumps": True}}
    service = ServiceManager(wsd_directory, certificate=Certificate(tmp_path, "server"))
    try:
        service.start(tls)
        client, secrets = connect(service.tls_port, tmp_path)
        service.restart(tls)
        client.expect_alive()
        assert places(secrets, memory(service.process.pid)) == [(1, 0), (1, 0)]
        client.close()
    finally:
        service.close()


@pytest.mark.skipif(PATTERN.startswith(("/", "|")), reason="core files go elsewhere")
@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_crash_leaves_no_core_unless_it_may(wsd_directory, is_allowed):
    daemon = SecureDaemon(wsd_directory, {"tls": {"core_dumps": is_allowed}})
    client, secrets = connect(daemon.tls_port, daemon.directory)
    most = resource.prlimit(daemon.pid, resource.RLIMIT_CORE)[1]
    resource.prlimit(daemon.pid, resource.RLIMIT_CORE, (most, most))
    daemon.stop(signal.SIGABRT)
    daemon.kill()
    client.close()
    cores = [*daemon.directory.glob("core*")]
    assert bool(cores) == is_allowed, cores
    # What the daemon may not leave behind is indeed in there.
    for core in cores:
        assert all(count > 0 for count, _ in places(secrets, core.read_bytes()))


@pytest.mark.parametrize("is_allowed", [False, True])
def test_another_process_of_the_user_can_not_look_into_it(start, is_allowed):
    # Root as any other user: without the right to look into every process, and neither has the daemon that or others.
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    daemon = start(prefix=unprivileged, core_dumps=is_allowed)
    done = subprocess.run([*unprivileged, "cat", f"/proc/{daemon.pid}/maps"], capture_output=True, text=True)
    assert (done.returncode == 0) == is_allowed, done.stderr
    # By itself it still sees what a profile needs.
    profile = daemon.wsctl("profile", "stacks")
    assert profile.returncode == 0, profile.stderr


def test_a_reload_that_is_refused_does_not_change_it(start):
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    daemon = start(prefix=unprivileged)

    def may_look():
        return subprocess.run([*unprivileged, "cat", f"/proc/{daemon.pid}/maps"], capture_output=True).returncode == 0

    before = daemon.config_path.read_text()
    wrong = '[tls]\ncore_dumps = true\nclient_certificates = "required"\nclient_ca = "/nowhere"\n'
    daemon.config_path.write_text(before.replace("[tls]\n", wrong))
    assert daemon.wsctl("reload").returncode != 0
    assert not may_look()
    daemon.config_path.write_text(before.replace("[tls]\n", "[tls]\ncore_dumps = true\n"))
    assert daemon.wsctl("reload").returncode == 0
    assert may_look()
    daemon.config_path.write_text(before.replace("[tls]\n", wrong.replace("true", "false")))
    assert daemon.wsctl("reload").returncode != 0
    assert may_look()


def test_a_reload_changes_it(start):
    daemon = start()
    before = daemon.config_path.read_text()
    for value in ("true", "false"):
        daemon.config_path.write_text(before.replace("[tls]\n", f"[tls]\ncore_dumps = {value}\n"))
        done = daemon.wsctl("reload")
        assert done.returncode == 0 and "tls.core_dumps" in done.stdout, done.stdout + done.stderr
