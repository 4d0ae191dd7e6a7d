"""What restart_big.py does in its machine: opens the connections, restarts the service, and says what that took."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CLIENTS = Path(__file__).parent / "restart_big_clients"
CGROUP = Path("/sys/fs/cgroup/system.slice/wsd.service")


def say(text):
    for line in text.splitlines():
        print(f"restart_big: {line}", flush=True)


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True)
    assert status is None or done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


class Clients:
    """The process that has the connections, and what it said last."""

    def __init__(self, count):
        self.count = count
        self.now = {}
        self.process = subprocess.Popen(
            [CLIENTS, str(count), "8080", "/ws"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.now = json.loads(line)

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_for(self, heard):
        """Waits until all of them are open and have heard this many numbers; says now and then how far they are."""
        wanted = {"open": self.count, "heard": {str(heard): self.count}}
        last = changed = told = time.monotonic()
        before = None
        while not wanted.items() <= self.now.items():
            time.sleep(0.5)
            last = time.monotonic()
            if self.now != before:
                before, changed = self.now, last
            if last - told > 60:
                told = last
                say(f"  {last:5.0f} s {json.dumps(self.now)}")
            if self.process.poll() is not None or last - changed > 300:
                raise AssertionError(f"not all have heard {heard} numbers: {self.now}")
        assert (self.now["closed"], self.now["wrong"]) == (0, 0), self.now
        say(f"{last:7.0f} s {json.dumps(self.now)}")


def fields(path):
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return {name: value.split() for name, _, value in lines}


def memory_of(pid):
    """Of a process: its resident memory and the most it has been, and its own without files, in MiB."""
    status = fields(f"/proc/{pid}/status")
    return {name: int(status[name][0]) // 1024 for name in ("VmRSS", "VmHWM", "RssAnon")}


def memory_of_unit():
    return {name: int((CGROUP / f"memory.{name}").read_text()) >> 20 for name in ("current", "peak")}


def kernel():
    meminfo, sockets = fields("/proc/meminfo"), fields("/proc/net/sockstat")
    memory = {name: int(meminfo[name][0]) // 1024 for name in ("Slab", "MemAvailable")}
    return f"{memory} MiB, sockets {' '.join(sockets['TCP'])}"


def tcp():
    """Of the kernel's counters, those that a connection that ends, breaks or begins would change."""
    names, values = (line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:"))
    counters = dict(zip(names, map(int, values)))
    return {name: counters[name] for name in ("CurrEstab", "ActiveOpens", "PassiveOpens", "EstabResets", "OutRsts")}


def room():
    """How many descriptors a pair of sockets takes as the service uses it, by the kernel's default limits."""
    source, end = socket.socketpair()
    with source, end:
        source.setblocking(False)
        source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 20)
        count = 0
        while True:
            try:
                socket.send_fds(source, [bytes(36)], [source.fileno()] * 253)
            except BlockingIOError:
                return count
            count += 253


class Watch(threading.Thread):
    """Looks at the service and at systemd as often as the machine can, and keeps the greatest values."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = {}
        self.start()

    def run(self):
        while True:
            # Each of them may end at any time.
            with contextlib.suppress(OSError, KeyError):
                self.look()
            time.sleep(0.2)

    def look(self):
        self.note("systemd", memory_of(1))
        self.note("the unit", memory_of_unit())
        for pid in (CGROUP / "cgroup.procs").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text() == "wsd\n":
                self.note(f"wsd {pid}", memory_of(pid))

    def note(self, name, value):
        before = self.most.get(name, value)
        self.most[name] = {each: max(value[each], before[each]) for each in value}


def describe(title):
    pid = main_pid()
    say(f"{title}:")
    say(f"  wsd {pid}: {memory_of(pid)} MiB")
    say(f"  systemd: {memory_of(1)} MiB")
    say(f"  the unit, with what the kernel has for it: {memory_of_unit()} MiB")
    say(f"  kernel: {kernel()}")
    say(f"  TCP: {tcp()}")


def broadcast(number):
    # To so many, in an emulation, it may take longer than wsctl waits for the answer; that they hear it is seen by them.
    return run("wsctl", "broadcast", str(number), status=None) or "wsctl did not wait until it was sent to all"


def main_pid():
    return run("systemctl", "show", "--value", "--property=MainPID", "wsd.service")


def main(count):
    run("systemd-sysusers")
    run("systemctl", "start", "wsd.socket", "wsd-api.socket", "wsd-control.socket", "wsd-status.socket", "wsd.service")
    say(f"Linux {os.uname().release}, {run('systemctl', '--version').splitlines()[0]}, {run('wsd', '--version')}")
    limits = run("systemctl", "show", "--property=LimitNOFILE", "--property=FileDescriptorStoreMax", "wsd.service").split()
    wmem_max = Path("/proc/sys/net/core/wmem_max").read_text().strip()
    say(f"{' '.join(limits)} net.core.wmem_max={wmem_max}: a pair of sockets takes {room()} descriptors")
    describe("without connections")
    clients = Clients(count)
    clients.wait_for(0)
    say(broadcast(1))
    clients.wait_for(1)
    say(run("wsctl", "restart", "--dry-run"))
    describe("before the restart")
    before, watch, pid, begun = tcp(), Watch(), main_pid(), time.monotonic()
    restart = subprocess.Popen(["systemctl", "restart", "wsd.service"])
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.1)
    # By a client while nobody reads: the next process has hardly begun.
    clients.say("2\n")
    parked = time.monotonic() - begun
    assert restart.wait() == 0, "systemctl restart has failed"
    say(f"systemctl restart took {time.monotonic() - begun:.0f} s, the old process {parked:.0f} of them; at most:")
    for name, value in watch.most.items():
        say(f"  {name}: {value} MiB")
    status = json.loads(run("wsctl", "status", "--json"))
    report = status["lastRestart"]
    say(f"connections: {status['connections']}, lastRestart: {json.dumps(report)}")
    clients.wait_for(2)
    say(broadcast(3))
    clients.wait_for(3)
    describe("after the restart")
    say(run("journalctl", "--unit=wsd.service", "--no-pager", "--output=short-monotonic", "--no-hostname"))
    assert (report["adopted"], report["handshakes"], report["closed"]) == (count, 0, 0), report
    assert tcp() == before, f"{before} before"


try:
    main(int(sys.argv[1]))
    say("passed")
except BaseException as error:
    say(f"failed: {error!r}")
    say(run("sh", "-c", "journalctl --no-pager --lines=100; dmesg | tail -n 30", status=None))
finally:
    time.sleep(1)
    Path("/proc/sysrq-trigger").write_text("o")
