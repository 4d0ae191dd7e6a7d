"""All attacks at once beside 200 honest clients on both protocols.

By hand, for ten minutes: `python soak.py [SECONDS]`; what test_attack_soak.py runs for half a minute. Every honest message
has to arrive, once, in order and in time; memory stays below `limits.memory` and 64 MiB; the watchdog is fed throughout.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jwt

from attackers import KINDS
from attacks import prefer, schedule
from honest import CLASSES, GROUPS
from siege import status_of
from wsdaemon import Daemon, toml

MEBIBYTE = 1 << 20
# What is resident beside what is counted: the program itself, the worker's own buffers, what a turn holds, and what malloc
# can't give back at once. 240 to 273 MiB in all were measured on a fast machine.
MEMORY, ROOM = 192 * MEBIBYTE, 112 * MEBIBYTE
WATCHDOG = 4.0
SECRET = b"a secret of the soak's own, long enough for anybody"

HERE = Path(__file__).parent
# Kinds that share a process: each process of attackers is one of several, so that one interpreter is no limit for all.
PROCESSES = 4


def configuration(secret):
    relay = [{"path": f"/honest/{group}", "channel": f"honest-{group}"} for group in range(0, GROUPS, 2)]
    json_paths = [{"path": path, "protocol": "json", "channel": ""} for path in ("/chat", "/honest-chat")]
    return toml(
        {
            "server": {"handshake_timeout": "5s"},
            "websocket": {"message_timeout": "2s", "ping_interval": "1s"},
            "limits": {"memory": MEMORY, "history_bytes": "32MiB"},
            "auth": {"mode": "jwt", "hmac_secret_file": str(secret)},
            "endpoint": [{"path": "/ws", "channel": "ws"}, *json_paths, *relay],
            "channels": {
                "room:*": {"history": 1000, "history_bytes": "4MiB", "presence": True},
                "quiet:*": {"echo": False, "history": 10, "presence": True, "join_leave": True},
                "granted:*": {"subscribe": "granted"},
                "name:*": {"history": 10, "history_ttl": "10s"},
            },
        }
    )


def token(user, *patterns):
    grants = [{"pattern": pattern, "subscribe": True, "publish": True} for pattern in patterns]
    return jwt.encode({"sub": user, "exp": int(time.time()) + 86400, "channels": grants}, SECRET, algorithm="HS256")


class Soak:
    """The daemon, the honest and the others."""

    def __init__(self, directory, kinds=tuple(KINDS)):
        secret = Path(directory) / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        environment = {"WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        self.daemon = Daemon(directory, configuration(secret), workers=2, env=environment)
        self.kinds = kinds
        prefer(self.daemon)
        self.attackers = []
        self.fed = []
        self.honest = self._python("honest.py", *(token(f"honest-{number}") for number in range(10)))
        assert self.honest.stdout.readline() == "ready\n", "the honest clients can't connect"

    def _python(self, script, *arguments):
        return subprocess.Popen(
            [sys.executable, str(HERE / script), str(self.daemon.port), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )

    def attack(self):
        wide, narrow = token("attacker", "*"), token("attacker")
        for number in range(PROCESSES):
            self.attackers.append(self._python("attackers.py", wide, narrow, *self.kinds[number::PROCESSES]))

    def watch(self, seconds, report=None):
        """Looks at the process for so long; the most memory that was resident."""
        most, end = 0, time.monotonic() + seconds
        count = self.daemon.notified().count("WATCHDOG=1")
        while time.monotonic() < end and self.daemon.is_alive():
            time.sleep(0.1)
            most = max(most, self.daemon.resident_bytes)
            if (now := self.daemon.notified().count("WATCHDOG=1")) > count:
                count = now
                self.fed.append(time.monotonic())
            if report:
                report(most)
        assert self.daemon.is_alive(), f"the daemon ended with {self.daemon.process.returncode}"
        return most

    def account(self, request="account"):
        self.honest.stdin.write(request + "\n")
        self.honest.stdin.flush()
        return json.loads(self.honest.stdout.readline())

    def rounds(self):
        """The number of times that each attack was begun."""
        return {
            kind: count
            for attacker in self.attackers
            for kind, count in json.loads(attacker.communicate("stop\n", 60)[0]).items()
        }

    def longest_without_food(self, start, end):
        """The longest time in which the watchdog was not fed."""
        times = [start, *(time for time in self.fed if start < time < end), end]
        return max(later - earlier for earlier, later in zip(times, times[1:]))

    def close(self):
        for process in (*self.attackers, self.honest):
            process.kill()
            process.communicate()
        self.daemon.kill()


def histogram(latencies):
    total = max(1, sum(latencies.values()))
    lines = []
    for end in map(str, CLASSES):
        if latencies[end]:
            lines.append(f"  up to {end:>6} ms  {latencies[end]:>9}  {latencies[end] / total:9.5%}")
    return "\n".join(lines)


def soak(directory, seconds, baseline, report=print):
    """Runs it; (faults, how many times as long as on a machine of its own the hub took, the largest latency)."""
    run = Soak(directory)
    try:
        run.watch(baseline)
        before = run.account()
        report(f"before the attacks, at most {before['most']:.0f} ms:\n{histogram(before['latencies'])}")
        run.attack()
        start, scheduled = time.monotonic(), schedule(run.daemon)
        most = run.watch(seconds)
        end = time.monotonic()
        ran, waited = (now - then for now, then in zip(schedule(run.daemon), scheduled))
        slowness = (ran + waited) / max(1, ran)
        during = run.account()
        status = status_of(run.daemon)
        rounds = run.rounds()
        after = run.account("stop")
        faults = after["faults"]
        report(f"during them, at most {during['most']:.0f} ms:\n{histogram(during['latencies'])}")
        report(f"resident at most {most >> 20} MiB; rounds {rounds}")
        report(f"closed {status['closed']}\nrefused {status['refused']}\nmemory {status.get('memory')}")
        report(f"the hub had {1 / slowness:.0%} of the processor it wanted")
        report(f"{after['said']} messages of honest clients")
        if most > MEMORY + ROOM:
            faults.append(f"{most >> 20} MiB resident, where {MEMORY + ROOM >> 20} MiB are allowed")
        if (hungry := run.longest_without_food(start, end)) > WATCHDOG:
            faults.append(f"the watchdog was not fed for {hungry:.1f} s")
        return faults, slowness, max(during["most"], after["most"])
    finally:
        print(run.daemon.log()[-3000:])
        run.close()


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory(prefix="wsd-") as directory:
        faults, _, most = soak(directory, seconds, baseline=10)
    if most > 250:
        faults.append(f"an honest message came after {most:.0f} ms")
    print("\n".join(faults) or "no fault")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
