"""Waiting for a condition, with a deadline that only a fault reaches."""

import time

# A slow machine must not fail a test: this is how long a thing may take, not how long it should.
DEADLINE = 120.0


def wait_until(condition, what, deadline=DEADLINE, pause=0.02):
    """Calls `condition` until it returns something true, and returns that; fails naming `what` at the deadline.

    Between two calls it sleeps for `pause` seconds.
    """
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline:g} s still waiting until {what}")
        time.sleep(pause)
