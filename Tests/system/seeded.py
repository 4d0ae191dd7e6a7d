"""The randomness of the tests that need no seed of their own: masking keys, keys of handshakes, garbage."""

import os
import random

# Said by pytest and with every failure; given, it makes a test do the same again. Test processes of one run share it.
SEED = int(os.environ.setdefault("WSD_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))

RANDOM = random.Random(SEED)


def begin(test):
    """Makes what follows depend on the seed and on the test alone, not on the tests before it."""
    RANDOM.seed(f"{SEED} {test}")
