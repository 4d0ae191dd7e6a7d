"""All attacks at once beside honest clients, for half a minute; soak.py does the same for as long as one likes."""

from soak import soak

# Nobody's message may be later than this, or than ten times what it is without attacks on a machine that is busy itself.
LATEST_MILLISECONDS = 1000


def test_honest_clients_lose_nothing_and_wait_little_while_all_attacks_run(wsd_directory):
    faults, before, during = soak(wsd_directory, 20, baseline=3)
    assert faults == []
    assert during < max(LATEST_MILLISECONDS, 10 * before)
