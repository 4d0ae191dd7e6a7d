"""Three nodes, a Redis and two hundred clients, while everything breaks; cluster_soak.py does the same with more for longer."""

import seeded
from cluster_soak import soak


def test_nothing_is_lost_or_twice_or_out_of_order_while_everything_breaks(wsd_directory):
    faults, counts = soak(wsd_directory, seeded.SEED, seconds=30, clients=200, channels=30, rate=100)
    assert not faults, "\n".join(faults)
    assert counts["acknowledged"] > 500 and counts["recovered"] > 0
