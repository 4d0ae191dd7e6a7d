"""A client of the json protocol that sends many requests at once, and keeps all that comes in its order."""

import itertools
import json
import select

from rawws import TEXT, RawWebSocket, frame


class JSONWire(RawWebSocket):
    """One connection. `heard` is everything that has come since the welcome, in its order."""

    def __init__(self, port, path="/chat", **options):
        super().__init__(port, path, **options)
        self.heard = []
        self.ids = itertools.count(1)
        self.welcome = json.loads(self.receive_text())
        assert self.welcome["event"] == "welcome"
        self.user = self.welcome["user"]

    def request(self, *requests):
        """Sends requests at once, each as (type, members); those without an id get one. Returns the ids."""
        messages = [{"id": next(self.ids), "type": kind, **members} for kind, members in requests]
        self.send(b"".join(frame(TEXT, json.dumps(message)) for message in messages))
        return [message["id"] for message in messages]

    def hear(self):
        """The next message."""
        self.heard.append(json.loads(self.receive_text()))
        return self.heard[-1]

    def hear_until(self, is_last):
        """Everything up to a message, this one included."""
        start = len(self.heard)
        while not is_last(self.hear()):
            pass
        return self.heard[start:]

    def answers(self, ids):
        """Hears on until all these are answered; the answers in the order in which they came."""
        found = []
        while len(found) < len(ids):
            message = self.hear()
            if message["type"] in ("ack", "error"):
                assert message.get("id") in ids, f"nobody has asked for {message}"
                assert message["id"] not in [each["id"] for each in found], f"twice: {message}"
                found.append(message)
        return found

    def ask(self, kind, **members):
        """The answer to one request; what comes before it is in `heard`."""
        return self.answers(self.request((kind, members)))[0]

    def ok(self, kind, **members):
        answer = self.ask(kind, **members)
        assert answer["type"] == "ack", answer
        return answer

    def socket_is_empty(self):
        """Whether nothing has come that is not heard yet."""
        return not self.buffered and not select.select([self.socket], [], [], 0)[0]

    def chats(self, channel):
        """The numbers of the channel's messages in what was heard."""
        return [m["seq"] for m in self.heard if m.get("channel") == channel and m["type"] == "chat"]
