"""What TLS costs on this machine: python tls_bench.py [--only NAME] [--count N]

memory      bytes that an idle WebSocket costs the process, and what the kernel has grown for both of its ends
handshakes  CPU time of a connection that is opened and closed again, of wsd and of OpenSSL's own server
fanout      CPU time of one turn's messages to one of 1,000 subscribers, in blocks that alternate with the plaintext's
storm       how long pings of others take while 10,000 handshakes are done, and hellos that nobody goes on with

Servers have one worker, on CPU 0; what loads them is on CPU 1. nginx and HAProxy stand before a wsd without TLS. It needs root,
and a quiet machine.
"""

import argparse
import contextlib
import itertools
import json
import os
import resource
import select
import selectors
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from certificates import Certificate, client_context
from ports import free_port
from rawws import TEXT, RawWebSocket, Wire, frame, handshake_headers, request
from waiting import wait_until
from wsdaemon import Daemon

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
PINNED = ["taskset", "--cpu-list", "0"]
NGINX = """
daemon off; worker_processes 1; error_log {directory}/error.log; pid {directory}/pid;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{hub}; proxy_http_version 1.1; proxy_read_timeout 1h;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 9400
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend front
  bind 127.0.0.1:{port} ssl crt {directory}/both.pem
  default_backend back
backend back
  server hub 127.0.0.1:{hub}
"""


def all_processes(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [each for child in children for each in all_processes(int(child))]


def cpu_seconds(pids):
    """The CPU time of all threads so far (proc(5), schedstat)."""
    total = 0
    for thread in [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]:
        # One that has nothing to do may end.
        with contextlib.suppress(FileNotFoundError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


class Server:
    """wsd, without TLS or with it, or behind a proxy that does it."""

    def __init__(self, name, kind="ec"):
        self.name = name
        self._stack = contextlib.ExitStack()
        self.directory = Path(tempfile.mkdtemp(prefix="wsd-bench-"))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        certificate = Certificate(self.directory, "certificate", kind=kind)
        self.port = free_port()
        config = {
            "server": {"max_connections_per_ip": 0, "listen_tls": [f"127.0.0.1:{self.port}"]},
            "tls": {"certificates": [certificate.setting]},
            "limits": {"messages_per_second": 0},
            "websocket": {"ping_interval": "0s"},
        }
        self.hub = Daemon(self.directory, config, workers=1, prefix=PINNED)
        self._stack.callback(self.hub.kill)
        self.pids = lambda: [self.hub.pid]
        if name == "ws":
            self.port = self.hub.port
        elif name != "wss":
            self.port = free_port()
            (self.directory / "both.pem").write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
            self._start_proxy(certificate)

    def _start_proxy(self, certificate):
        template, command = {"nginx": (NGINX, ["nginx", "-c"]), "haproxy": (HAPROXY, ["haproxy", "-db", "-f"])}[self.name]
        path = self.directory / "proxy.conf"
        path.write_text(
            template.format(
                directory=self.directory, port=self.port, hub=self.hub.port, certificate=certificate.certificate,
                key=certificate.key,
            )  # fmt: skip
        )
        with open(self.directory / "proxy.log", "wb") as log:
            proxy = subprocess.Popen([*PINNED, *command, path], stdout=log, stderr=log, cwd=self.directory)
        self._stack.callback(proxy.wait)
        self._stack.callback(proxy.terminate)
        self.pids = lambda: [self.hub.pid, *all_processes(proxy.pid)]
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0, f"{self.name} listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def cpu(self):
        return cpu_seconds(self.pids())

    def memory(self):
        """Anonymous memory in bytes (proc(5), RssAnon)."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(text.partition("RssAnon:")[2].split()[0]) * 1024 for text in texts)

    def connect(self, context=None, path="/ws"):
        """An open WebSocket as a bare socket: what comes is not opened, and the client's own keys are forgotten."""
        tls = None if self.name == "ws" else context or client_context(TLS13)
        wire = Wire(self.port, tls=tls, name="localhost" if tls else None)
        wire.send(request(handshake_headers(wire.host_header), path))
        wire.read_through(b"\r\n\r\n")
        return socket.socket(fileno=wire.socket.detach())


def kernel_memory():
    """What the kernel has for objects that it can't drop, in bytes (proc(5), SUnreclaim)."""
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("SUnreclaim:")[2].split()[0]) * 1024


def memory(count):
    print(f"{'memory':28}{'process':>10}{'kernel':>10} B an idle WebSocket", flush=True)
    for name, version in (("ws", TLS13), ("wss", TLS13), ("wss", TLS12), ("nginx", TLS13), ("haproxy", TLS13)):
        if name in ("nginx", "haproxy"):
            # They have two descriptors for each.
            count = min(count, 8_000)
        with Server(name) as server:
            context = client_context(version)
            clients = [server.connect(context) for _ in range(1_000)]
            time.sleep(2)
            before = server.memory(), kernel_memory()
            clients += [server.connect(context) for _ in range(count)]
            time.sleep(3)
            grown = [(after - first) / count for after, first in zip((server.memory(), kernel_memory()), before)]
            title = f"{name}, TLS {version.name[-3:].replace('_', '.')}" if name != "ws" else name
            print(f"{title:28}{grown[0]:10,.0f}{grown[1]:10,.0f}  of {count:,}", flush=True)
            for client in clients:
                client.close()


class Reference:
    """OpenSSL's own server."""

    def __init__(self, kind):
        self.directory = Path(tempfile.mkdtemp(prefix="wsd-bench-"))
        certificate = Certificate(self.directory, "certificate", kind=kind)
        self.port = free_port()
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-num_tickets", "1", "-quiet"]
        self.process = subprocess.Popen(
            [*PINNED, *command, "-cert", certificate.certificate, "-key", certificate.key],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0, "s_server listens")

    def cpu(self):
        return cpu_seconds([self.process.pid])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.directory)


def handshake_cost(server, version, resumes, count):
    """CPU seconds of a connection on which nothing but a handshake is done."""
    context = client_context(version)
    session = None
    for number in range(count + 100):
        if number == 100:
            before = server.cpu()
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            with context.wrap_socket(plain, session=session) as client:
                assert session is None or client.session_reused
                if resumes and session is None:
                    # The ticket comes behind the handshake.
                    client.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        client.recv(1)
                    session = client.session
    return (server.cpu() - before) / count


def handshakes(count):
    print(f"{'handshakes':28}{'wsd':>8}{'s_server':>10} µs of CPU each; a second and core", flush=True)
    for version, kind, resumes in itertools.product((TLS13, TLS12), ("ec", "rsa"), (False, True)):
        costs = []
        for make in (lambda: Server("wss", kind), lambda: Reference(kind)):
            with make() as server:
                costs.append(handshake_cost(server, version, resumes, count // 20) * 1e6)
        key = {"ec": "ECDSA P-256", "rsa": "RSA 2048"}[kind]
        title = f"{version.name[-3:].replace('_', '.')} {key}{', resumed' * resumes}"
        print(f"{title:28}{costs[0]:8.0f}{costs[1]:10.0f}   {1e6 / costs[0]:,.0f}", flush=True)


class Audience:
    """Subscribers who count bytes, and a publisher without TLS."""

    def __init__(self, server, count):
        self.server = server
        self.sockets = [server.connect() for _ in range(count)]
        self.poll = select.epoll()
        for each in self.sockets:
            each.setblocking(False)
            self.poll.register(each, select.EPOLLIN)
        self.by_number = {each.fileno(): each for each in self.sockets}
        self.publisher = RawWebSocket(server.hub.port)
        self.buffer = bytearray(1 << 18)

    def read(self, wanted):
        """Reads until so many bytes have come, or nothing does."""
        got = 0
        while got < wanted or not wanted:
            ready = self.poll.poll(10 if wanted else 0)
            if not ready:
                assert not wanted, f"{self.server.name}: {got} of {wanted} bytes"
                return
            for number, _ in ready:
                got += self.by_number[number].recv_into(self.buffer)

    def turn(self, size, count):
        """CPU seconds of the server for so many messages that come at once."""
        messages = frame(TEXT, "x" * size, key=bytes(4)) * count
        # Their heads are of two or four bytes; records have 22 bytes more.
        plain = (size + (2 if size < 126 else 4)) * count
        wanted = len(self.sockets) * (plain + (0 if self.server.name == "ws" else 22 * -(-plain // 16_384)))
        before = self.server.cpu()
        self.publisher.send(messages)
        self.read(wanted)
        for _ in range(count):
            self.publisher.receive()
        time.sleep(0.005)
        self.read(0)
        return self.server.cpu() - before


def fanout(_):
    subscribers = 1_000
    names = ("ws", "wss", "nginx", "haproxy")
    shapes = [(size, count) for size in (128, 1_024) for count in (1, 16, 64)]
    print(f"{'fanout':28}" + "".join(f"{f'{size} B x{count}':>14}" for size, count in shapes), "µs of CPU a turn and subscriber")
    with contextlib.ExitStack() as stack:
        audiences = [Audience(stack.enter_context(Server(name)), subscribers) for name in names]
        costs = {}
        for size, count in shapes:
            turns = {name: [] for name in names}
            for _, (name, audience) in itertools.product(range(4), zip(names, audiences)):
                # The caches are those of the server before.
                for _ in range(4):
                    audience.turn(size, count)
                turns[name] += [audience.turn(size, count) for _ in range(20 if count < 64 else 10)]
            for name in names:
                costs[name, size, count] = statistics.median(turns[name]) * 1e6 / subscribers
        for name in names:
            figures = [(costs[name, *shape], costs[name, *shape] / costs["ws", *shape]) for shape in shapes]
            print(f"{name:28}" + "".join(f"{cost:8.2f} {ratio:4.2f}x" for cost, ratio in figures), flush=True)


def real_handshakes(port, count):
    """Opens WebSockets over TLS and leaves them, hundreds at a time."""
    context = client_context(TLS13)
    ready = selectors.DefaultSelector()
    begun = done = 0
    while done < count:
        while begun < count and begun - done < 400:
            plain = socket.create_connection(("127.0.0.1", port))
            plain.setblocking(False)
            client = context.wrap_socket(plain, do_handshake_on_connect=False)
            ready.register(client, selectors.EVENT_READ)
            step(client)
            begun += 1
        for key, _ in ready.select():
            if step(key.fileobj):
                ready.unregister(key.fileobj)
                key.fileobj.close()
                done += 1


def step(client):
    try:
        client.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


def hellos(port, count):
    """Sends one and the same hello on connections that end with the server's answer, which is most of its work."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context(TLS13).wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    hello = out.read()
    waiting = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(hello)
        waiting.append(client)
        if len(waiting) >= 64:
            with waiting.pop(0) as oldest:
                oldest.recv(4096)


def storm(count):
    print(f"{'storm':28}{'p50':>10}{'p99':>10}{'most':>10} ms of a ping; seconds, CPU of wsd", flush=True)
    with Server("wss") as server:
        # It shares a CPU with those who storm, and is not to wait for them.
        pinger = subprocess.Popen(
            ["chrt", "--fifo", "20", sys.executable, Path(__file__).parent / "pinger.py", str(server.hub.port), "/ws", "/chat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert pinger.stdout.readline() == "ready\n"
            phases = {
                "calm": lambda: time.sleep(5),
                "handshakes": lambda: real_handshakes(server.port, count),
                "calm again": lambda: time.sleep(5),
                "hellos alone": lambda: hellos(server.port, count),
            }
            for name, phase in phases.items():
                before, start = server.cpu(), time.monotonic()
                phase()
                took, used = time.monotonic() - start, server.cpu() - before
                pinger.stdin.write("\n")
                pinger.stdin.flush()
                latencies = sorted(sum(json.loads(pinger.stdout.readline()), []))
                p50, p99 = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
                print(f"{name:28}{p50:10.2f}{p99:10.2f}{latencies[-1]:10.2f}    {took:.1f} s, {used:.1f} s", flush=True)
        finally:
            pinger.kill()
            pinger.communicate()


def main():
    kinds = {each.__name__: each for each in (memory, handshakes, fanout, storm)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=kinds, action="append")
    parser.add_argument("--count", type=int, default=10_000, help="idle connections and handshakes")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.sched_setaffinity(0, {1})
    for name in options.only or kinds:
        kinds[name](options.count)


if __name__ == "__main__":
    main()
