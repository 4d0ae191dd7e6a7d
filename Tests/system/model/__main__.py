"""Runs the model by hand: one seed after the other, for as long as wanted."""

import argparse
import json
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

from waiting import DEADLINE

from .client import Client
from .plan import POLICIES, Plan
from .run import Run


def main():
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first run's; the next ones count on")
    parser.add_argument("--runs", type=int, default=0, help="how many runs; without it and --minutes, one")
    parser.add_argument("--minutes", type=float, default=0, help="begins no run after so long")
    parser.add_argument("--seconds", type=float, default=20, help="of each run")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--workers", type=int, choices=(1, 2, 3, 4), help="otherwise by the seed, as all of these")
    parser.add_argument("--policy", choices=POLICIES)
    parser.add_argument("--flush-delay")
    parser.add_argument("--queue-limit", default="64KiB")
    parser.add_argument("--jwt", action=argparse.BooleanOptionalAction)
    parser.add_argument("--slow", type=float, help="the share of clients that stall")
    parser.add_argument("--pipeline", type=int, default=6, help="the most requests that are sent at once")
    parser.add_argument("--rejoins", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--operators", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of channels, such as kept and silent")
    parser.add_argument("--patience", type=float, default=DEADLINE, help="seconds that an answer may take")
    parser.add_argument("--shown", type=int, default=5, help="violations shown of each promise")
    parser.add_argument("--traces", type=Path, help="a directory for what each client that was wronged sent and received")
    options = parser.parse_args()
    Client.patience = options.patience
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    end = time.monotonic() + options.minutes * 60
    failed = Counter()
    seed = options.seed
    while True:
        run_one(plan_of(seed, options), options, failed)
        seed += 1
        if seed - options.seed >= (options.runs or (0 if options.minutes else 1)) and time.monotonic() > end:
            break
    print("broken in all:", dict(failed) or "nothing")
    return 1 if failed else 0


def plan_of(seed, options):
    """The seed's plan, with what is given in its place."""
    choice = random.Random(seed)
    plan = Plan(
        seed,
        workers=choice.choice((1, 2, 4)),
        flush_delay=choice.choice(("0s", "0s", "2ms", "20ms")),
        policy=choice.choice(POLICIES),
        jwt=choice.random() < 0.4,
        slow=choice.choice((0, 0.2, 0.5)),
        seconds=options.seconds,
        clients=options.clients,
        operators=options.operators,
        only=options.only,
        pipeline=options.pipeline,
        rejoins=options.rejoins,
        queue_limit=options.queue_limit,
    )
    for name in ("workers", "flush_delay", "policy", "jwt", "slow"):
        if (value := getattr(options, name)) is not None:
            setattr(plan, name, value)
    return plan


def run_one(plan, options, failed):
    print(plan, flush=True)
    with tempfile.TemporaryDirectory(prefix="wsd-") as directory:
        run = Run(plan, Path(directory))
        begin = time.monotonic()
        violations = run.execute()
    print(f"  {run.summary}, {time.monotonic() - begin:.0f} s")
    counts = Counter(violation.promise for violation in violations)
    failed.update(counts)
    for promise, count in counts.items():
        print(f"  {promise}: {count}")
        for violation in [each for each in violations if each.promise == promise][: options.shown]:
            print(f"    {violation}", flush=True)
    if options.traces:
        options.traces.mkdir(parents=True, exist_ok=True)
        wronged = {violation.connection for violation in violations}
        for record in run.records:
            if record.number in wronged:
                write_trace(options.traces / f"seed-{plan.seed}-client-{record.number}", record)


def write_trace(path, record):
    with path.open("w") as file:
        print(record.user, record.connection, record.path, f"since {record.since}", file=file)
        for event in record.events:
            print(f"{event.time:.3f}", event.kind, event.text or json.dumps(event.message), file=file)
        print(f"{record.ended_at:.3f} ended: {record.ended}, {record.dropped} dropped", file=file)
        print(f"stalled: {record.has_stalled}, kicked: {record.was_kicked}", file=file)


raise SystemExit(main())
