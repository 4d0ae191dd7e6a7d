"""Clients that do at random what clients do."""

import asyncio
import itertools
import random

from .client import Client, Record
from .plan import token_header

# Requests of one kind among all.
WEIGHTS = {"join": 24, "leave": 14, "chat": 44, "presence": 8, "history": 5, "ping": 5}


class View:
    """What a client believes: which channels it is in, and what it has seen of each."""

    def __init__(self):
        self.members = set()
        self.seen = {}
        # Channels that it has left without an id.
        self.left_silently = set()

    def sent(self, request):
        if request["type"] == "join":
            self.members.add(request["channel"])
        elif request["type"] == "leave":
            self.members.discard(request["channel"])
            if "id" not in request:
                self.left_silently.add(request["channel"])

    def received(self, message):
        channel, kind = message.get("channel"), message["type"]
        if channel is None:
            return
        if message.get("event") == "left":
            self.members.discard(channel)
        elif "recovered" in message:
            known = self.seen.get(channel)
            if not known or not message["recovered"] or known["epoch"] != message["epoch"]:
                self.seen[channel] = {"epoch": message["epoch"], "seq": message["seq"]}
            if message.get("event") == "welcome":
                self.members.add(channel)
        elif kind in ("chat", "system") and "seq" in message and channel in self.seen:
            self.seen[channel]["seq"] = max(self.seen[channel]["seq"], message["seq"])
        elif kind == "error":
            self.members.discard(channel)


class Person:
    """Somebody who connects, does this and that, goes in one way or another, and comes back."""

    def __init__(self, number, plan, port, records, numbers):
        self.number = number
        self.plan = plan
        self.port = port
        self.records = records
        self.numbers = numbers
        self.random = random.Random(f"{plan.seed}/{number}")
        self.is_slow = self.random.random() < plan.slow
        self.channels = plan.channels_of(number, self.is_slow)
        self.client = None
        self.is_over = False
        self._said = itertools.count()

    async def run(self):
        """Lives until `is_over`; then its last connection, if there is one, stays open."""
        view = View()
        while not self.is_over:
            await self._connect(view)
            if self.client.is_open:
                self._come_back(view)
                await self._live(view)
            if self.is_over:
                return
            self._go()
            await asyncio.sleep(self.random.choice((0, 0.02, 0.3)))
            view.members.clear()
            view.left_silently.clear()
            if self.random.random() < 0.3:
                view = View()

    async def _connect(self, view):
        path = "/chat" if self.random.random() < 0.5 else "/bare"
        record = Record(next(self.numbers), path)
        if path == "/chat" and (since := view.seen.get("lobby")) and self.random.random() < 0.7:
            record.since = dict(since)
            record.path += f"?epoch={since['epoch']}&seq={since['seq']}"
        headers = [self._token()] if self.plan.jwt else []
        self.records.append(record)
        self.client = await Client.connect(
            self.port,
            record,
            view,
            headers=headers,
            deflate=self.random.random() < 0.3,
            receive_buffer=4096 if self.is_slow else None,
        )

    def _token(self):
        """One of a third as many users as there are clients; half of them may go through closed gates."""
        user = self.number // 3
        granted = {"gate:*": ["subscribe", "publish"]} if user % 2 else {}
        return token_header(f"user-{user}", channels=granted)

    def _come_back(self, view):
        joins = [self._join(channel, since, view) for channel, since in view.seen.items() if channel in self.channels]
        if joins:
            self.client.send(*self.random.sample(joins, min(len(joins), self.plan.pipeline)))

    async def _live(self, view):
        for _ in range(self.random.randrange(5, 60)):
            if self.is_over or not self.client.is_open:
                return
            count = 1 if self.random.random() < 0.4 else self.random.randint(1, self.plan.pipeline)
            self.client.send(*(self._request(view) for _ in range(count)))
            if self.random.random() < 0.4 or self.plan.pipeline == 1:
                await self.client.quiet()
            if self.is_slow and self.random.random() < 0.15:
                self.client.stall()
                await asyncio.sleep(self.random.uniform(0.1, 2.5))
                self.client.read_on()
            await asyncio.sleep(self.random.choice((0, 0, 0.01, 0.05, 0.2)))

    def _go(self):
        way = self.random.random()
        if way < 0.6:
            self.client.reset()
        elif way < 0.8:
            self.client.close()
        else:
            self.client.cut()

    # What it asks for.

    def _request(self, view):
        kind = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
        if kind == "ping":
            return {"type": "ping", "id": self._id()}
        channel = self.random.choice(self.channels)
        if view.members and self.random.random() < (0.3 if kind == "join" else 0.85):
            channel = self.random.choice(sorted(view.members))
        if kind == "join":
            may_recover = self.plan.rejoins or channel not in view.members
            since = view.seen.get(channel) if may_recover and self.random.random() < 0.5 else None
            return self._join(channel, since, view)
        request = {"type": kind, "channel": channel, "id": self._id()}
        if kind == "chat":
            length = self.random.choice((0, 20, 100, 300)) if self.random.random() < 0.95 else 8000
            request["data"] = {"by": self.client.record.number, "n": next(self._said), "pad": "x" * length}
        elif kind == "history":
            request["limit"] = self.random.choice((1, 10, 100))
            if channel in view.seen and self.random.random() < 0.3:
                request["before"] = view.seen[channel]["seq"] + 1
        if kind in ("chat", "leave") and self.random.random() < (0.3 if kind == "chat" else 0.05):
            del request["id"]
        return request

    def _join(self, channel, since, view):
        request = {"type": "join", "channel": channel, "id": self._id()}
        if since:
            back = self.random.choice((0, 0, 0, 1, 5, 100))
            request["since"] = {"epoch": since["epoch"], "seq": max(0, since["seq"] - back)}
            if self.random.random() < 0.03:
                request["since"]["seq"] += 1000
        elif self.random.random() < 0.05 and channel not in view.left_silently:
            # Behind a leave without an id, nothing would tell that the client was ever away.
            del request["id"]
        return request

    def _id(self):
        return f"{self.client.record.number}.{len(self.client.record.events)}.{next(self._said)}"
