"""One run: the daemon, the clients and the operators, the end at which all are heard out, and the verdict."""

import asyncio
import itertools
import json
import time
from collections import Counter

from ports import free_port
from waiting import DEADLINE
from wsdaemon import Daemon

from .client import Client, Record
from .crowding import check_crowding
from .operators import Operator
from .person import Person, View
from .plan import KEY, SECRET, token_header
from .stream import Stream
from .timeline import Timeline
from .truth import Truth


class Run:
    """A plan that is carried out; `violations` says what was found."""

    def __init__(self, plan, directory):
        self.plan = plan
        self.directory = directory
        self.truth = Truth(plan)
        self.timeline = Timeline(plan)
        self.records = []
        self.streams = {}
        self.numbers = itertools.count(1)
        self.dropped = {}
        self.causes = {}
        # Who is in each channel at the end.
        self.expected = {}
        self._asked_at = 0.0

    @property
    def violations(self):
        return self.truth.violations

    @property
    def summary(self):
        heard = sum(len(record.events) for record in self.records)
        ends = Counter(str(record.ended[:2]) for record in self.records if record.ended)
        return f"{len(self.records)} connections, {heard} messages, {dict(ends)}, {len(self.dropped)} with drops"

    def execute(self):
        """Carries the plan out; the violations."""
        api_port = free_port()
        key, secret = self.directory / "key", self.directory / "secret"
        key.write_text(KEY + "\n")
        key.chmod(0o600)
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        tables = [self.plan.rules(variant) for variant in range(len(self.plan.variants))]
        config = self.plan.configuration(api_port, str(key), str(secret))
        self.daemon = Daemon(self.directory, config, workers=self.plan.workers)
        try:
            asyncio.run(self._live(api_port, tables))
        finally:
            was_alive = self.daemon.is_alive()
            try:
                self.daemon.finish()
            except AssertionError as fault:
                self.truth.report("alive", str(fault))
            if not was_alive:
                code, log = self.daemon.process.returncode, self.daemon.log()[-2000:]
                self.truth.report("alive", f"the daemon ended with {code}\n{log}")
        return self.violations

    async def _live(self, api_port, tables):
        port = self.daemon.port
        persons = [Person(n, self.plan, port, self.records, self.numbers) for n in range(self.plan.clients)]
        operator = Operator(self.plan, self.daemon, api_port, tables, self.timeline, self.truth, persons)
        self.operator = operator
        lives = [asyncio.create_task(person.run()) for person in persons]
        steering = [asyncio.create_task(operator.run())] if self.plan.operators else []
        end = time.monotonic() + self.plan.seconds
        while time.monotonic() < end and self.daemon.is_alive():
            await asyncio.sleep(0.25)
            # Whoever waits for the daemon's notifications has to take them, or its next one waits.
            self.daemon.notified()
            self._ask_for_endings()
        operator.is_over = True
        await asyncio.gather(*steering)
        for person in persons:
            person.is_over = True
        await asyncio.gather(*lives, return_exceptions=not self.daemon.is_alive())
        if self.daemon.is_alive():
            await self._hear_out([p.client for p in persons if p.client])
        self._judge()

    # The end.

    async def _hear_out(self, clients):
        """Everybody is answered; then the last word is said in every channel, and everybody has heard it."""
        await asyncio.gather(*(self._drain(client) for client in clients if client.is_open))
        await self._fence()
        clients = [client for client in clients if client.is_open]
        await self._wait_for_tails(clients)
        await self._compare_presence(clients)
        self._advance()
        for client in clients:
            if client.is_open:
                self.streams[client.record.number].check_end(self.truth.fences, self.expected)
        await self._read_histories()
        for client in clients:
            client.close()
        await asyncio.wait([client.closed for client in clients] or [asyncio.sleep(0)], timeout=DEADLINE)
        await self._expect_nobody()

    async def _drain(self, client):
        client.send({"type": "ping", "id": f"last-{client.record.number}"})
        await client.quiet()

    async def _wait_for_tails(self, clients):
        end = time.monotonic() + DEADLINE / 3
        while time.monotonic() < end:
            self._advance()
            behind = [
                member
                for client in clients
                for channel, member in self.streams[client.record.number].members.items()
                if member.recovers or (member.last or 0) < self.truth.fences.get((channel, member.epoch), 0)
            ]
            if not behind:
                return
            await asyncio.sleep(0.2)

    async def _fence(self):
        """The last word in every channel, by a client of its own."""
        record = Record(next(self.numbers), "/bare")
        self.records.append(record)
        headers = [token_header("fence")] if self.plan.jwt else []
        fence = await Client.connect(self.daemon.port, record, View(), headers=headers)
        channels = [channel for channel in self.plan.channels if not channel.startswith("news")]
        fence.send(
            *(
                {"type": "chat", "channel": c, "id": f"fence-{c}", "data": {"by": record.number, "n": n}}
                for n, c in enumerate(channels)
            )
        )
        await fence.quiet()
        for event in record.events:
            if event.message["type"] == "ack" and "seq" in event.message:
                self.truth.fences[event.message["channel"], event.message["epoch"]] = event.message["seq"]
        fence.close()
        await fence.closed

    async def _read_histories(self):
        """All that was said where everything is kept."""
        for channel in self.plan.kept:
            question = {"channel": channel, "limit": 1000}
            while True:
                status, text = await asyncio.to_thread(self.operator._call, "/api/history", json.dumps(question))
                page = json.loads(text) if status == 200 else {"messages": []}
                if not page["messages"]:
                    break
                self.truth.saw_page(None, {"channel": channel, **page}, text)
                question["before"] = page["messages"][0]["seq"]
        self.truth.is_complete = True

    async def _compare_presence(self, clients):
        """Asks in every channel until the hub tells those who are there."""
        expected = {}
        for client in clients:
            for channel in self.streams[client.record.number].members:
                expected.setdefault(channel, Counter())[client.record.user] += 1
        settings = {c: self.timeline.settings(c, time.monotonic(), time.monotonic())[-1] for c in expected}
        self.expected = {c: set(users) for c, users in expected.items() if settings[c].get("join_leave")}
        asked = [
            (client, channel)
            for client in clients
            for channel in self.streams[client.record.number].members
            if settings[channel].get("presence")
        ]
        end = time.monotonic() + DEADLINE / 3
        for turn in itertools.count():
            for client, channel in asked:
                if client.is_open:
                    client.send({"type": "presence", "channel": channel, "id": f"presence-{turn}-{channel}"})
            await asyncio.gather(*(client.quiet() for client in clients))
            wrong = [
                (client, channel)
                for client, channel in asked
                if client.is_open and self._told(client, turn, channel) != expected[channel]
            ]
            if not wrong:
                return
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.1)
        for client, channel in wrong:
            told = self._told(client, turn, channel)
            self.streams[client.record.number].report(
                "presence", f"{channel}: told {dict(told)}, there are {dict(expected[channel])}"
            )

    def _told(self, client, turn, channel):
        for event in reversed(client.record.events):
            if event.message.get("id") == f"presence-{turn}-{channel}" and "users" in event.message:
                return Counter({each["user"]: each["connections"] for each in event.message["users"]})
        return Counter()

    async def _expect_nobody(self):
        end = time.monotonic() + DEADLINE
        while True:
            listed = await self._channels()
            if not any(each["connections"] for each in listed):
                return
            if time.monotonic() > end:
                self.truth.report("leak", f"with all gone: {listed}")
                return
            await asyncio.sleep(0.05)

    async def _channels(self):
        status, answer = await asyncio.to_thread(self.operator._call, "/api/channels", None)
        return json.loads(answer)["channels"]

    # The verdict.

    def _ask_for_endings(self):
        """What the hub says of those that have ended; it remembers some only."""
        if time.monotonic() - self._asked_at > 4:
            self._asked_at = time.monotonic()
            self._ask_for_dropped()

    def _ask_for_dropped(self):
        if not self.daemon.is_alive():
            return
        for command in (("list", "--json"), ("why", "--limit", "1000", "--json")):
            for line in self.daemon.wsctl(*command).stdout.splitlines():
                row = json.loads(line)
                name = row.get("id") or row.get("connection")
                if row.get("droppedMessages"):
                    self.dropped[name] = row["droppedMessages"]
                if row.get("cause"):
                    self.causes[name] = row["cause"]
        for record in self.records:
            record.dropped = self.dropped.get(record.connection, 0)
            record.cause = self.causes.get(record.connection)

    def _advance(self):
        # Who has lost something has to be known before what follows from that is looked at.
        self._ask_for_dropped()
        for record in self.records:
            stream = self.streams.get(record.number)
            if stream is None:
                stream = self.streams[record.number] = Stream(record, self.plan, self.timeline, self.truth)
            stream.advance()

    def _judge(self):
        self._advance()
        for stream in self.streams.values():
            stream.finish()
        said = {stream.record.number: stream.said for stream in self.streams.values()}
        self.truth.settle(self.records, self.operator.published, said)
        check_crowding(self.plan, self.timeline, self.truth, self.streams.values())
