"""Three nodes and a real broker, and everything that happens to them, while many clients come, go and talk.

By hand, for ten minutes: `python cluster_soak.py --minutes 10 --clients 3000 --channels 300`; what test_nodes_soak.py runs
for less. Nodes are killed and stopped, the broker is restarted, stands still, and has faults of its own. Afterwards everything that
anybody was told is checked: one order on all nodes, nothing twice, nothing lost where there is a history, and the right
users present. The seed is printed; the same one plans the same faults and the same lives.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import jwt

from brokerservices import SERVICES
from ledger import Ledger
from nodes import SECRET, Nodes
from talker import Talker
from test_api import KEYS

PRESENCE_TTL = 3
PROBE_INTERVAL = 1
# How long the end may take on a machine that is busy.
PATIENCE = 90.0

PRESENT = {"presence": True, "join_leave": True, "leave_delay": "1s"}
KEPT = {"history": 1_000_000, "history_bytes": "64MiB", "history_ttl": "2h"}
RULES = {"kept:*": {**KEPT, **PRESENT}, "plain:*": PRESENT}


class Person:
    """A user with one connection, that wants to be in some channels, and comes back wherever it can."""

    def __init__(self, soak, number):
        self.soak = soak
        self.random = random.Random(f"{soak.seed} person {number}")
        # Some users have more than one connection.
        self.user = f"user-{number % max(1, soak.clients * 4 // 5)}"
        self.number = number
        self.wanted = set(self.random.sample(soak.channels, min(len(soak.channels), self.random.randint(1, 5))))
        self.positions = {}
        self.talker = None
        self.said = 0

    async def run(self):
        await asyncio.sleep(self.random.random() * self.soak.arrival)
        while not self.soak.is_over:
            await self._come()
            if self.talker:
                await self._live()
                self._go()
        # Everybody is there at the end.
        while not self.soak.is_settled:
            if not (self.talker and self.talker.is_open):
                await self._come()
            elif self.wanted - set(self.talker.stays):
                await self._join_wanted()
            await asyncio.sleep(0.2)

    @property
    def is_complete(self):
        return bool(self.talker and self.talker.is_open and set(self.talker.stays) == self.wanted)

    async def _come(self):
        node = self.random.choice(self.soak.nodes)
        token = jwt.encode({"sub": self.user, "exp": 4_000_000_000}, SECRET, "HS256")
        try:
            name = f"{self.user}/{self.number}@{node.name}"
            headers = [("Authorization", f"Bearer {token}")]
            self.talker = await Talker.connect(node.port, self.soak.ledger, name, headers=headers)
        except OSError:
            self.soak.counts["refused connections"] += 1
            self._forget()
            await asyncio.sleep(0.1 + self.random.random() * 0.4)
            return
        self.soak.counts["connections"] += 1
        await self._join_wanted()

    async def _join_wanted(self):
        talker = self.talker
        missing = [channel for channel in sorted(self.wanted) if channel not in talker.stays]
        joins = [talker.join(channel, self.positions.get(channel)) for channel in missing]
        for channel, answer in zip(missing, await asyncio.gather(*joins)):
            if answer and answer["type"] == "error":
                self.soak.counts[f"join: {answer['code']}"] += 1

    def _forget(self):
        """Notes where the client was, for where it has to go on."""
        if not self.talker:
            return
        for channel, stay in self.talker.stays.items():
            if channel.startswith("kept"):
                self.positions[channel] = stay.position
        self.talker = None

    async def _live(self):
        """Does this and that until the connection ends, by itself or by the client."""
        end = time.monotonic() + self.random.expovariate(1 / self.soak.stay)
        while self.talker.is_open and not self.soak.is_over and time.monotonic() < end:
            await self.soak.pause(self.random.expovariate(self.soak.pace))
            if not self.talker.is_open or self.soak.is_over:
                return
            what = self.random.random()
            if what < 0.9:
                await self._publish()
            elif what < 0.95 and len(self.wanted) < 8:
                self.wanted.add(self.random.choice(self.soak.channels))
                await self._join_wanted()
            elif len(self.wanted) > 1:
                await self._leave(self.random.choice(sorted(self.wanted)))

    async def _publish(self):
        channel = self.random.choice(sorted(self.wanted))
        for _ in range(self.random.choice((1, 1, 1, 5))):
            self.said += 1
            self.talker.publish(channel, [self.number, self.said])

    async def _leave(self, channel):
        if channel not in self.talker.stays:
            return
        answer = await self.talker.ask("leave", channel=channel)
        if answer and answer["type"] == "ack":
            self.wanted.discard(channel)
            self.positions.pop(channel, None)

    def _go(self):
        talker = self.talker
        self._forget()
        if self.random.random() < 0.5:
            talker.close()
        else:
            talker.cut()


class Soak:
    def __init__(
        self, directory, seed, *, seconds, clients, channels, rate, has_presence=True, report=print, broker="redis"
    ):  # fmt: skip
        self.seed = seed
        self.seconds = seconds
        self.clients = clients
        self.channels = [f"{'kept' if number % 2 else 'plain'}:{number}" for number in range(channels)]
        self.has_presence = has_presence
        self.report = report
        # Requests of one client a second; most of them publish, some of these five messages.
        self.pace = rate / clients / 1.8
        self.arrival = min(10.0, seconds / 6)
        self.stay = max(5.0, seconds / 4)
        self._over = asyncio.Event()
        self.is_settled = False
        self.counts = Counter()
        self.faults = []
        self.ledger = Ledger(
            has_gaps=lambda channel: channel.startswith("plain"), announces=lambda channel: has_presence
        )  # fmt: skip
        self.began = time.monotonic()
        self.random = random.Random(f"{seed} faults")
        self.directory = Path(directory)
        (self.directory / broker).mkdir()
        self.service = SERVICES[broker](self.directory / broker, self.random, self.note)
        self.group = Nodes(self.directory, self.service.url, type=self.service.type)
        secret = self.directory / "jwt"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        rules = RULES if has_presence else {"kept:*": KEPT, "plain:*": {}}
        self.config = {
            "auth": {"mode": "jwt", "hmac_secret_file": str(secret)},
            "broker": {
                "presence_ttl": f"{PRESENCE_TTL}s", "probe_interval": f"{PROBE_INTERVAL}s", "queue_timeout": "30s",
                **self.service.settings,
            },
            "channels": rules,
            "limits": {"messages_per_second": 0, "channels": 10_000, "history_bytes": "1GiB", "memory": "2GiB"},
            "queue": {"limit": "16MiB"},
        }  # fmt: skip
        try:
            self.nodes = [self._start(f"node-{number}") for number in range(3)]
        except BaseException:
            self.finish()
            raise
        self.persons = [Person(self, number) for number in range(clients)]

    def _start(self, name, port=None):
        listen = {"server": {"listen": [f"127.0.0.1:{port}"]}} if port else {}
        return self.group.start({**self.config, **listen}, name=name, is_ready=False)

    async def pause(self, seconds):
        """Waits, but no longer than there is something to do."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    @property
    def is_over(self):
        return self._over.is_set()

    def note(self, text):
        self.report(f"{time.monotonic() - self.began:7.1f} s  {text}")

    # What happens.

    async def run(self):
        try:
            lives = [asyncio.create_task(person.run()) for person in self.persons]
            others = [asyncio.create_task(task) for task in (self._api(), self._wsctl(), self._break())]
            await asyncio.sleep(self.seconds)
            self._over.set()
            await asyncio.gather(*others)
            await self._settle(lives)
            self.is_settled = True
            await asyncio.gather(*lives)
            await self._read_everything()
            if self.has_presence:
                await self._check_presence()
        finally:
            for person in self.persons:
                if person.talker:
                    person.talker.close()
        return self.ledger.check(is_all_heard=lambda channel: channel.startswith("kept")) + self.faults

    async def _until(self, condition, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                self.faults.append(f"after {patience:g} s still waiting until {what()}")
                return False
            await asyncio.sleep(0.1)
        return True

    async def _api(self):
        """A backend that publishes on all nodes."""
        number, choice = 0, random.Random(f"{self.seed} api")
        while not self.is_over:
            await asyncio.sleep(choice.expovariate(8))
            number += 1
            node, channel, data = choice.choice(self.nodes), choice.choice(self.channels), ["api", number]
            self.ledger.sent(channel, data)
            answer = await asyncio.to_thread(self._call, node, channel, data)
            if answer:
                self.ledger.answered(data, answer)

    @staticmethod
    def _call(node, channel, data):
        headers = {"Authorization": f"Bearer {KEYS['publish']}", "Content-Type": "application/json"}
        try:
            body = json.dumps({"channel": channel, "data": data})
            status, _, text = node.api.raw("POST", "/api/publish", body, headers)
            answer = json.loads(text)
        except (OSError, ValueError, ConnectionError):
            return None
        except Exception as problem:  # http.client's, when a node is killed
            return None if type(problem).__module__ == "http.client" else {"code": "?", "message": repr(problem)}
        if status == 200:
            # Only where messages are kept, the API tells where they are.
            return answer if "seq" in answer else None
        return {"code": status, "message": answer["detail"]}

    async def _wsctl(self):
        """An operator."""
        number, choice = 0, random.Random(f"{self.seed} wsctl")
        while not self.is_over:
            await asyncio.sleep(choice.uniform(1, 3))
            number += 1
            node, channel = choice.choice(self.nodes), choice.choice(self.channels)
            data = ["wsctl", number]
            self.ledger.sent(channel, data)
            done = await asyncio.to_thread(node.daemon.wsctl, "broadcast", "--channel", channel, json.dumps(data))
            self.counts[f"wsctl {done.returncode}"] += 1

    # What breaks.

    async def _break(self):
        await asyncio.sleep(self.arrival)
        faults = [self._kill_node, self._kill_node, self._stop_node, *self.service.faults]
        planned = []
        while not self.is_over:
            # Each of them in turn, in an order that changes.
            planned = planned or self.random.sample(faults, len(faults))
            fault = planned.pop()
            self.counts[fault.__name__.lstrip("_")] += 1
            await fault()
            for node in self.nodes:
                await self._until(lambda: _is_ready(node), lambda: f"{node.name} is ready after {fault.__name__}")
            await self.pause(self.random.uniform(0.2, 3))

    async def _kill_node(self, by=signal.SIGKILL):
        index = self.random.randrange(len(self.nodes))
        node = self.nodes[index]
        self.note(f"{node.name} gets {by.name}")
        await asyncio.to_thread(node.daemon.stop, by)
        await asyncio.sleep(self.random.choice((0, 0.5, PRESENCE_TTL + 2)))
        self.nodes[index] = await asyncio.to_thread(self._start, node.name, node.port)

    async def _stop_node(self):
        await self._kill_node(signal.SIGTERM)

    # What is to be when nothing happens any more.

    async def _settle(self, lives):
        self.note("everybody comes back")

        def is_done():
            for life in lives:
                if life.done():
                    life.result()
            return all(person.is_complete for person in self.persons)

        def incomplete():
            missing = [(p.user, p.talker and p.wanted - set(p.talker.stays)) for p in self.persons if not p.is_complete]
            return f"everybody is where they want to be; {len(missing)} are not: {missing[:5]}"

        await self._until(is_done, incomplete)
        await self._until(
            lambda: not any(person.talker and person.talker.unanswered for person in self.persons),
            lambda: "everything is answered: "
            + str([(p.talker.name, p.talker.unanswered) for p in self.persons if p.talker and p.talker.unanswered][:5]),
        )
        await self._until(lambda: not self._late(), lambda: f"everybody has heard everything: {self._late()[:5]}")

    def _late(self):
        """Members who are not where the channel is."""
        newest, late = {}, []
        stays = [stay for person in self.persons if person.talker for stay in person.talker.stays.values()]
        for stay in stays:
            newest[stay.channel] = max(newest.get(stay.channel, 0), stay.seq)
        acknowledged = Counter()
        for channel, (_, seq) in self.ledger.acknowledged.values():
            acknowledged[channel] = max(acknowledged[channel], seq)
        for stay in stays:
            if stay.seq < max(newest[stay.channel], acknowledged[stay.channel]):
                late.append((stay.who, stay.channel, stay.position, newest[stay.channel], acknowledged[stay.channel]))
        return late

    async def _read_everything(self):
        """On each node, somebody hears every channel with a history from its beginning."""
        self.note("everything is read on each node")
        kept = [channel for channel in self.channels if channel.startswith("kept")]
        ends = []
        for node in self.nodes:
            talker = await self._checker(node)
            end = {}
            for channel in kept:
                epoch = (await talker.join(channel))["epoch"]
                await talker.ask("leave", channel=channel)
                end[channel] = (await talker.join(channel, (epoch, 0)))["seq"]
            await self._until(
                lambda: all(talker.stays[channel].seq >= end[channel] for channel in kept),
                lambda: f"{node.name} has sent the whole history",
            )
            ends.append({channel: talker.stays[channel].position for channel in kept})
            self.counts["read"] += sum(stay.heard for stay in talker.stays.values())
            talker.close()
        for node, each in zip(self.nodes, ends):
            for channel in kept:
                if each[channel] != ends[0][channel]:
                    self.faults.append(f"{channel} ends at {each[channel]} on {node.name}, and at {ends[0][channel]}")

    async def _checker(self, node):
        token = jwt.encode({"sub": "checker", "exp": 4_000_000_000}, SECRET, "HS256")
        headers = [("Authorization", f"Bearer {token}")]
        return await Talker.connect(node.port, self.ledger, f"checker@{node.name}", headers=headers)

    async def _check_presence(self):
        self.note("presence is compared")
        expected = {channel: {"checker"} for channel in self.channels}
        for person in self.persons:
            for channel in person.talker.stays if person.talker else ():
                expected[channel].add(person.user)
        checkers = [await self._checker(node) for node in self.nodes]
        for checker in checkers:
            for channel in self.channels:
                await checker.join(channel)
        wrong, end = [None], time.monotonic() + PRESENCE_TTL * 2 + 20
        while wrong and time.monotonic() < end:
            wrong = []
            for checker in checkers:
                for channel in self.channels:
                    answer = await asyncio.wait_for(checker.ask("presence", channel=channel), PATIENCE)
                    here = {each["user"] for each in (answer or {}).get("users", [])}
                    if here != expected[channel]:
                        missing, surplus = expected[channel] - here, here - expected[channel]
                        wrong.append(f"{checker.name}: {channel} lacks {sorted(missing)[:5]}, has {sorted(surplus)[:5]}")
            await asyncio.sleep(0.2)
        self.faults += wrong[:20]
        for checker in checkers:
            checker.close()

    def finish(self):
        self.faults += self.group.finish()
        self.service.finish()


def _is_ready(node):
    with contextlib.suppress(OSError):
        return node.is_ready()
    return False


def soak(directory, seed, report=print, **options):
    """Runs it; the faults, and how often what has happened."""
    run = Soak(directory, seed, report=report, **options)
    try:
        asyncio.run(run.run())
    finally:
        run.finish()
    faults = run.ledger.faults + run.faults
    counts = run.counts + run.ledger.counts
    counts["said by clients"] = sum(person.said for person in run.persons)
    report(", ".join(f"{name}: {count}" for name, count in counts.items()))
    return faults, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=3000)
    parser.add_argument("--channels", type=int, default=300)
    parser.add_argument("--rate", type=float, default=150, help="messages of clients a second")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--broker", choices=SERVICES, default="redis")
    parser.add_argument("--without-presence", action="store_true")
    options = parser.parse_args()
    print(f"seed: --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wsd-") as directory:
        faults, _ = soak(
            directory,
            options.seed,
            report=lambda text: print(text, flush=True),
            seconds=options.minutes * 60,
            clients=options.clients,
            channels=options.channels,
            rate=options.rate,
            has_presence=not options.without_presence,
            broker=options.broker,
        )
    print("\n".join(faults) or "no fault")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
