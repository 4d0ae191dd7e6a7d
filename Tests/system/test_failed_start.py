"""Clients who wait for a daemon that can't start are answered: else its service manager starts it for them again and again."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys

import pytest

from fdstore import PASS
from rawws import Wire
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment

BROKEN = {
    "a wrong key": ("[limits]\nnonsense = 1\n", "nonsense"),
    "no TOML": ("[limits\n", "wsd.toml:1"),
    "no such key file": ('[auth]\nmode = "jwt"\nhmac_secret_file = "/nowhere/key"\n', "/nowhere/key"),
}


class Service:
    """The sockets of the units, and the daemon that is started with them."""

    def __init__(self, directory):
        self.directory = directory
        self.hub, self.api = socket.create_server(("127.0.0.1", 0), backlog=1000), socket.create_server(("127.0.0.1", 0))
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(str(directory / "control"))
        self.control.listen()
        self.process = self.command = None

    def start(self, configuration, *arguments, names="wsd:api:control", prefix=()):
        (self.directory / "wsd.toml").write_text(configuration)
        self.command = (configuration, *arguments)
        passed = [self.hub.fileno(), self.api.fileno(), self.control.fileno()]
        self.process = subprocess.Popen(
            [
                *prefix, sys.executable, "-c", PASS, names, ",".join(map(str, passed)),
                binary("wsd"), "--config", self.directory / "wsd.toml", *arguments,
            ],
            env=clean_environment(), pass_fds=passed, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def serve(self, is_answered):
        """Waits for an answer, as a service manager does: where the daemon has ended meanwhile, it is started again."""

        def is_served():
            if is_answered():
                return True
            if self.process.poll() is not None:
                self.end()
                self.start(*self.command)
            return False

        wait_until(is_served, "an answer comes")

    def end(self):
        """Its exit status, and what it said."""
        _, said = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, said

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for listener in (self.hub, self.api, self.control):
            listener.close()


@pytest.fixture
def service(tmp_path):
    with contextlib.closing(Service(tmp_path)) as service:
        yield service


def ask(listener):
    wire = Wire(listener.getsockname()[1])
    wire.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
    return wire


def expect_turned_away(wire):
    response = wire.read_response()
    assert response.status == 503
    assert response.header("Retry-After") == "5" and response.header("Connection") == "close"
    wire.expect_end()
    wire.close()
    return response


@pytest.mark.parametrize("broken", BROKEN)
def test_who_waits_and_who_comes_is_told_to_come_later(service, broken):
    configuration, named = BROKEN[broken]
    waiting = [ask(service.hub), ask(service.api)]
    service.start(configuration)
    hub, api = map(expect_turned_away, waiting)
    assert hub.header("Content-Type") == "text/plain" and b"come later" in hub.body
    assert api.header("Content-Type") == "application/problem+json" and json.loads(api.body)["status"] == 503
    for listener in (service.hub, service.api):
        wire = ask(listener)
        service.serve(lambda: select.select([wire.socket], [], [], 0)[0])
        expect_turned_away(wire)
    status, said = service.end()
    assert status == os.EX_CONFIG and named in said
    # The sockets are the service manager's: still there.
    socket.create_connection(service.hub.getsockname()).close()


def test_more_wait_than_are_kept(service):
    waiting = [ask(service.hub) for _ in range(900)]
    service.start(BROKEN["a wrong key"][0])
    for wire in waiting:
        assert wire.read_response().status == 503
        wire.close()
    assert service.end()[0] == os.EX_CONFIG


def test_wsctl_is_told(service):
    with subprocess.Popen(
        [binary("wsctl"), "--socket", service.directory / "control", "status"],
        env=clean_environment(), stderr=subprocess.PIPE, text=True,
    ) as wsctl:  # fmt: skip
        service.start(BROKEN["a wrong key"][0])
        service.serve(lambda: wsctl.poll() is not None)
        _, said = wsctl.communicate(timeout=DEADLINE)
    assert wsctl.returncode == os.EX_UNAVAILABLE and "journalctl" in said
    assert service.end()[0] == os.EX_CONFIG


@pytest.mark.parametrize("argument", ["--nonsense", "--listen=nowhere"])
def test_a_wrong_command_line_is_no_different(service, argument):
    wire = ask(service.hub)
    service.start("", argument)
    expect_turned_away(wire)
    status, said = service.end()
    assert status == os.EX_USAGE and said.count("nonsense") + said.count("nowhere") == 1


@pytest.mark.parametrize("broken", ["a wrong key", "no such key file"])
def test_it_can_be_stopped_meanwhile(service, broken):
    # A slow machine may be late for once.
    for _ in range(5):
        wire = ask(service.hub)
        service.start(BROKEN[broken][0])
        expect_turned_away(wire)
        service.process.send_signal(signal.SIGTERM)
        status, _ = service.end()
        if status != os.EX_CONFIG:
            break
    assert status == -signal.SIGTERM


def test_an_address_in_use_is_no_different(service):
    """Its control socket is passed, and its own listener can't be had."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        service.hub, hub = other, service.hub
        wire = ask(service.api)
        with contextlib.closing(hub):
            service.start(f'[server]\nlisten = ["127.0.0.1:{taken}"]\n', names="unknown:api:control")
            expect_turned_away(wire)
        status, said = service.end()
    assert status == 1 and str(taken) in said
    assert 'systemd has passed no socket named "wsd"' in said and "systemctl status wsd.socket" in said


def test_a_check_answers_nobody(service):
    with contextlib.closing(ask(service.hub)):
        service.start(BROKEN["a wrong key"][0], "--check-config")
        assert service.end()[0] == os.EX_CONFIG
        assert service.hub.accept()[0].recv(3) == b"GET"


@pytest.mark.parametrize("key", ["control.path", "control.status_path"])
def test_a_service_does_without_a_socket_for_wsctl_that_is_not_passed(service, key):
    """But not without one that somebody has named."""
    table, name = key.split(".")
    default = "/run/wsd/io.wsd." + ("Control" if name == "path" else "Status")
    if os.path.exists(default):
        pytest.skip("a daemon of this machine listens there")
    read_only = ("unshare", "--mount", "sh", "-c", "mount --bind -o ro /sys /run && exec \"$@\"", "sh")
    others = "path" if name == "status_path" else "status_path"
    configuration = f'[control]\n{others} = "{service.directory}/other"\n'
    service.start(configuration, names="wsd:api:unknown", prefix=read_only)
    wire = ask(service.hub)
    assert wire.read_response().status == 426
    wire.close()
    service.process.send_signal(signal.SIGTERM)
    status, said = service.end()
    assert status == 0 and f"systemctl status wsd-{'control' if name == 'path' else 'status'}.socket" in said
    service.start(configuration + f'{name} = "/run/wsd/named"\n', names="wsd:api:unknown", prefix=read_only)
    status, said = service.end()
    assert status not in (0, -signal.SIGTERM) and f"{key}: " in said
