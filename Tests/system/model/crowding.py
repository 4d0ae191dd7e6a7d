"""How many were in the channels that let in only so many."""


def check_crowding(plan, timeline, truth, streams):
    """Never more than `max_members`, as far as they are known to have been in at the same time; and where somebody was
    refused, there may have been as many."""
    if any(stream.is_confused for stream in streams):
        return
    stays = {}
    for stream in streams:
        for stay in stream.stays:
            stays.setdefault(stay.channel, []).append(stay)
    for channel in plan.channels:
        limit = plan.rule(channel).get("max_members")
        if limit and not plan.changes(channel):
            count = most(stays.get(channel, []))
            if count > limit:
                truth.report("full", f"{channel} had {count} members at the same time, where {limit} are allowed")
    for record, channel, begin, end in timeline.refusals:
        limits = [each.get("max_members", 0) for each in timeline.settings(channel, begin, end)]
        there = sum(1 for stay in stays.get(channel, []) if stay.asked <= end and stay.gone_late >= begin)
        if not any(limits) or there < min(limit for limit in limits if limit):
            truth.report("full", f"{channel} was full for one, with at most {there} members", record)


def most(stays):
    """The most that were surely there at the same time."""
    changes = sorted(
        change
        for stay in stays
        if stay.came is not None and stay.gone_early > stay.came
        for change in ((stay.came, 1), (stay.gone_early, -1))
    )
    count = largest = 0
    for _, step in changes:
        count += step
        largest = max(largest, count)
    return largest
