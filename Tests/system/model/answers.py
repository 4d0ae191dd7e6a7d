"""The half of a walk along one connection that matches answers with requests, and checks what each says."""

from .truth import short

# What a request without an id may be refused with.
REFUSALS = {"join": ("full", "not_permitted"), "leave": ("not_joined",), "chat": ("not_permitted",)}


class Answers:
    """The requests of a connection that wait, and what becomes of each; `Stream` has the channels that it is in."""

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
        has_overtaken = event.message["type"] == "chat" and any("id" in each.message for each in before)
        kept = []
        for each in before:
            if "id" not in each.message:
                # Where it has overtaken others, it says nothing about them.
                kept.append(each) if has_overtaken else self._settle(each)
                continue
            self.overtaken[each.message["id"]] = each
            self.report("order", f"{short(text)} came before the answer to {short(str(each.message))}")
            # What a chat does, it does whenever it is answered.
            self.is_confused = self.is_confused or each.message["type"] != "chat"
        self.pending[:0] = kept
        return self._answered(event, message, text)

    def _take_refusal(self, message, text):
        """An error that names no request: it can be that of one without an id only."""
        if message["type"] == "ack":
            return self.report("answered", f"an ack without an id: {short(text)}")
        candidates = [
            index
            for index, event in enumerate(self.pending)
            if "id" not in event.message
            and event.message["channel"] == message.get("channel")
            and self._may_mean(event, message)
        ]
        if not candidates:
            return self.report("answered", f"no request for {short(text)}")
        # Several may be meant: rather one that can be refused so where those before it were carried out. A chat can,
        # whether the client is a member or not.
        index = next(
            (
                each for each in candidates
                if self.pending[each].message["type"] == "chat" or not self._would_be_member(message["channel"], each)
            ),
            candidates[0],
        )  # fmt: skip
        before, event = self.pending[:index], self.pending[index]
        if any("id" in each.message for each in before):
            self.report("order", f"{short(text)} came before the answers to what was asked before")
            self.is_confused = True
        for each in before:
            if "id" not in each.message:
                self._settle(each)
        self.pending = [each for each in before if "id" in each.message] + self.pending[index + 1 :]
        if event.message["type"] == "join":
            self._refused(event, message)
        elif event.message["type"] == "leave":
            self._expect_outside(message["channel"], f"leave was refused: {short(text)}")
        return None

    def _would_be_member(self, channel, index):
        """Whether the client would be in a channel when what waits up to an index is carried out."""
        is_member = channel in self.members
        for event in self.pending[:index]:
            if "id" not in event.message and event.message["channel"] == channel:
                is_member = {"join": True, "leave": False}.get(event.message["type"], is_member)
        return is_member

    def _may_mean(self, event, message):
        """Whether an error may be that of a request without an id."""
        kind, code = event.message["type"], message["code"]
        if code != "not_permitted":
            return code in REFUSALS[kind]
        # A join is refused so by other settings than a chat.
        settings = self.timeline.settings(event.message["channel"], event.time, self.now)
        if kind == "chat":
            return any(each.get("publish") == "nobody" for each in settings)
        return kind == "join" and all(each.get("publish") != "nobody" for each in settings)

    def _settle(self, event):
        """A request without an id was carried out, as an answer to a later one shows."""
        request = event.message
        channel = request.get("channel")
        if request["type"] == "leave":
            self._gone(channel, event.time, self.now)
        elif request["type"] == "join" and channel not in self.members:
            self._come(channel, None, None, self._following(), event.time, None)
        elif request["type"] == "chat":
            self.said.append((channel, request["data"]["n"]))

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
        self.said.append((channel, request["data"]["n"]))
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
