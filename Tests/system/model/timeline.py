"""What operators did, and when, so that what clients saw can be laid beside it."""

from dataclasses import dataclass

# What was under way when an operator's command ended may reach a client that stalls this much later, in seconds.
LATE = 3.0


@dataclass
class Action:
    """What an operator did: a reload, or taking connections out of a channel."""

    begin: float
    end: float
    kind: str
    # The rules of a reload, or the channel.
    variant: int = 0
    channel: str = ""


class Timeline:
    """All actions of a run, in their order; the rules begin with variant 0."""

    def __init__(self, plan):
        self.plan = plan
        self.actions = []
        # Who was told that a channel is full: (record, channel, asked, told).
        self.refusals = []

    def settings(self, channel, begin, end):
        """The settings that may have held for a channel at some time between two."""
        variants = [0]
        for action in self.actions:
            if action.kind != "reload" or action.begin > end:
                continue
            variants = [action.variant] if action.end < begin else [*variants, action.variant]
        return [self.plan.rule(channel, variant) for variant in dict.fromkeys(variants)]

    def has_changed(self, channel, begin, end):
        """Whether a reload may have given a channel other settings between two times."""
        if not self.plan.changes(channel):
            return False
        return any(a.kind == "reload" and a.begin <= end and a.end + LATE >= begin for a in self.actions)

    def was_taken_out(self, channel, begin, end):
        """Whether an operator may have taken somebody out of a channel between two times."""
        return any(
            a.begin <= end and a.end + LATE >= begin and (a.kind == "reload" or a.channel == channel)
            for a in self.actions
        )
