"""The memory of a restart: what is handed over is there twice at most, as it lives and as it is written."""

from pathlib import Path

import os

import pytest

from fdstore import PARKED, ServiceManager
from jsonwire import JSONWire
from rawws import RawWebSocket

MEBIBYTE = 1 << 20
CONNECTIONS = 2_000
HISTORY = 128 * MEBIBYTE
MESSAGE = 16_000
# Beyond what is counted: of what lives, what its parts take besides their bytes; of the process, what a restart itself needs.
ROOM = 0.15 * HISTORY


def memory(pid):
    """The resident memory of a process, now and at most (proc(5))."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


class MeasuringManager(ServiceManager):
    """Looks at the memory of a process just before it ends: a process that parks waits for the answer to its barrier."""

    def _notified(self, lines, descriptors):
        if "BARRIER=1" in lines and self.process.poll() is None:
            self.at_barrier = memory(self.process.pid)
            self.state_size = sum(os.fstat(descriptor).st_size for name, descriptor in self.store if name == "wsd-state")
        super()._notified(lines, descriptors)


@pytest.fixture
def service(wsd_directory):
    manager = MeasuringManager(wsd_directory)
    yield manager
    manager.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_state_is_never_there_three_times(service, workers):
    config = {
        "endpoint": [
            {"path": "/ws", "protocol": "relay", "channel": "lobby"}, {"path": "/chat", "protocol": "json", "channel": ""},
        ],
        "channels": {"*": {"history": 100_000, "history_bytes": "64MiB"}},
        "limits": {"history_bytes": "1GiB", "memory": "2GiB"},
        # A snapshot would be another copy.
        "restart": {"snapshot_interval": "0s"},
    }  # fmt: skip
    service.start(config, workers=workers)
    fresh, _ = memory(service.process.pid)
    clients = [RawWebSocket(service.port) for _ in range(CONNECTIONS)]
    with JSONWire(service.port) as wire:
        for start in range(0, HISTORY // MESSAGE, 64):
            wire.answers(wire.request(*(
                ("chat", {"channel": f"channel-{number % 40}", "data": "x" * MESSAGE}) for number in range(start, start + 64))))
            wire.heard = []
    before, _ = memory(service.process.pid)
    assert service.stop_for_restart() == PARKED
    left, most = service.at_barrier
    size = service.state_size
    service.start(config, workers=workers)
    _, most_after = memory(service.process.pid)
    figures = {"fresh": fresh, "before": before, "most": most, "left": left, "state": size, "most after": most_after}
    print({name: f"{figure / MEBIBYTE:.1f} MiB" for name, figure in figures.items()})
    assert size > HISTORY
    # It is written into buffers, and these go as the file grows.
    assert most - before < size + ROOM
    assert left - before < ROOM
    # The file, and what is made of it.
    assert most_after - fresh < 2 * size + ROOM
    for client in clients[::100]:
        client.expect_alive()
    for client in clients:
        client.close()
