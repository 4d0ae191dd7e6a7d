"""`systemctl restart` under a real systemd keeps every connection."""

import json
import re
import time

import pytest
from restartcrowd import Crowd
from wsdaemon import toml


@pytest.fixture
def crowd(wsd):
    """Clients who talk all the time, from outside of the machine."""
    configure(wsd, 2)
    wsd.machine.run("systemctl", "start", "wsd.service")
    crowd = Crowd(8080, groups=12, size=5, network=f"/proc/{wsd.machine.leader}/ns/net")
    yield crowd
    crowd.finish()


def configure(wsd, workers):
    wsd.configure(toml(Crowd.config(12) | {"server": {"workers": workers, "max_connections": 1000}}))


def test_nobody_notices_a_restart(wsd, crowd):
    process = wsd.show("MainPID")
    for workers in (1, 4, 2):
        crowd.wait_for_more()
        crowd.forget_silence()
        configure(wsd, workers)
        wsd.machine.run("systemctl", "restart", "wsd.service")
        crowd.wait_for_more()
        assert wsd.show("MainPID") != process
        process = wsd.show("MainPID")
        # Besides a snapshot; systemd closes what is removed from the store in its own time.
        wsd.wait_for_property("NFileDescriptorStore", "^[01]$")
        status = json.loads(wsd.machine.run("wsctl", "status", "--json").stdout)
        report = status["lastRestart"]
        assert (report["adopted"], report["closed"]) == (len(crowd.clients), 0), report
        print(f"{wsd.machine.suite}: {crowd.longest_silence() * 1000:.0f} ms of silence, {report}")
    assert wsd.show("NRestarts") == "0"
    assert [entry["MESSAGE"] for entry in wsd.journal("-u", "wsd.service", "-p", "warning")] == []
    assert [entry for entry in wsd.journal("-u", "wsd.service") if "restarted:" in entry["MESSAGE"]]


def test_wsctl_restarts(wsd, crowd):
    crowd.wait_for_more()
    plan = json.loads(wsd.machine.run("wsctl", "restart", "--dry-run", "--json").stdout)
    assert plan == {"kept": len(crowd.clients), "handshakes": 0, "closed": {}}
    said = wsd.machine.run("wsctl", "restart").stdout
    assert re.search(rf"{len(crowd.clients)} connections kept, 0 closed, \d+ ms of silence", said)
    crowd.wait_for_more()


@pytest.mark.parametrize("limit", [0, 1])
def test_a_store_that_is_too_small_is_noticed(wsd, limit):
    wsd.override(f"[Service]\nFileDescriptorStoreMax={limit}\n")
    wsd.configure('[drain]\nperiod = "1s"\n')
    wsd.machine.run("systemctl", "start", "wsd.service")
    client = wsd.client("hold", "3")
    assert client.stdout.readline() == "open\n"
    process = wsd.show("MainPID")
    wsd.machine.run("systemctl", "restart", "wsd.service")
    assert wsd.show("MainPID") not in ("0", process)
    codes = {json.loads(line)["code"] for line in client.communicate(timeout=60)[0].splitlines()}
    # From version 254 on systemd says what it takes, and the restart is a drain.
    assert codes in ({1012}, {1001})
    messages = [str(entry["MESSAGE"]) for entry in wsd.journal("-u", "wsd.service")]
    assert any("set FileDescriptorStoreMax=8 in" in message for message in messages), messages
    assert not any(message.startswith("parked 3 ") for message in messages), messages


def test_a_signal_by_hand_is_a_restart_too(wsd, crowd):
    crowd.wait_for_more()
    process = wsd.show("MainPID")
    wsd.machine.run("systemctl", "kill", "--signal=USR2", "wsd.service")
    wsd.wait_for_property("NRestarts", "^1$")
    wsd.wait_for_property("ActiveState", "^active$")
    assert wsd.show("MainPID") != process
    crowd.wait_for_more()
    report = json.loads(wsd.machine.run("wsctl", "status", "--json").stdout)["lastRestart"]
    assert (report["adopted"], report["closed"]) == (len(crowd.clients), 0), report
    wsd.wait_for_property("NFileDescriptorStore", "^[01]$")


def test_systemd_itself_is_executed_anew(wsd, crowd):
    for command in (["systemctl", "daemon-reexec"], ["systemctl", "restart", "wsd.service"], ["systemctl", "daemon-reload"]):
        crowd.wait_for_more()
        wsd.machine.run(*command)
    crowd.wait_for_more()



def test_the_history_survives_a_crash(wsd):
    wsd.configure(toml({"channels": {"*": {"history": 10}}, "restart": {"snapshot_interval": "100ms"}}))
    wsd.machine.run("systemctl", "start", "wsd.service")
    for crash in range(3):
        wsd.machine.run("wsctl", "publish", "lobby", f"message {crash}")
        wsd.wait_for_property("NFileDescriptorStore", "^1$")
        # Longer than the time between two snapshots.
        time.sleep(1)
        process = wsd.show("MainPID")
        wsd.machine.run("systemctl", "kill", "--signal=KILL", "wsd.service")
        wsd.wait_for_property("NRestarts", f"^{crash + 1}$")
        wsd.wait_for_property("ActiveState", "^active$")
        assert wsd.show("MainPID") != process
        kept = wsd.machine.run("wsctl", "history", "lobby", "--json").stdout
        assert [f"message {number}" in kept for number in range(crash + 1)] == [True] * (crash + 1), kept
    wsd.machine.run("systemctl", "stop", "wsd.service")
    wsd.wait_for_property("NFileDescriptorStore", "^0$")
