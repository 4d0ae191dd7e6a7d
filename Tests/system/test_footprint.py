"""What an idle connection costs in memory, as README.md says it."""

import json
import subprocess

import pytest

from waiting import wait_until
from wsdaemon import binary, clean_environment

# Before it is measured: what the first connections take once, such as code that is read from the disk.
EARLIER = 1_000
COUNT = 10_000


def idle(count, *options):
    return [binary("wsbench"), "idle", "-n", str(count), *options]


@pytest.mark.parametrize("path, most", [("/ws", 200), ("/chat", 320)], ids=["relay", "json"])
def test_an_idle_connection_costs_no_more_than_is_said(start_wsd, path, most):
    """The figures of before are 157 to 171 bytes and 288 to 315: memory comes in steps of 128 KiB, 13 for each."""
    daemon = start_wsd("[websocket]\nping_interval = '0s'", workers=1)
    earlier = subprocess.Popen(
        idle(EARLIER, "--duration", "1h", daemon.url(path)), env=clean_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        def connections():
            return json.loads(daemon.wsctl("status", "--json").stdout)["connections"]

        wait_until(lambda: connections() == EARLIER, "the first ones are there")
        done = subprocess.run(
            idle(COUNT, "--duration", "500ms", "--pid", str(daemon.pid), "--json", daemon.url(path)),
            env=clean_environment(), capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["connections"]["opened"] == COUNT
        cost = result["server"]["bytesPerConnection"]["open"]
        print(f"{cost} bytes for each idle connection")
        assert 50 < cost <= most
    finally:
        earlier.kill()
        earlier.wait()
