"""Walks along what one client sent and received, and compares it with what the protocol promises."""

from dataclasses import dataclass

from .client import SENT
from .following import Following
from .timeline import LATE
from .truth import Gap, short


# What a request without an id may be refused with.
REFUSALS = {"join": ("full", "not_permitted"), "leave": ("not_joined",), "chat": ("not_permitted",)}


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


class Stream:
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
            # When the hub has closed it, or noticed that it is gone, is not known.
            is_ours = self.record.ended == ("ours",) and not self.record.has_stalled
            self._gone(channel, self.record.ended_at if is_ours else 0, self.record.ended_at + LATE)
        if self.record.ended == ("ours",) or self.record.ended is None:
            return
        way, *reason = self.record.ended
        if way != "closed" or not reason[1]:
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
                more, less = known.users - present[channel], present[channel] - known.users
                self.report("following", f"{channel}: {sorted(more)} have gone unannounced, {sorted(less)} have come so")

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
                self._note_changes(message["channel"], member)
                member.following.announced(kind, message["from"])

    # Answers.

    def _take_answer(self, message, text):
        if "id" not in message:
            return self._take_refusal(message, text)
        if event := self.overtaken.pop(message["id"], None):
            return self._answered(event, message, text) if event.message["type"] == "chat" else None
        index = next((i for i, each in enumerate(self.pending) if each.message.get("id") == message["id"]), None)
        if index is None:
            return self.report("answered", f"nothing waited for {short(text)}")
        before, event = self.pending[:index], self.pending[index]
        del self.pending[: index + 1]
        for each in reversed(before):
            # An ack of a chat that has overtaken others says nothing about them.
            if event.message["type"] == "chat" and each.message.get("channel") != message.get("channel"):
                if "id" not in each.message:
                    self.pending.insert(0, each)
        for each in before:
            if each in self.pending:
                continue
            if "id" not in each.message:
                self._settle(each)
                continue
            self.overtaken[each.message["id"]] = each
            where = "of the same channel" if each.message.get("channel") == message.get("channel") else "of another channel"
            self.report("order", f"{short(text)} came before the answer to {each.message}, {where}")
            # What a chat does, it does whenever it is answered.
            self.is_confused = self.is_confused or each.message["type"] != "chat"
        return self._answered(event, message, text)

    def _take_refusal(self, message, text):
        """An error that names no request: it can be that of one without an id only."""
        if message["type"] == "ack":
            return self.report("answered", f"an ack without an id: {short(text)}")
        for index, event in enumerate(self.pending):
            request = event.message
            if "id" not in request and request["channel"] == message.get("channel") and self._may_mean(event, message):
                if any("id" in each.message for each in self.pending[:index]):
                    self.report("order", f"{short(text)} came before the answers to what was asked before")
                    self.is_confused = True
                for each in self.pending[:index]:
                    if "id" not in each.message:
                        self._settle(each)
                self.pending = [each for each in self.pending[:index] if "id" in each.message] + self.pending[index + 1 :]
                if request["type"] == "join":
                    self._refused(event, message)
                elif request["type"] == "leave":
                    self._expect_outside(message["channel"], f"leave was refused: {short(text)}")
                return None
        return self.report("answered", f"no request for {short(text)}")

    def _may_mean(self, event, message):
        """Whether an error may be that of a request without an id."""
        kind, code = event.message["type"], message["code"]
        if kind == "chat" or code != "not_permitted":
            return code in REFUSALS[kind]
        # A join is refused so by other settings than a chat.
        settings = self.timeline.settings(event.message["channel"], event.time, self.now)
        return kind == "join" and all(each.get("publish") != "nobody" for each in settings)

    def _settle(self, event):
        """A request without an id was carried out, as an answer to a later one shows."""
        request = event.message
        channel = request.get("channel")
        if request["type"] == "leave":
            self._gone(channel, event.time, self.now)
        elif request["type"] == "join" and channel not in self.members:
            self._come(channel, None, None, self._following(), event.time, None)

    def _settle_for(self, channel):
        """Something of a channel has come that shows that a join without an id was carried out."""
        for index, event in enumerate(self.pending):
            if "id" in event.message:
                return False
            if event.message["type"] == "join" and event.message["channel"] == channel:
                for each in self.pending[: index + 1]:
                    self._settle(each)
                del self.pending[: index + 1]
                return True
        return False

    def _following(self):
        return Following(self.report, self.record.user, self.now)

    def _note_changes(self, channel, member):
        """What was announced under other settings says nothing about these."""
        if self.timeline.has_changed(channel, member.following.checked, self.now):
            member.following.forget()
        member.following.checked = self.now

    def _member(self, channel):
        """The member that hears something of a channel now; None where the client is not in it."""
        if channel not in self.members and not self._settle_for(channel):
            return None
        return self.members[channel]

    def _expect_outside(self, channel, text):
        if self._gone(channel, 0, self.now):
            self.report("state", text)

    def _answered(self, event, message, text):
        request = event.message
        kind, channel = request["type"], request.get("channel")
        is_ack = message["type"] == "ack"
        if is_ack and channel != message.get("channel"):
            self.report("answered", f"{request} was answered with {short(text)}")
        settings = self.timeline.settings(channel, event.time, self.now) if channel else []
        if kind == "chat":
            if is_ack:
                self._published(request, message, settings)
            elif message["code"] != "not_permitted" or all(each.get("publish") != "nobody" for each in settings):
                self.report("permitted", f"{request} was refused: {short(text)}")
        elif kind == "join":
            if is_ack:
                if all("subscribe" in each and not self._is_granted(channel, each) for each in settings):
                    self.report("permitted", f"{request} was allowed")
                self._joined(message, request.get("since"), event.time)
            else:
                self._refused(event, message)
        elif kind == "leave":
            if is_ack and not self._gone(channel, event.time, self.now):
                self.report("state", f"{request} was answered though the client was not in the channel")
            elif not is_ack:
                self._expect_outside(channel, f"{request} was refused: {short(text)}")
        elif kind in ("presence", "history"):
            self._asked(request, message, text, settings)

    def _published(self, request, message, settings):
        channel, epoch, seq = message["channel"], message["epoch"], message["seq"]
        if all(each.get("publish") == "nobody" for each in settings):
            self.report("permitted", f"{request} was allowed")
        self.truth.confirmed(self.record, request["data"]["n"], channel, epoch, seq)
        member = self.members.get(channel)
        if member and member.epoch and member.epoch != epoch:
            self.report("epoch", f"{channel} was {member.epoch} and is {epoch}, with this client in it")
        if member and member.last is not None and not member.recovers and member.last >= seq:
            self.report("order", f"{channel} {seq} came before its ack")

    def _is_granted(self, channel, settings):
        if settings.get("subscribe", "anyone") == "granted":
            return self.record.user.startswith("user-") and int(self.record.user[5:]) % 2 == 1
        return settings.get("subscribe", "anyone") == "anyone"

    def _refused(self, event, message):
        channel, code = event.message["channel"], message["code"]
        settings = self.timeline.settings(channel, event.time, self.now)
        self._expect_outside(channel, f"a member's {event.message} was refused: {message}")
        if code == "full":
            self.timeline.refusals.append((self.record, channel, event.time, self.now))
        elif code != "not_permitted":
            self.report("permitted", f"{event.message} was refused: {message}")
        elif not self.timeline.was_taken_out(channel, event.time, self.now):
            if all(self._is_granted(channel, each) for each in settings):
                self.report("permitted", f"{event.message} was refused: {message}")

    def _asked(self, request, message, text, settings):
        channel, kind = request["channel"], request["type"]
        if message["type"] == "ack":
            member = self.members.get(channel)
            if member is None:
                return self.report("state", f"{request} was answered though the client was not in the channel")
            if not any(each.get(kind) for each in settings):
                self.report("permitted", f"{request} was allowed")
            if kind == "presence":
                self._note_changes(channel, member)
                member.following.asked([each["user"] for each in message["users"]])
            else:
                self._read(request, message, text, member)
        elif message["code"] == "not_joined":
            self._expect_outside(channel, f"{request} was refused: {short(text)}")
        elif message["code"] != "unavailable" or all(each.get(kind) for each in settings):
            self.report("permitted", f"{request} was refused: {short(text)}")
        return None

    def _read(self, request, message, text, member):
        seqs = self.truth.saw_page(self.record, message, text)
        newest = min(message["seq"], request.get("before", message["seq"] + 1) - 1)
        if seqs and (seqs != list(range(seqs[0], seqs[-1] + 1)) or len(seqs) > request["limit"] or seqs[-1] != newest):
            self.report("truth", f"{request} was answered with {seqs} and seq {message['seq']}")
        if member.epoch and member.epoch != message["epoch"]:
            self.report("epoch", f"{request['channel']} was {member.epoch} and is {message['epoch']}")

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
