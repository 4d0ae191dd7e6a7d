"""Walks along what one client sent and received, and compares it with what the protocol promises."""

from dataclasses import dataclass

from .answers import Answers
from .client import SENT
from .following import Following
from .timeline import LATE
from .truth import Gap, short


# What the hub says of a connection that the client ended, and of one that it remembers no end of.
OWN_CAUSES = ("peer_closed", "peer_gone", "reset", None)


@dataclass
class Stay:
    """When a connection was in a channel: perhaps from `asked` to `gone_late`, surely from `came` to `gone_early`."""

    channel: str
    asked: float
    came: float | None
    gone_early: float = float("inf")
    gone_late: float = float("inf")


@dataclass
class Member:
    """A connection in a channel. `epoch` and `last` are None where a join without an id has not told them."""

    epoch: str | None
    last: int | None
    following: Following
    stay: Stay
    # The next number that is recovered, and the last one.
    recovers: tuple | None = None


class Stream(Answers):
    """One connection's walk, which goes on as more is recorded."""

    def __init__(self, record, plan, timeline, truth):
        self.record = record
        self.plan = plan
        self.timeline = timeline
        self.truth = truth
        # Requests that are not answered yet, and those that others have overtaken, by id.
        self.pending = []
        self.overtaken = {}
        self.members = {}
        self.stays = []
        # What it has surely published, as a later answer shows: the channel and the number.
        self.said = []
        self.is_confused = False
        self.now = 0.0
        self._position = 0

    def report(self, promise, text):
        """Where an answer was missed, or the hub has dropped messages, what may follow from that is not reported."""
        if promise not in ("truth", "epoch", "ended"):
            if self.is_confused or self.record.dropped > 0 and promise != "double":
                return
        self.truth.report(promise, text, self.record)

    def advance(self):
        """Goes on to the end of what is recorded."""
        events = self.record.events
        while self._position < len(events):
            event = events[self._position]
            self._position += 1
            if event.kind == SENT:
                self.pending.append(event)
            else:
                self.now = event.time
                self._take(event.message, event.text)

    def finish(self):
        """The record is complete."""
        self.advance()
        for promise, text in self.record.faults:
            self.report(promise, text)
        for channel in list(self.members):
            # When the hub has closed it, or noticed that it is gone, is not known: it may have, before the client did.
            is_ours = self.record.ended == ("ours",) and not self.record.has_stalled and self.record.cause in OWN_CAUSES
            early = self.record.ended_at if is_ours else 0
            # Nor whether it has carried out what it did not answer any more.
            open_requests = [*self.pending, *self.overtaken.values()]
            leaves = [
                each.time for each in open_requests if each.message["type"] == "leave" and each.message["channel"] == channel
            ]
            self._gone(channel, min([early, *leaves]), self.record.ended_at + LATE)
        if self.record.ended == ("ours",) or self.record.ended is None:
            return
        way, *reason = self.record.ended
        # Who does not read in time what is to be read before the reason is cut off.
        is_deaf = self.record.has_stalled and (self.record.was_kicked or self.plan.policy == "disconnect")
        if (way != "closed" or not reason[1]) and not is_deaf:
            self.report("ended", f"the hub ended the connection without a reason: {way} {reason}")

    def check_end(self, fences, present):
        """The connection was there to the end: it has heard the last word in its channels, and knows who is there."""
        for channel, member in self.members.items():
            if member.recovers:
                self.report("recovery", f"{channel} {member.recovers} has never come")
            fence = fences.get((channel, member.epoch))
            if fence and member.last < fence:
                self.report("tail", f"{channel} {member.last} is the last that came, of {fence}")
            known = member.following
            if known.is_complete and channel in present and known.users != present[channel]:
                gone, come = sorted(known.users - present[channel]), sorted(present[channel] - known.users)
                self.report("following", f"{channel}: {gone} have gone unannounced, {come} have come so")

    def _gone(self, channel, early, late):
        """The connection has left a channel; whether it was in it."""
        member = self.members.pop(channel, None)
        if member:
            member.stay.gone_early, member.stay.gone_late = early, late
        return member is not None

    def _come(self, channel, epoch, last, following, asked, came):
        known = self.members.get(channel)
        stay = known.stay if known else Stay(channel, asked, came)
        if not known:
            self.stays.append(stay)
        self.members[channel] = Member(epoch, last, following, stay)

    def _take(self, message, text):
        kind = message["type"]
        if kind in ("ack", "error"):
            self._take_answer(message, text)
        elif message.get("event") == "welcome":
            if "channel" in message:
                self._joined(message, self.record.since, self.record.opened - LATE)
        elif message.get("event") == "left":
            self._settle_for(message["channel"])
            if not self._gone(message["channel"], 0, self.now):
                self.report("outside", f"left {message['channel']}, where it was not")
        elif kind in ("chat", "system") and "seq" in message:
            self._hear(message, text)
        elif kind in ("join", "leave"):
            member = self._member(message["channel"])
            if member is None:
                self.report("outside", f"not in the channel: {short(text)}")
            else:
                is_settled = not self._note_changes(message["channel"], member)
                member.following.announced(kind, message["from"], is_settled)

    # Joins, and what follows them.

    def _joined(self, message, since, asked):
        channel, epoch, seq = message["channel"], message["epoch"], message["seq"]
        known = self.members.get(channel)
        if known and known.epoch not in (None, epoch):
            self.report("epoch", f"{channel} was {known.epoch} and is {epoch}, with this client in it")
        is_recovered = message["recovered"]
        if known and known.recovers:
            self.report("recovery", f"{channel} {known.recovers} had not come when it joined again")
        if known and since is None and not is_recovered:
            # A member stays what it is.
            if known.last is not None and seq > known.last:
                self._note_gaps(channel, known, seq + 1)
            known.epoch, known.last = epoch, max(seq, known.last or 0)
            return
        if known and known.last is not None and is_recovered and since["seq"] < seq < known.last:
            # From before its live stream, in which nothing is missing: that stays as it is. It began with its last ack, which
            # a join without an id has not told.
            self._check_recovered(message, since)
            known.recovers = (since["seq"] + 1, seq)
            return
        if known and known.last is not None:
            if seq < known.last:
                self.report("rejoin", f"{channel} {known.last} had come, the ack says {seq}")
                self.is_confused = True
                return
            if not is_recovered or since["seq"] > known.last:
                self._note_gaps(channel, known, min(seq, since["seq"] if is_recovered else seq) + 1)
        self._check_recovered(message, since)
        following = known.following if known else self._following()
        self._come(channel, epoch, seq, following, asked, self.now)
        if is_recovered and since["seq"] < seq:
            self.members[channel].recovers = (since["seq"] + 1, seq)

    def _check_recovered(self, message, since):
        channel, seq, is_recovered = message["channel"], message["seq"], message["recovered"]
        if since is None or since["epoch"] != message["epoch"] or since["seq"] > seq:
            if is_recovered:
                self.report("recovered", f"{channel} since {since} is no place, but recovered: {message}")
            return
        if self.plan.changes(channel) or channel == "heavy":
            # How much of it is kept depends on other things, too.
            return
        missed = seq - since["seq"]
        if is_recovered != (missed <= self.plan.rule(channel).get("history", 0)):
            self.report("recovered", f"{channel} since {since}, {missed} messages: {message}")

    def _hear(self, message, text):
        channel, seq = message["channel"], message["seq"]
        member = self._member(channel)
        if member is None:
            return self.report("outside", f"not in the channel: {short(text)}")
        if member.epoch:
            self.truth.saw(self.record, channel, member.epoch, seq, text)
        if member.recovers:
            first, last = member.recovers
            if seq != first:
                self.report("recovery", f"{channel} {first} to {last} was to come, {seq} came")
                if seq <= last:
                    member.recovers = (seq + 1, last) if seq < last else None
                    return None
                member.recovers = None
            else:
                member.recovers = (first + 1, last) if first < last else None
                return None
        is_own = message.get("data", {}).get("by") == self.record.number if message["type"] == "chat" else False
        if is_own and not self.plan.rule(channel).get("echo", True):
            self.report("echo", f"its own {short(text)}")
        if member.last is not None:
            if seq <= member.last and not self._settle_for(channel):
                self.report("double", f"{channel} {seq} after {member.last}")
            elif seq > member.last + 1:
                self._note_gaps(channel, member, seq)
        self.members[channel].last = seq
        return None

    def _note_gaps(self, channel, member, end):
        """The live numbers from the last one up to `end` have not come."""
        if self.is_confused:
            return
        self.truth.gaps += [Gap(self.record, channel, member.epoch, seq) for seq in range(member.last + 1, end)]

    def _following(self):
        return Following(self.report, self.record.user, self.now)

    def _note_changes(self, channel, member):
        """What was announced under other settings says nothing about these. Whether there may have been others just now."""
        has_changed = self.timeline.has_changed(channel, member.following.checked, self.now)
        if has_changed:
            member.following.forget()
        member.following.checked = self.now
        return has_changed
