"""What clients of several nodes were told, and whether all of it fits together.

Every message has data that no other has. A stay is the time that a client is in a channel without a break. Checked as it
comes: within a stay the numbers follow each other; a number in a numbering (channel and epoch) means the same message to
everybody; a message has one place. Checked at the end: what was acknowledged is where the acknowledgement says, and what
was refused without a doubt is nowhere.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Stay:
    """One client in one channel, from the answer to its join on."""

    who: str
    channel: str
    epoch: str
    seq: int
    # Whether it began where an earlier stay of the client had ended; None if it did not ask for that.
    recovered: bool | None = None
    gaps: list = field(default_factory=list)
    heard: int = 0

    @property
    def position(self):
        return self.epoch, self.seq


class Ledger:
    """The record of all.

    `has_gaps(channel)` says where a gap may be told, `renumbers(channel)` where a numbering may end, and
    `announces(channel)` where a gap may be that joins and leaves are missing, which have no numbers.
    """

    MOST_FAULTS = 50

    def __init__(
        self, has_gaps=lambda channel: False, renumbers=lambda channel: False, announces=lambda channel: False
    ):  # fmt: skip
        self.has_gaps = has_gaps
        self.announces = announces
        self.renumbers = renumbers
        self.faults = []
        # (channel, epoch) → number → data; data → where it is.
        self.orders = defaultdict(dict)
        self.places = {}
        # data → (channel, position); of what was refused, data → (channel, message), and what nobody has answered.
        self.acknowledged = {}
        self.refused = {}
        self.unanswered = {}
        self.counts = Counter()
        # channel → the positions before and after a loss that somebody was told of.
        self.losses = defaultdict(set)

    def fault(self, text):
        if len(self.faults) < self.MOST_FAULTS:
            self.faults.append(text)

    # What clients hear.

    def begin(self, who, channel, answer, since=None):
        """A stay, by the answer to a join that named the position `since`."""
        recovered = answer.get("recovered") if since else None
        self.counts["stays"] += 1
        if since and recovered:
            self.counts["recovered"] += 1
            return Stay(who, channel, since[0], since[1], True)
        if since:
            self.counts["not recovered"] += 1
            self.losses[channel].add((since, (answer["epoch"], answer["seq"])))
            was_lost = answer["epoch"] != since[0] and self.renumbers(channel)
            if not was_lost and not self.has_gaps(channel):
                self.fault(f"{who}: {channel} was not recovered from {since}: {answer}")
        return Stay(who, channel, answer["epoch"], answer["seq"], recovered)

    def hear(self, stay, message):
        """A message with a number, or a gap, in a channel where the client is."""
        if message.get("event") == "gap":
            return self._gap(stay, message)
        seq, data = message["seq"], _key(message["data"])
        stay.heard += 1
        self.counts["heard"] += 1
        if seq != stay.seq + 1:
            self.fault(f"{stay.who}: {stay.channel} {stay.epoch}: {seq} {data} after {stay.seq}")
        stay.seq = seq
        self.place(stay.who, stay.channel, stay.epoch, seq, data)

    def _gap(self, stay, message):
        after = message["epoch"], message["seq"]
        if after == stay.position and self.announces(stay.channel):
            self.counts["users missing"] += 1
            return
        stay.gaps.append((stay.position, after))
        self.counts["gaps"] += 1
        self.losses[stay.channel].add((stay.position, after))
        if after[0] != stay.epoch:
            self.counts["renumberings"] += 1
            if not self.renumbers(stay.channel):
                self.fault(f"{stay.who}: {stay.channel} has a new numbering: {stay.position} to {after}")
        elif not self.has_gaps(stay.channel):
            self.fault(f"{stay.who}: {stay.channel} has a gap: {stay.position} to {after}")
        elif after[1] < stay.seq:
            self.fault(f"{stay.who}: {stay.channel} goes back: {stay.position} to {after}")
        stay.epoch, stay.seq = after

    def place(self, who, channel, epoch, seq, data):
        """Notes that somebody was told what has a number."""
        order = self.orders[channel, epoch]
        known = order.setdefault(seq, data)
        if known != data:
            self.fault(f"{who}: {channel} {epoch} {seq} is {data}, and {known} to others")
        place = self.places.setdefault(data, (channel, epoch, seq))
        if place != (channel, epoch, seq):
            # Lost data may have held what is published once more because nobody knows of it any more.
            if place[1] == epoch or not self.renumbers(channel):
                self.fault(f"{who}: {data} is in {channel} at {epoch} {seq}, and at {place}")
            self.places[data] = (channel, epoch, seq)

    # What publishers are told.

    def sent(self, channel, data):
        self.unanswered[_key(data)] = channel

    def answered(self, data, answer):
        """By an ack or error of the protocol, or by what the API says."""
        data = _key(data)
        channel = self.unanswered.pop(data)
        if "code" in answer:
            self.counts["refused"] += 1
            self.refused[data] = channel, answer["message"]
        else:
            self.counts["acknowledged"] += 1
            self.acknowledged[data] = channel, (answer["epoch"], answer["seq"])

    # The end.

    def newest(self, channel):
        """The largest position of each numbering that anybody was told of, by its epoch."""
        found = {}
        for (name, epoch), order in self.orders.items():
            if name == channel:
                found[epoch] = max(order)
        for name, (epoch, seq) in self.acknowledged.values():
            if name == channel:
                found[epoch] = max(seq, found.get(epoch, 0))
        return found

    def check(self, *, is_all_heard=None):
        """All faults; `is_all_heard(channel)` says where somebody has heard, or was told lost, all that was acknowledged."""
        for data, (channel, (epoch, seq)) in self.acknowledged.items():
            told = self.orders[channel, epoch].get(seq)
            if told is not None and told != data:
                self.fault(f"{data} was acknowledged at {channel} {epoch} {seq}, where {told} is")
            elif told is None and is_all_heard and is_all_heard(channel) and not self._is_told_lost(channel, epoch, seq):
                self.fault(f"{data} was acknowledged at {channel} {epoch} {seq}, and nobody has heard it")
            place = self.places.get(data)
            if place not in (None, (channel, epoch, seq)) and not self.renumbers(channel):
                self.fault(f"{data} was acknowledged at {channel} {epoch} {seq}, and is at {place}")
        for data, (channel, message) in self.refused.items():
            if data in self.places and "may not have been" not in message:
                self.fault(f"{data} is at {self.places[data]}, although it was refused: {message}")
        return self.faults

    def _is_told_lost(self, channel, epoch, seq):
        """Whether somebody was told of a loss that a place in a channel is in."""

        def is_in(before, after):
            # A new numbering takes what follows in the old one, and what it had itself before the position that is told.
            is_after = epoch == before[0] and seq > before[1]
            is_before = epoch == after[0] and seq <= after[1]
            return is_after and is_before if before[0] == after[0] else is_after or is_before

        return any(is_in(*loss) for loss in self.losses[channel])


def _key(data):
    return data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
