"""Restarts at size, under a real systemd: python restart_soak.py bookworm|trixie [soak|growth|drain] [--clients N] [--restarts N]

soak    thousands of clients who talk all the time, 1 MiB in fragments among it, while the service is restarted again and
        again with other numbers of workers, systemd itself executed anew between: nobody may be closed, nothing lost,
        doubled or in another place, and nobody be seen to leave
growth  how the silence of a restart grows with connections, channels and bytes of history
drain   when the clients of a service that is stopped are closed, and when they are served again

The clients are outside of the machine, in processes of their own; see cluster_soak.py for clusters.
"""

import argparse
import collections
import json
import resource
import selectors
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from certificates import Certificate
from container import SUITES, Installation, Machine
from crowds import Crowds
from jsonwire import JSONWire
from rawws import RawWebSocket, frame, handshake_headers, request
from restartcrowd import Crowd, enter
from wsdaemon import merged, toml

PORT = 8080
TLS_PORT = 8443
CERTIFICATE = {"certificate": "/etc/wsd/soak.pem", "key": "/etc/wsd/soak.key"}
SIZE = 10
PROCESSES = 4
# In each process, one who sends one message of 1 MiB after the other.
LEADERS = [(0.4, 1)]
# In a process that does little else, two who talk so often that a silence is seen.
WATCHING = {"groups": 2, "leaders": [(0.01, 0), (0.01, 0)]}
ROOMY = {
    "server": {"max_connections": 15_000, "workers": 2},
    # The clients share the machine's cores with the service, and are slower than it.
    "websocket": {"max_message_size": "2MiB", "pong_timeout": "60s"},
    "queue": {"limit": "64MiB"},
    "limits": {"history_bytes": "1GiB", "channels": 0, "errors_per_minute": 0, "memory": "4GiB"},
}


def network(machine):
    return f"/proc/{machine.leader}/ns/net"


def write_certificate(machine):
    """Puts a certificate and its key where the service reads them, new ones each time."""
    with tempfile.TemporaryDirectory() as directory:
        made = Certificate(directory, "soak")
        for name, path in (("certificate", made.certificate), ("key", made.key)):
            machine.write(CERTIFICATE[name], path.read_text(), 0o640)
            machine.run("chgrp", "wsd", CERTIFICATE[name])


def restart(wsd):
    """Restarts the service; what it says of that, and the seconds that systemctl took."""
    begun = time.monotonic()
    wsd.machine.run("systemctl", "restart", "wsd.service", timeout=120)
    took = time.monotonic() - begun
    return json.loads(wsd.machine.run("wsctl", "status", "--json").stdout)["lastRestart"], took


def described(report):
    phases = ", ".join(f"{name} {report['phases'][name] * 1000:.0f}" for name in ("settle", "write", "start", "adopt"))
    return f"{report['silentSeconds'] * 1000:5.0f} ms ({phases})"


def soak(wsd, options):
    # An odd number, so that among those with long messages there are groups of both protocols.
    each = (options.clients // SIZE - WATCHING["groups"]) // PROCESSES - 1 | 1
    parts = [WATCHING, *[{"groups": each, "leaders": LEADERS}] * PROCESSES]
    config = merged(Crowd.config(sum(part["groups"] for part in parts)), ROOMY)
    config["channels"]["group-*"]["history"] = 20

    def configure(workers):
        wsd.configure(toml(merged(config, {"server": {"workers": workers}})))

    tls_port = None
    if options.tls:
        tls_port = TLS_PORT
        config = merged(config, {"tls": {"certificates": [CERTIFICATE]}})
        write_certificate(wsd.machine)
        wsd.machine.run("systemctl", "enable", "--now", "wsd-tls.socket")
    configure(2)
    wsd.machine.run("systemctl", "start", "wsd.service")
    begun = time.monotonic()
    crowds = Crowds(
        PORT, parts=parts, size=SIZE, pause=options.pause, long=1 << 20, network=network(wsd.machine), tls_port=tls_port)
    try:
        print(f"{wsd.machine.suite}: {crowds.count} clients after {time.monotonic() - begun:.0f} s", flush=True)
        crowds.wait_for_more(1)
        for number in range(options.restarts):
            if options.tls:
                # The next process begins with another certificate, and this one takes it over, too.
                write_certificate(wsd.machine)
                wsd.machine.run("wsctl", "reload")
            workers = (1, 4, 2)[number % 3]
            configure(workers)
            if number % 2:
                wsd.machine.run("systemctl", "daemon-reexec")
            crowds.forget_silence()
            said = crowds.said()
            report, took = restart(wsd)
            crowds.wait_for_more(1)
            assert (report["adopted"], report["handshakes"], report["closed"]) == (crowds.count, 0, 0), report
            print(
                f"restart {number + 1:2}, {workers} workers: silence {described(report)}, at clients "
                f"{crowds.longest_silence() * 1000:.0f} ms, systemctl {took * 1000:.0f} ms, "
                f"{crowds.said() - said} messages until everybody had said another", flush=True)
        print(f"{crowds.said()} messages were said; waiting until everybody has heard everything", flush=True)
        crowds.finish()
        assert wsd.show("NRestarts") == "0"
        assert [entry["MESSAGE"] for entry in wsd.journal("-u", "wsd.service", "-p", "warning")] == []
        print("0 closed, 0 lost, 0 doubled, 0 in another place, nobody was seen to leave")
    finally:
        crowds.kill()


class Load:
    """What a restart has to keep: connections that are quiet, channels with a message each, or messages of 16 KiB."""

    CONFIG = {
        "endpoint": [
            {"path": "/ws", "protocol": "relay", "channel": "lobby"}, {"path": "/chat", "protocol": "json", "channel": ""},
        ],
        "channels": {"*": {"history": 100_000, "history_bytes": "64MiB"}},
    }  # fmt: skip

    def __init__(self):
        self.kept = []

    def connections(self, count):
        self.kept += [RawWebSocket(PORT) for _ in range(count)]

    def channels(self, count):
        self._publish(("chat", {"channel": f"channel-{number}", "data": "x" * 100}) for number in range(count))

    def megabytes(self, count):
        self._publish(("chat", {"channel": f"channel-{number % 50}", "data": "x" * 16_000}) for number in range(count * 64))

    def _publish(self, requests):
        with JSONWire(PORT) as wire:
            batch = []
            for request in [*requests, None]:
                if request:
                    batch.append(request)
                if len(batch) == 64 or not request and batch:
                    wire.answers(wire.request(*batch))
                    batch, wire.heard = [], []

    def close(self):
        for wire in self.kept:
            wire.close()


GROWTH = [
    {"connections": 500}, {"connections": 1500}, {"connections": 5000},
    {"connections": 500, "channels": 100}, {"connections": 500, "channels": 10_000}, {"connections": 500, "channels": 100_000},
    {"connections": 500, "megabytes": 1}, {"connections": 500, "megabytes": 10}, {"connections": 500, "megabytes": 100},
]  # fmt: skip


def growth(wsd, options):
    for each in GROWTH:
        wsd.reset()
        wsd.configure(toml(merged(Load.CONFIG, ROOMY)))
        wsd.machine.run("systemctl", "start", "wsd.service")
        load = Load()
        with ThreadPoolExecutor(1, initializer=enter, initargs=(network(wsd.machine),)) as inside:
            for name, count in each.items():
                inside.submit(getattr(load, name), count).result()
            reports = []
            for _ in range(5):
                report, _ = restart(wsd)
                assert (report["adopted"], report["closed"]) == (each["connections"], 0), report
                reports.append(report)
            load.close()
        middle = sorted(reports, key=lambda report: report["silentSeconds"])[len(reports) // 2]
        print(f"{', '.join(f'{count:,} {name}' for name, count in each.items()):34} {described(middle)}", flush=True)


class Returning:
    """Clients who connect again as soon as they are closed, and when each was closed and served."""

    def __init__(self, count):
        self.closed, self.served = [], []
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            wire = RawWebSocket(PORT)
            wire.socket.setblocking(False)
            self._selector.register(wire.socket, selectors.EVENT_READ, "open")

    def run(self):
        begun = time.monotonic()
        while self._selector.get_map():
            for key, _ in self._selector.select():
                at = time.monotonic() - begun
                self._selector.unregister(key.fileobj)
                if key.data == "open":
                    assert key.fileobj.recv(1024)[:1] == b"\x88", "not a close frame"
                    key.fileobj.send(frame(8, (1001).to_bytes(2, "big")))
                    self.closed.append(at)
                    again = socket.socket()
                    again.setblocking(False)
                    again.connect_ex(("127.0.0.1", PORT))
                    self._selector.register(again, selectors.EVENT_WRITE, "connecting")
                elif key.data == "connecting":
                    key.fileobj.send(request(handshake_headers(f"127.0.0.1:{PORT}"), "/ws"))
                    self._selector.register(key.fileobj, selectors.EVENT_READ, "waiting")
                else:
                    assert key.fileobj.recv(1024).startswith(b"HTTP/1.1 101"), "not served"
                    self.served.append(at)


def histogram(name, times):
    print(f"{name}: {len(times)}, the last after {max(times):.1f} s, in each second:")
    counts = collections.Counter(int(each) for each in times)
    for second in range(max(counts) + 1):
        print(f"{second:5} s {counts[second]:6} {'#' * (counts[second] * 60 // max(counts.values()))}", flush=True)


def drain(wsd, options):
    wsd.configure(toml(merged(merged(Load.CONFIG, ROOMY), {"websocket": {"ping_interval": "0s"}})))
    wsd.machine.run("systemctl", "start", "wsd.service")
    with ThreadPoolExecutor(1, initializer=enter, initargs=(network(wsd.machine),)) as inside:
        returning = inside.submit(Returning, options.clients).result()
        stopping = wsd.machine.popen("systemctl", "stop", "wsd.service")
        inside.submit(returning.run).result()
        stopping.communicate()
    histogram("closed", returning.closed)
    histogram("served again", returning.served)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("what", choices=["soak", "growth", "drain"], default="soak", nargs="?")
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--tls", action="store_true", help="soak: two of three by TLS, whose certificate is changed before each restart")
    parser.add_argument("--pause", type=float, default=20, help="seconds between two messages of a client")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Machine(options.suite) as machine:
        wsd = Installation(machine)
        wsd.reset()
        try:
            {"soak": soak, "growth": growth, "drain": drain}[options.what](wsd, options)
        except BaseException:
            print(wsd.log()[-4000:], file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
