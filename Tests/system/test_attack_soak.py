"""All attacks at once beside honest clients, for twenty seconds; soak.py does the same for as long as one likes."""

from soak import soak

# Nobody's message may be later than this, or than so much of the hub's time takes on a machine that is busy with other
# things. soak.py itself asserts a quarter of it.
LATEST_MILLISECONDS = 1000


def test_honest_clients_lose_nothing_and_wait_little_while_all_attacks_run(wsd_directory):
    faults, slowness, latest = soak(wsd_directory, 20, baseline=3)
    assert faults == []
    assert latest < LATEST_MILLISECONDS * slowness
