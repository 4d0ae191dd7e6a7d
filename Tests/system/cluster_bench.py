"""What sharing channels through a broker costs on this machine: python cluster_bench.py [--only NAME] [--seconds S] [--broker B]

table        two nodes over each broker, side by side: what of the others is said in a line
latency      one channel, 1,000 messages a second to 10 subscribers: local, one node, two nodes
throughput   messages a second through one server, one node and two, with and without history, batches small and large
growth       1 to 8 nodes and 1 to 100,000 channels: CPU time of a message at the nodes and at the broker, memory of a channel
recover      the time after the broker was restarted until messages of all nodes come back, 10,000 channels
resubscribe  Redis: the time until 100,000 channels are subscribed again after it closed the subscription

Every program runs on the same cores, so that the rates are what all of them reach together; the CPU times are each one's own.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from brokerservices import SERVICES
from jsonwire import JSONWire
from plugins import plugin_environment
from rawws import TEXT, frame
from wsdaemon import Daemon, binary, clean_environment

TICKS = os.sysconf("SC_CLK_TCK")
PAYLOAD = "x" * 128


def cpu_seconds(pid):
    """The CPU time of a process (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Hub:
    """Nodes that share one broker; without one, a single node that is alone."""

    def __init__(self, count, broker, *, history=0, workers=1):
        self.directory = Path(tempfile.mkdtemp(prefix="wsd-bench-"))
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.service = None
        if broker:
            (self.directory / "broker").mkdir()
            # As it is measured everywhere: what is acknowledged need not be on the disk.
            options = {"is_durable": False, "maxclients": 10_000} if broker == "redis" else {}
            self.service = SERVICES[broker](self.directory / "broker", **options)
            self._stack.callback(self.service.finish)
        self.nodes = []
        for number in range(count):
            directory = self.directory / f"node-{number}"
            directory.mkdir()
            config = {
                "channels": {"*": {"history": history}},
                "endpoint": [
                    {"path": "/ws", "protocol": "relay", "channel": "relay"},
                    {"path": "/chat", "protocol": "json", "channel": ""},
                ],
                "limits": {"messages_per_second": 0, "channels": 0},
                "websocket": {"ping_interval": "0s"},
            }
            environment = {}
            if self.service:
                config["broker"] = {**self.service.broker, "node_name": f"node-{number}"}
                environment = plugin_environment()
            node = Daemon(directory, config, workers=workers, env=environment)
            self._stack.callback(node.kill)
            self.nodes.append(node)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def cpu(self):
        """CPU seconds of the nodes and of the broker so far."""
        return sum(cpu_seconds(node.pid) for node in self.nodes), sum(map(cpu_seconds, self.service.pids)) if self.service else 0.0

    def memory(self):
        """Resident bytes of the nodes and of the broker."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.service.pids] if self.service else []
        return sum(node.resident_bytes for node in self.nodes), sum(pages) * resource.getpagesize()


def wsbench(hub, *arguments):
    """Runs wsbench over all nodes; its report, with the CPU seconds of the nodes and of the broker in `cpu`."""
    before = hub.cpu()
    done = subprocess.run(
        [binary("wsbench"), *arguments, "--json", "--quiet", *(node.url("/ws") for node in hub.nodes)],
        env=clean_environment(), capture_output=True, text=True,
    )
    report = json.loads(done.stdout)
    assert report["ok"], (report, done.stderr)
    report["cpu"] = [after - at_first for after, at_first in zip(hub.cpu(), before)]
    return report


def table(seconds, _):
    print(
        "two nodes over each broker; latency at 1,000 messages a second; published/s and µs of CPU a message (wsd+broker) without"
        " and with history; B of a channel of 10,000 at a node and at the broker; seconds until 2 x 10,000 came back after a restart"
    )
    print(f"{'':14}{'p50':>7}{'p99':>7}{'no history':>12}{'CPU':>13}{'history':>12}{'CPU':>13}{'B node':>9}{'broker':>9}{'back':>7}")
    for broker in (each for each in SERVICES if each != "kafka-cluster"):
        with Hub(2, broker) as hub:
            report = wsbench(hub, "fanout", "-n", "10", "--rate", "1000", "--duration", f"{seconds}s")
            figures = report["latency"]["responseMicroseconds"]
        row = f"{broker:14}{figures['p50']:7.0f}{figures['p99']:7.0f}"
        for history in (0, 100):
            with Hub(2, broker, history=history) as hub:
                rate, wsd, server = load(hub, populated(hub, 8), 256, seconds)
            row += f"{rate:12,.0f}" + f"{wsd:.1f}+{server:.1f}".rjust(13)
        with Hub(2, broker) as hub:
            before, channels = hub.memory(), 10_000
            members = populated(hub, channels)
            assert members
            node, server = (after - at_first for after, at_first in zip(hub.memory(), before))
            row += f"{node / 2 / channels:9.0f}{server / channels:9.0f}"
        row += f"{time_to_recover(broker if can_recover(broker) else 'kafka-cluster')[0]:7.2f}"
        print(row, flush=True)


def latency(seconds, broker):
    print(f"{'latency':24}{'p50':>9}{'p99':>9} µs {'wsd':>9}{'broker':>9} µs of CPU a message")
    title = SERVICES[broker].title
    for name, count, shared in (("local", 1, None), (f"{title}, one node", 1, broker), (f"{title}, two nodes", 2, broker)):
        with Hub(count, shared) as hub:
            report = wsbench(hub, "fanout", "-n", "10", "--rate", "1000", "--duration", f"{seconds}s")
            figures = report["latency"]["responseMicroseconds"]
            wsd, server = (each * 1e6 / report["messages"]["sent"] for each in report["cpu"])
            print(f"{name:24}{figures['p50']:9.0f}{figures['p99']:9.0f}    {wsd:9.1f}{server:9.1f}", flush=True)


class Member:
    """A client of the json protocol that is in its channels, counts what comes, and publishes in batches."""

    def __init__(self, node, channels):
        self.wire = JSONWire(node.port)
        self.frames = [
            frame(TEXT, json.dumps({"type": "chat", "channel": channel, "data": PAYLOAD}), key=bytes(4)) for channel in channels
        ]
        self.socket = self.wire.socket
        self.socket.settimeout(60)
        self.received = 0
        self._tail = b""
        requests = (json.dumps({"id": 1, "type": "join", "channel": channel}) for channel in channels)
        self.socket.sendall(b"".join(frame(TEXT, request, key=bytes(4)) for request in requests))

    def joined(self):
        self.listen(len(self.frames), b'"type":"ack"')
        self.received = 0

    def listen(self, until, mark=b'"type":"chat"'):
        """Counts messages until there are as many as wanted."""
        while self.received < until:
            data = self.socket.recv(1 << 20)
            assert data, "the hub has closed the connection"
            data = self._tail + data
            self.received += data.count(mark)
            # A mark that the next read completes.
            self._tail = data[-(len(mark) - 1) :]


def load(hub, members_of, window, seconds):
    """Publishes in all channels from all nodes for a time; the rate, and the CPU µs of a message at all nodes and at the broker.

    `members_of` has the members at each node. A turn is a window of messages by each member, in random channels of its own,
    and ends when all of them have come to the members at the same place of each node.
    """
    source = random.Random(1)
    before, start = hub.cpu(), time.monotonic()
    turn = window * len(members_of)
    count = 0
    while time.monotonic() - start < seconds:
        for members in members_of:
            for member in members:
                member.socket.sendall(b"".join(source.choices(member.frames, k=window)))
                count += window
        for members in members_of:
            for member in members:
                member.listen(member.received + turn)
    rate = count / (time.monotonic() - start)
    return rate, *((after - at_first) * 1e6 / count for after, at_first in zip(hub.cpu(), before))


def populated(hub, channel_count):
    """Members on each node, that have the channels among them, a hundred each if there are many; a list for each node."""
    names = [f"c{number}" for number in range(channel_count)]
    per_node = max(min(4, channel_count), channel_count // 100)
    members_of = [[Member(node, names[place::per_node]) for place in range(per_node)] for node in hub.nodes]
    for members in members_of:
        for member in members:
            member.joined()
    return members_of


def throughput(seconds, broker):
    print(f"{'throughput':34}{'published/s':>12} {'wsd':>9}{'broker':>9} µs of CPU a message, all nodes together")
    for count in (1, 2):
        for history in (0, 100):
            for window in (1, 16, 256):
                with Hub(count, broker, history=history) as hub:
                    members = populated(hub, 8)
                    rate, wsd, server = load(hub, members, window, seconds)
                    name = f"{count} node{'s' * (count > 1)}, history {history}, {window} in flight"
                    print(f"{name:34}{rate:12,.0f} {wsd:9.2f}{server:9.2f}", flush=True)
    # One publisher and subscriber, at the pace of the hub: what a client program in C reaches.
    for count in (1, 2):
        for history in (0, 100):
            for window in (1, 16, 64, 512):
                with Hub(count, broker, history=history) as hub:
                    report = wsbench(
                        hub, "fanout", "-n", str(count), "--publishers", "4", "--window", str(window), "--duration", f"{seconds}s",
                        "--receive-batch", "64KiB",
                    )
                    sent = report["measured"]["sent"] / report["measured"]["seconds"]
                    wsd, server = (each * 1e6 / report["messages"]["sent"] for each in report["cpu"])
                    name = f"relay, {count} node{'s' * (count > 1)}, history {history}, 4x{window}"
                    print(f"{name:34}{sent:12,.0f} {wsd:9.2f}{server:9.2f}", flush=True)


def growth(seconds, broker):
    print(f"{'growth':30}{'published/s':>12} {'wsd':>9}{'broker':>9} µs of CPU a message; B a channel of a node")
    for count in (1, 2, 4, 8):
        for channels in (1, 100, 10_000, 100_000):
            if count * channels > 400_000:
                continue
            with Hub(count, broker) as hub:
                before = sum(node.resident_bytes for node in hub.nodes)
                members = populated(hub, channels)
                grown = (sum(node.resident_bytes for node in hub.nodes) - before) / count / channels
                rate, wsd, server = load(hub, members, max(4, 256 // len(members[0])), seconds)
                memory = f"{grown:8.0f}" if channels >= 10_000 else ""
                name = f"{count} node{'s' * (count > 1)}, {channels:,} channel{'s' * (channels > 1)}"
                print(f"{name:30}{rate:12,.0f} {wsd:9.2f}{server:9.2f}{memory}", flush=True)


def resubscribe(_, broker):
    channels = 100_000
    for attempt in range(3):
        with Hub(1, broker) as hub:
            members = populated(hub, channels)
            admin = hub.service.server.client()

            def subscribed():
                return sum(int(client.get("sub", 0)) for client in admin.client_list())

            def scripts():
                return sum(each["calls"] for name, each in admin.info("commandstats").items() if "eval" in name)

            while subscribed() < channels:
                time.sleep(0.05)
            before = cpu_seconds(hub.nodes[0].pid)
            wanted = scripts() + channels
            start = time.monotonic()
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            # Each channel is subscribed, and then a script says where it is.
            while subscribed() < channels or scripts() < wanted:
                time.sleep(0.01)
            took = time.monotonic() - start
            assert members
            print(f"resubscribe: {channels:,} channels in {took:.2f} s, {cpu_seconds(hub.nodes[0].pid) - before:.2f} s of CPU at wsd", flush=True)


def can_recover(broker):
    """Whether it can be restarted: noida, which stands in for Kafka, can't while nodes go on."""
    return broker != "kafka"


def time_to_recover(broker):
    """Seconds from the restart of a broker until what two nodes publish then has come back in 10,000 channels; that number."""
    channels = 10_000
    # Without a history, what is published before both nodes are back is lost to one of them, as members are told.
    with Hub(2, broker, history=100) as hub:
        members_of = populated(hub, channels)
        hub.service.restart()
        start = time.monotonic()
        for members in members_of:
            for member in members:
                member.socket.sendall(b"".join(member.frames))
        for members in members_of:
            for member in members:
                # Each channel has a member at both nodes.
                member.listen(member.received + 2 * len(member.frames))
        return time.monotonic() - start, channels


def recover(_, broker):
    took, channels = time_to_recover(broker)
    title = SERVICES[broker].title
    print(f"recover: {channels:,} messages of each of two nodes came back {took:.2f} s after {title} was there again", flush=True)


def main():
    kinds = {each.__name__: each for each in (table, latency, throughput, growth, recover, resubscribe)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=kinds, action="append")
    parser.add_argument("--seconds", type=int, default=5, help="how long each is measured")
    parser.add_argument("--broker", choices=SERVICES, default="redis")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for name in options.only or [kind for kind in kinds if kind != "table"]:
        # Only Redis tells when a channel is subscribed.
        lacks = {"resubscribe": options.broker != "redis", "recover": not can_recover(options.broker)}
        if not lacks.get(name):
            kinds[name](options.seconds, options.broker)


if __name__ == "__main__":
    main()
