"""Those who steer the hub while clients talk: by the API and by wsctl."""

import asyncio
import http.client
import itertools
import json
import random
import time

from waiting import DEADLINE
from wsdaemon import toml

from .plan import KEY
from .timeline import Action


class Operator:
    """Kicks, takes out of channels, publishes and reloads at random until `is_over`."""

    def __init__(self, plan, daemon, api_port, tables, timeline, truth, persons):
        self.plan = plan
        self.daemon = daemon
        self.api_port = api_port
        # The daemon's configuration by variant.
        self.tables = tables
        self.timeline = timeline
        self.truth = truth
        self.persons = persons
        self.random = random.Random(f"{plan.seed}/operator")
        self.is_over = False
        self.published = {}
        self._said = itertools.count()

    async def run(self):
        while not self.is_over:
            actions = {self._publish: 70, self._kick: 6, self._take_out: 16, self._reload: 8}
            if self.plan.slow:
                actions[self._pour] = 6
            await self.random.choices(list(actions), actions.values())[0]()
            await asyncio.sleep(self.random.choice((0, 0.05, 0.2)))

    def _member(self):
        """A client that is open and a channel that it is in, by chance."""
        person = self.random.choice(self.persons)
        if person.client is None or not person.client.is_open or not person.client.view.members:
            return None, None
        return person.client.record, self.random.choice(sorted(person.client.view.members))

    async def _publish(self):
        channel = self.random.choice(self.plan.channels)
        number = next(self._said)
        answer = await self.call("/api/publish", {"channel": channel, "data": {"by": "operator", "n": number}})
        if answer and "seq" in answer:
            self.published[number] = (channel, answer["epoch"], answer["seq"])

    async def _pour(self):
        """More at once than the sockets of those who do not read take: the kernel buffers up to 4 MiB for each."""
        commands = [
            {"publish": {"channel": "heavy", "data": {"by": "operator", "n": next(self._said), "pad": "x" * 30_000}}}
            for _ in range(self.random.choice((20, 200, 250)))
        ]
        await self.call("/api/batch", {"commands": commands})

    async def _kick(self):
        record, _ = self._member()
        if record:
            record.was_kicked = True
            await self.call("/api/disconnect", {"ids": [record.connection], "reason": "kicked by the model"})

    async def _take_out(self):
        record, channel = self._member()
        if not record:
            return
        whom = {"all": True} if self.random.random() < 0.15 else {"ids": [record.connection]}
        action = Action(time.monotonic(), float("inf"), "take out", channel=channel)
        self.timeline.actions.append(action)
        await self.call("/api/unsubscribe", {"channel": channel, "reason": "taken out by the model", **whom})
        action.end = time.monotonic()

    async def _reload(self):
        await self.reload(self.random.randrange(len(self.tables)))

    async def reload(self, variant):
        text = self.daemon.config_path.read_text()
        start = text.index("[channels]") if "[channels]" in text else text.index("[channels.")
        self.daemon.config_path.write_text(text[:start] + toml({"channels": self.tables[variant]}))
        action = Action(time.monotonic(), float("inf"), "reload", variant=variant)
        self.timeline.actions.append(action)
        done = await asyncio.to_thread(self.daemon.wsctl, "reload")
        action.end = time.monotonic()
        if done.returncode != 0:
            self.truth.report("alive", f"reload: {done.stderr}")

    async def call(self, path, body):
        """Asks the API; the answer, or None where that fails because the daemon is gone."""
        try:
            status, answer = await asyncio.to_thread(self._call, path, json.dumps(body))
        except OSError as error:
            if self.daemon.is_alive():
                self.truth.report("alive", f"{path}: {error!r}")
            self.is_over = True
            return None
        if status not in (200, 404):
            self.truth.report("alive", f"{path} {body}: {status} {answer}")
        return json.loads(answer)

    def _call(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=DEADLINE)
        try:
            fields = {"X-API-Key": KEY, "Content-Type": "application/json"}
            connection.request("POST" if body else "GET", path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
