"""What was said in each channel, put together from what everybody has seen of it."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

DECODER = json.JSONDecoder()


@dataclass
class Violation:
    """One promise that was broken, with the connection on which it shows."""

    promise: str
    text: str
    connection: int | None = None

    def __str__(self):
        where = "" if self.connection is None else f" (client {self.connection})"
        return f"{self.promise}: {self.text}{where}"


@dataclass
class Gap:
    """A number that a member did not get live."""

    record: object
    channel: str
    epoch: str | None
    seq: int


class Truth:
    """The messages of all channels by epoch and number, and what is wrong with them."""

    def __init__(self, plan):
        self.plan = plan
        self.violations = []
        self.texts = defaultdict(dict)
        # Where the hub says that a publisher's message is: (epoch, seq) by publisher and number.
        self.acknowledged = {}
        self.gaps = []
        # Whether the histories have been read at the end.
        self.is_complete = False
        # The last message of each channel, by channel and epoch.
        self.fences = {}

    def report(self, promise, text, record=None):
        self.violations.append(Violation(promise, text, record and record.number))

    def saw(self, record, channel, epoch, seq, text):
        """Somebody has seen a message."""
        known = self.texts[channel, epoch].setdefault(seq, text)
        if known != text:
            both = f"{short(known)} for one, {short(text)} for another"
            self.report("truth", f"{channel} {epoch} {seq} is {both}", record)

    def saw_page(self, record, message, text):
        """Somebody has asked for the history; the numbers in it."""
        seqs = []
        position = text.index('"messages":[') + len('"messages":[')
        for _ in message["messages"]:
            each, end = DECODER.raw_decode(text, position)
            self.saw(record, message["channel"], message["epoch"], each["seq"], text[position:end])
            seqs.append(each["seq"])
            position = end + 1
        return seqs

    def confirmed(self, record, number, channel, epoch, seq):
        """A publisher was told where its message is."""
        self.acknowledged[record.number, number] = (channel, epoch, seq)

    # At the end.

    def settle(self, records, published, said):
        """Compares what was said with what was heard, once everything is known.

        `published` is where the hub says that the operator's messages are, by their number, and `said` what each client
        has surely published.
        """
        by_number = {record.number: record for record in records}
        places = {}
        unseen = Counter()
        for (channel, epoch), texts in self.texts.items():
            for seq, text in texts.items():
                message = json.loads(text)
                if message["type"] != "chat":
                    self._check_operators(message, (channel, epoch, seq), published)
                    continue
                key = (message["data"]["by"], message["data"]["n"])
                author = by_number[key[0]]
                if key in places:
                    self.report("truth", f"{short(text)} is at {places[key]} and {(channel, epoch, seq)}", author)
                places[key] = (channel, epoch, seq)
                if message["from"] != author.user or message["channel"] != channel:
                    self.report("truth", f"{short(text)} was said by {author.user}", author)
                if key[1] not in author.chats or author.chats[key[1]][0] != channel:
                    self.report("truth", f"{short(text)} was never said in {channel}", author)
        for author, channel, number in ((by, *each) for by, sayings in said.items() for each in sayings):
            if channel in self.plan.kept and (author, number) not in places and self.is_complete:
                self.report("lost", f"message {(author, number)} is not in {channel}", by_number[author])
        for key, place in self.acknowledged.items():
            author = by_number[key[0]]
            if places.setdefault(key, place) != place:
                self.report("truth", f"message {key} is acknowledged at {place} and is at {places[key]}", author)
        publishers = {place: by_number[number] for (number, _), place in places.items()}
        # Whoever joined without an id does not know the epoch.
        own = defaultdict(set)
        for (channel, _, seq), publisher in publishers.items():
            own[publisher.number].add((channel, seq))
        for gap in self.gaps:
            publisher = publishers.get((gap.channel, gap.epoch, gap.seq))
            if gap.epoch is None and (gap.channel, gap.seq) in own.get(gap.record.number, ()):
                publisher = gap.record
            if not self.plan.rule(gap.channel).get("echo", True):
                if publisher is gap.record:
                    continue
                if publisher is None:
                    # Nobody has seen it: perhaps its own, and the hub had not to say where.
                    unseen[gap.record.number, gap.channel] += 1
                    if unseen[gap.record.number, gap.channel] <= gap.record.chats_without_id(gap.channel):
                        continue
            if gap.record.dropped > 0:
                gap.record.dropped -= 1
                continue
            by = f"client {publisher.number}" if publisher else "nobody known"
            self.report("gap", f"{gap.channel} {gap.epoch} {gap.seq}, by {by}, never came", gap.record)


    def _check_operators(self, message, place, published):
        number = message["data"]["n"]
        if published.get(number, place) != place or "from" in message:
            self.report("truth", f"{message} is at {place}, the API says {published.get(number)}")


def short(text):
    return text if len(text) < 160 else text[:120] + "…" + text[-30:]
