"""Commands that watch the daemon go on with the next process when it is restarted, and end when it is stopped."""

import json
import signal
from types import SimpleNamespace

import pytest

from fdstore import ServiceManager
from jsonclient import JSONClient
from test_watch import Follower, top_in
from waiting import DEADLINE, wait_until


@pytest.fixture
def service(wsd_directory):
    """A service manager with a running daemon."""
    manager = ServiceManager(wsd_directory)
    manager.start()
    yield manager
    manager.close()


def address(service):
    """What a command has to know of the daemon."""
    return SimpleNamespace(control=service.control_path)


def restart(service, way):
    """Ends the daemon in a way, and starts the next one."""
    if way == "crash":
        service.kill()
        service.start()
    else:
        service.restart()


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_monitor_goes_on(service, way):
    with Follower(address(service), "monitor", "--json") as follower:
        for number in (1, 2):
            restart(service, way)
            wait_until(lambda: sum("is back" in line for line in follower.notes) == number, "it is back")
        with JSONClient(service.port) as client:
            name = client.welcome["connection"]
        events = [json.loads(line) for line in follower.wait_for(2)]
        assert [(each["kind"], each["id"]) for each in events[-2:]] == [("connect", name), ("close", name)]
        assert follower.notes.count("watching\n") == 1
        told = sum("has ended; waiting" in line for line in follower.notes)
        assert told == 2
        assert follower.process.poll() is None
        follower.process.send_signal(signal.SIGINT)
        assert follower.process.wait(DEADLINE) == -signal.SIGINT


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_top_goes_on(service, way):
    command = ["top", "--json", "--interval", "0.1"]
    with Follower(address(service), *command, begun=lambda self: self.lines) as follower:
        before = json.loads(follower.lines[0])["status"]["pid"]
        restart(service, way)
        wait_until(lambda: json.loads(follower.lines[-1])["status"]["pid"] == service.process.pid, "it is the next")
        assert before != service.process.pid
        assert sum("has ended" in line for line in follower.notes) <= 1


def test_top_on_a_terminal_goes_on(service, wsd_directory):
    terminal = top_in(wsd_directory, address(service), "--interval 0.1")
    try:
        terminal.wait_for("by queuedBytes")
        service.kill()
        # What waits in the socket would be answered by the next process.
        terminal.wait_for("waiting for it to come back")
        service.start()
        terminal.wait_for("by queuedBytes")
        service.kill()
        terminal.wait_for("waiting for it to come back")
        terminal.keys("q")
        terminal.wait_for("left 0")
        service.start()
    finally:
        terminal.close()


def test_monitor_ends_with_a_stop(service):
    with Follower(address(service), "monitor") as follower:
        service.process.terminate()
        assert follower.process.wait(DEADLINE) == 69
        wait_until(lambda: any("the daemon has ended" in line for line in follower.notes), "it is said")
        assert not any("waiting" in line for line in follower.notes)


def test_a_daemon_that_stays_away(service):
    with Follower(address(service), "monitor", "--wait", "1") as follower:
        service.hub.close()
        service.control.close()
        service.kill()
        assert follower.process.wait(DEADLINE) == 69
        wait_until(lambda: len(follower.notes) >= 4, "all is said")
        assert "waiting for it" in follower.notes[1] and "the daemon has ended" in follower.notes[2]
