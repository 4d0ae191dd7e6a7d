"""Random clients and operators against the model of the protocol, as the package `model` describes it."""

import os
from collections import Counter

import pytest

from model.plan import Plan
from model.run import Run

# The first seed; the plans below count on from it.
SEED = int(os.environ.get("WSD_MODEL_SEED", "1"))

PLANS = [
    {"workers": 1},
    {"workers": 2, "slow": 0.5},
    {"workers": 4, "policy": "drop-oldest", "flush_delay": "20ms"},
    {"workers": 2, "policy": "drop-newest", "slow": 0.5, "jwt": True},
    {"workers": 1, "policy": "drop-oldest", "flush_delay": "20ms", "jwt": True},
    {"workers": 4, "flush_delay": "2ms", "jwt": True},
]


@pytest.mark.parametrize("index", range(len(PLANS)), ids=lambda index: "-".join(map(str, PLANS[index].values())))
def test_the_protocol_holds(index, wsd_directory):
    plan = Plan(SEED + index, **PLANS[index])
    print(plan)
    run = Run(plan, wsd_directory)
    violations = run.execute()
    print(run.summary)
    print("\n".join(map(str, violations[:50])))
    # The first one is in the line that a summary has of a failed test.
    assert not violations, f"{dict(Counter(each.promise for each in violations))}, first {violations[0]}"
