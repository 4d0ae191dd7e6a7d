"""200 honest clients in a process of their own, who talk in groups and keep account of all they hear.

Half of them speak relay, half json. In each group of ten one member after the other says something each 100 ms; everyone of
the group has to hear all of it, once, in one order. Run by soak.py: a line on stdin ends the talking (`stop`) or asks for
the account so far; each is answered with a line of JSON.
"""

import contextlib
import json
import os
import selectors
import sys
import time
from collections import Counter, defaultdict

from rawws import CLOSE, PING, PONG, TEXT, ConnectionEnded, RawWebSocket, frame, parse_close

GROUPS, MEMBERS, PERIOD = 20, 10, 0.1
# Upper ends of the classes of latencies, in milliseconds.
CLASSES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, float("inf"))


class Member:
    """One client: what it has heard of its group, in the order in which it came."""

    def __init__(self, port, group, number, headers):
        self.group, self.number = group, number
        self.is_json = group % 2 == 1
        path = "/honest-chat" if self.is_json else f"/honest/{group}"
        self.socket = RawWebSocket(port, path, headers=headers)
        if self.is_json:
            self.socket.receive_text()
            self.socket.send_text(json.dumps({"type": "join", "channel": f"honest:{group}", "id": 1}))
            answer = json.loads(self.socket.receive_text())
            assert answer["type"] == "ack", answer
        self.socket.socket.setblocking(False)
        self.heard = []
        self.output = b""
        self.is_closed = None

    def say(self, text):
        if self.is_json:
            text = '{"type":"chat","channel":"honest:%d","data":%s}' % (self.group, text)
        self.send(frame(TEXT, text))

    def send(self, data):
        self.output += data
        with contextlib.suppress(BlockingIOError):
            self.output = self.output[self.socket.socket.send(self.output) :]

    def read(self, now, note):
        try:
            self.socket._fill()
        except BlockingIOError:
            return
        except (OSError, ConnectionEnded) as end:
            self.is_closed = self.is_closed or repr(end)
            return
        while (length := self._frame_length()) is not None and len(self.socket.buffered) >= length:
            got = self.socket.receive_frame()
            if got.opcode == PING:
                self.send(frame(PONG, got.payload))
            elif got.opcode == CLOSE:
                self.is_closed = str(parse_close(got.payload))
            elif got.opcode == TEXT:
                message = json.loads(got.payload)
                if self.is_json and message["type"] != "chat":
                    continue
                sender, number, sent = message["data"] if self.is_json else message
                self.heard.append((sender, number))
                note(now - sent)

    def _frame_length(self):
        """The length of the frame at the front; None if it is not known yet. No honest message has 64 KiB."""
        buffered = self.socket.buffered
        if len(buffered) < 2:
            return None
        if buffered[1] < 126:
            return 2 + buffered[1]
        return 4 + int.from_bytes(buffered[2:4], "big") if len(buffered) >= 4 else None


class Talk:
    """All groups."""

    def __init__(self, port, headers):
        self.groups = [
            [Member(port, group, number, headers(group, number)) for number in range(MEMBERS)]
            for group in range(GROUPS)
        ]
        self.selector = selectors.DefaultSelector()
        for member in self.members():
            self.selector.register(member.socket.socket, selectors.EVENT_READ, member)
        self.said = [[] for _ in range(GROUPS)]
        self.latencies = Counter()
        self.most = 0.0
        self.due = time.monotonic()
        self.turn = 0

    def members(self):
        return (member for group in self.groups for member in group)

    def note(self, seconds):
        milliseconds = seconds * 1000
        self.most = max(self.most, milliseconds)
        self.latencies[next(end for end in CLASSES if milliseconds <= end)] += 1

    def step(self, talks):
        """Reads what has come, and says what is due: one message of one group at a time, evenly over the period."""
        wait = max(0, self.due - time.monotonic()) if talks else 0.05
        ready = self.selector.select(wait)
        now = time.monotonic()
        for key, _ in ready:
            key.data.read(now, self.note)
            if key.data.is_closed:
                self.selector.unregister(key.fileobj)
        for member in self.members():
            if member.output and not member.is_closed:
                member.send(b"")
        if talks and now >= self.due:
            group = self.turn % GROUPS
            speaker = self.groups[group][self.turn // GROUPS % MEMBERS]
            number = self.turn // GROUPS // MEMBERS
            self.turn += 1
            self.due += PERIOD / GROUPS
            if not speaker.is_closed:
                self.said[group].append((speaker.number, number))
                speaker.say(json.dumps([speaker.number, number, time.monotonic()]))

    def faults(self):
        """The faults found, as lines."""
        found = [f"a member of group {m.group} was closed: {m.is_closed}" for m in self.members() if m.is_closed]
        for group, members in enumerate(self.groups):
            said = set(self.said[group])
            for member in members:
                count = Counter(member.heard)
                name = f"member {member.number} of group {group}"
                if lost := said - set(count):
                    found.append(f"{name} lost {len(lost)} of {len(said)} messages, such as {min(lost)}")
                if twice := [message for message, times in count.items() if times > 1]:
                    found.append(f"{name} heard {len(twice)} messages twice, such as {twice[0]}")
                if any(numbers != sorted(numbers) for numbers in self._by_sender(member).values()):
                    found.append(f"{name} heard somebody's messages in another order")
                if not member.is_closed and not lost and member.heard != members[0].heard:
                    found.append(f"{name} heard another order than member 0")
        return found

    @staticmethod
    def _by_sender(member):
        numbers = defaultdict(list)
        for sender, number in member.heard:
            numbers[sender].append(number)
        return numbers

    def account(self):
        """The latencies since the last account."""
        taken, most = {str(end): self.latencies[end] for end in CLASSES}, self.most
        self.latencies, self.most = Counter(), 0.0
        return {"latencies": taken, "most": most}

    def is_complete(self):
        return all(m.is_closed or len(m.heard) >= len(self.said[m.group]) for m in self.members())


def main():
    port, tokens = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(PermissionError):
        os.nice(-15)

    def headers(group, number):
        return [("Authorization", f"Bearer {tokens[number % len(tokens)]}")] if tokens else []

    talk = Talk(port, headers)
    print("ready", flush=True)
    os.set_blocking(sys.stdin.fileno(), False)
    asked = b""
    while asked != b"stop\n":
        talk.step(talks=True)
        asked = b""
        with contextlib.suppress(BlockingIOError):
            asked = os.read(sys.stdin.fileno(), 100) or b"stop\n"
        if asked == b"account\n":
            print(json.dumps(talk.account()), flush=True)
    end = time.monotonic() + 30
    while not talk.is_complete() and time.monotonic() < end:
        talk.step(talks=False)
    print(json.dumps({**talk.account(), "faults": talk.faults(), "said": sum(map(len, talk.said))}), flush=True)


if __name__ == "__main__":
    main()
