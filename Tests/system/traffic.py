"""Members and publishers on all nodes, who talk while a test breaks something, and the check of what they heard."""

import asyncio
import threading
import time

from ledger import Ledger
from talker import Talker
from waiting import DEADLINE

# What may happen in the channels: one with history is without gaps, and in one without they are told.
GAPS = {"has_gaps": ("plain:1",)}
LOSS = {"has_gaps": ("kept:1", "plain:1"), "renumbers": ("kept:1", "plain:1")}


class Traffic:
    """Begins at once, in a thread of its own. Each node has members of each channel, and a publisher for each.

    What a client says is `[its name, a number]`. `stop` ends it, waits until everybody has everything, and checks that.
    """

    def __init__(self, nodes, channels=("kept:1", "plain:1"), *, members=2, pause=0.01, has_gaps=(), renumbers=()):
        self.ledger = Ledger(lambda channel: channel in has_gaps, lambda channel: channel in renumbers)
        self.nodes = list(nodes)
        self.channels = channels
        self._member_count = members
        self._pause = pause
        self.members = []
        self.publishers = []
        self.said = 0
        self._has_begun = threading.Event()
        self._is_over = threading.Event()
        self._has_stopped = False
        self._problem = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._has_begun.wait(DEADLINE * 2), "the clients can't begin"
        self._raise()

    def _main(self):
        try:
            asyncio.run(self._run())
        except BaseException as problem:  # it is told by whoever waits
            self._problem = problem
        finally:
            self._has_begun.set()

    def _raise(self):
        if self._problem:
            raise self._problem

    async def _run(self):
        for node in self.nodes:
            for channel in self.channels:
                for number in range(self._member_count):
                    talker = await Talker.connect(node.port, self.ledger, f"{node.name}/{channel}/{number}")
                    answer = await talker.join(channel)
                    assert answer["type"] == "ack", answer
                    self.members.append((channel, talker))
                self.publishers.append((channel, await Talker.connect(node.port, self.ledger, f"{node.name}/{channel}/p")))
        talking = [asyncio.create_task(self._talk(channel, talker)) for channel, talker in self.publishers]
        self._has_begun.set()
        while not self._is_over.is_set():
            await asyncio.sleep(0.01)
            for task in talking:
                if task.done():
                    task.result()
        await asyncio.gather(*talking)
        await self._until(lambda: not any(talker.unanswered for _, talker in self.publishers), "all is answered")
        await self._until(self._has_everybody_all, "everybody has heard everything")
        for _, talker in (*self.members, *self.publishers):
            if not talker.is_open:
                self.ledger.fault(f"{talker.name} was disconnected: {talker.notices[-1:]}")
            talker.close()

    async def _talk(self, channel, talker):
        number = 0
        while not self._is_over.is_set() and talker.is_open:
            if talker.unanswered < 100:
                number += 1
                self.said += 1
                talker.publish(channel, [talker.name, number])
            await asyncio.sleep(self._pause)

    async def _until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > end:
                self.ledger.fault(f"after {DEADLINE:g} s still waiting until {what}; {self._lag()}")
                return
            await asyncio.sleep(0.02)

    def _has_everybody_all(self):
        for channel in self.channels:
            newest = self.ledger.newest(channel)
            positions = {talker.stays[channel].position for name, talker in self.members if name == channel}
            if len(positions) != 1:
                return False
            epoch, seq = positions.pop()
            if seq < newest.get(epoch, 0):
                return False
        return True

    def _lag(self):
        stays = [talker.stays[channel] for channel, talker in self.members]
        unanswered = {talker.name: talker.unanswered for _, talker in self.publishers if talker.unanswered}
        newest = {channel: self.ledger.newest(channel) for channel in self.channels}
        return f"{[(stay.who, stay.position) for stay in stays]}, newest {newest}, unanswered {unanswered}"

    # From the test's thread.

    def count(self, name="acknowledged"):
        self._raise()
        return self.ledger.counts[name]

    def wait_for_more(self, count=20, deadline=DEADLINE):
        """Waits until so many more messages are acknowledged."""
        goal, end = self.count() + count, time.monotonic() + deadline
        while self.count() < goal:
            assert time.monotonic() < end, f"only {self.count()} of {goal} messages acknowledged after {deadline:g} s"
            time.sleep(0.01)

    def end(self):
        """Ends it in any case."""
        self._is_over.set()
        self._thread.join(DEADLINE * 4)

    def stop(self):
        """Ends it, and asserts that everything fits together; the ledger."""
        self.end()
        assert not self._thread.is_alive(), "the clients do not end"
        self._raise()
        ledger = self.ledger
        faults = ledger.check(is_all_heard=lambda name: True)
        print(dict(self.ledger.counts))
        assert not faults, "\n".join(faults)
        assert self.count("acknowledged") > 0
        return ledger
