"""Daemons that are killed: what their channels have kept goes on from a snapshot."""

import contextlib
import json
import os
import time
import urllib.request

import pytest

from fdstore import PARKED, ServiceManager
from jsonclient import JSONClient
from waiting import DEADLINE, wait_until

HISTORY = {"history": 100}
CONFIG = {"channels": {"*": HISTORY}, "restart": {"snapshot_interval": "100ms"}}


@pytest.fixture
def service(wsd_directory):
    """A service manager with a store, and no daemon yet."""
    manager = ServiceManager(wsd_directory)
    yield manager
    manager.close()


def contents(service):
    """What the stored snapshots have."""
    found = b""
    for name, descriptor in list(service.store):
        if name.startswith("wsd-snapshot-"):
            with contextlib.suppress(OSError):  # It has been replaced just now.
                found += os.pread(descriptor, 1 << 20, 0)
    return found


def wait_until_kept(service, text):
    wait_until(lambda: text.encode() in contents(service), f"{text!r} is in a snapshot")


def say(client, *texts):
    return [client.ok("chat", data=text)["seq"] for text in texts]


def data(client, **members):
    return [message["data"] for message in client.ok("history", limit=100, **members)["messages"]]


def test_history_survives_a_crash(service):
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        before = client.welcome
        assert say(client, "one", "two", "three") == [1, 2, 3]
        wait_until_kept(service, "three")
        service.kill()
    assert len(service.snapshots) == 1 and service.left == []
    service.start(CONFIG, workers=3)
    with JSONClient(service.port) as client:
        # The numbers go on, in another numbering.
        assert client.welcome["epoch"] != before["epoch"] and client.welcome["seq"] == 3
        assert data(client) == ["one", "two", "three"]
        assert say(client, "four") == [4]
        again = client.ok("join", channel="lobby", since={"epoch": before["epoch"], "seq": 3})
        assert again["recovered"] is False and again["epoch"] == client.welcome["epoch"]
        again = client.ok("join", channel="lobby", since={"epoch": again["epoch"], "seq": 3})
        assert again["recovered"] is True
    assert "go on with the history of its snapshot" in service.log()
    recovered = json.loads(service.wsctl("status", "--json").stdout)["recovered"]
    assert (recovered["channels"], recovered["messages"]) == (1, 3) and "takenAt" in recovered
    assert "1 channel with 3 messages after a crash" in service.wsctl("status").stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{service.api_port}/metrics") as answer:
        assert "\nwsd_recovered_channels 1\n" in answer.read().decode()


def test_an_orderly_end_is_none(service):
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        say(client, "one")
        wait_until_kept(service, "one")
    service.process.terminate()
    assert service.process.wait(DEADLINE) == 0
    service.barrier()
    assert service.store == []
    service.start(CONFIG)
    assert "recovered" not in json.loads(service.wsctl("status", "--json").stdout)


def test_a_number_is_never_given_twice(service):
    # One snapshot at the beginning, with one message, and no other.
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        say(client, "kept")
        wait_until_kept(service, "kept")
    service.kill()
    rare = CONFIG | {"restart": {"snapshot_interval": "1h"}}
    seen = set()
    for number in range(3):
        service.start(rare)
        with JSONClient(service.port) as client:
            # Its own first snapshot may have come after what it was told first.
            assert data(client)[:1] == ["kept"]
            for text in ("lost", f"lost {number}"):
                ack = client.ok("chat", data=text)
                assert (ack["epoch"], ack["seq"]) not in seen
                seen.add((ack["epoch"], ack["seq"]))
        service.kill()
        assert len(service.snapshots) == 1


def test_a_crash_after_a_restart(service):
    service.start(CONFIG | {"restart": {"snapshot_interval": "1h"}})
    with JSONClient(service.port) as client:
        say(client, "one")
        assert service.snapshots == []
        service.restart(CONFIG | {"restart": {"snapshot_interval": "1h"}})
        assert say(client, "two") == [2]
        wait_until(lambda: service.snapshots and service.left == [], "it is taken at once")
    service.kill()
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        assert data(client)[:1] == ["one"]
        # An orderly restart goes by its own state.
        say(client, "three")
        epoch = client.ok("join", channel="lobby")["epoch"]
        service.restart(CONFIG)
        assert data(client)[-1] == "three"
        assert client.ok("join", channel="lobby")["epoch"] == epoch


class Killer(ServiceManager):
    """Kills the daemon as soon as it says that it is ready."""

    kills = False

    def _notified(self, lines, descriptors):
        super()._notified(lines, descriptors)
        if self.kills and "READY=1" in lines:
            self.process.kill()


def test_a_crash_before_the_first_snapshot(wsd_directory):
    with contextlib.closing(Killer(wsd_directory)) as service:
        service.start(CONFIG)
        with JSONClient(service.port) as client:
            say(client, "one", "two")
            epoch = client.welcome["epoch"]
            assert service.stop_for_restart() == PARKED
            service.kills = True
            service.start(CONFIG, waits=False)
            service.process.wait(DEADLINE)
            service.kills = False
        service.start(CONFIG)
        with JSONClient(service.port) as client:
            assert data(client) == ["one", "two"]
            assert client.welcome["epoch"] != epoch and say(client, "three") == [3]
            wait_until_kept(service, "three")
            wait_until(lambda: service.left == [], "the snapshot is there instead")


def leave_one(service):
    """Has a process keep the message "one" in a snapshot, and kills it."""
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        say(client, "one")
        wait_until_kept(service, "one")
    service.kill()


@pytest.mark.parametrize("content", [b"", b"wsdpark\n" + bytes(100), b"\0" * 1000])
def test_a_snapshot_that_cannot_be_read(service, content):
    leave_one(service)
    file = os.memfd_create("other")
    os.write(file, content)
    service.store = [(name, file) for name, _ in service.store]
    service.start(CONFIG)
    assert "can't be read" in service.log()
    with JSONClient(service.port) as client:
        assert client.welcome["seq"] == 0 and data(client) == []
        say(client, "two")
        wait_until_kept(service, "two")
    service.kill()
    assert len(service.snapshots) == 1
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        assert data(client) == ["two"]


@pytest.mark.parametrize("readings", [0, 1, 2])
def test_a_snapshot_that_may_have_ended_two_processes(service, readings):
    leave_one(service)
    [(_, file)] = service.store
    # As processes do that read it.
    if readings > 0:
        os.lseek(file, readings - 1, os.SEEK_SET)
    service.start(CONFIG)
    is_dropped = readings == 2
    assert ("the snapshot that an earlier process has left is dropped" in service.log()) == is_dropped
    with JSONClient(service.port) as client:
        assert data(client) == ([] if is_dropped else ["one"])
        say(client, "two")
        wait_until_kept(service, "two")
    service.kill()
    assert len(service.snapshots) == 1


def test_the_older_snapshot_where_the_newer_is_torn(service):
    leave_one(service)
    file = os.memfd_create("other")
    os.write(file, b"wsdpark\n" + bytes(10))
    [(name, kept)] = service.store
    other = {"wsd-snapshot-1": "wsd-snapshot-2", "wsd-snapshot-2": "wsd-snapshot-1"}[name]
    service.store = [(name, kept), (other, file)]
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        assert data(client) == ["one"]
        say(client, "two")
        wait_until_kept(service, "two")
    service.kill()
    assert len(service.snapshots) == 1


def test_none_where_none_is_wanted(service):
    leave_one(service)
    assert len(service.snapshots) == 1
    off = CONFIG | {"restart": {"snapshot_interval": "0s"}}
    service.start(off)
    assert service.store == []
    with JSONClient(service.port) as client:
        assert data(client) == []
        say(client, "one")
        time.sleep(0.3)
    assert service.store == []


def test_only_if_something_was_published(service):
    service.start(CONFIG)
    with JSONClient(service.port) as client:
        say(client, "one")
        wait_until_kept(service, "one")
        count = len(service.notifications)
        time.sleep(0.5)
        # One more if the message came while the first was taken.
        assert service.notifications[count:].count("FDSTORE=1") <= 1
