"""Boots a machine by hand: see the package's own documentation."""

import argparse
import sys
import time

from .machine import Machine
from .rootfs import SUITES, rootfs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m container", description="Boots a Debian release with systemd.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run in it (default: a shell)")
    arguments = parser.parse_args()
    started = time.monotonic()
    rootfs(arguments.suite)
    made = time.monotonic()
    with Machine(arguments.suite) as machine:
        booted = time.monotonic()
        print(f"root file system {made - started:.1f} s, boot {booted - made:.1f} s", file=sys.stderr)
        options = {"stdin": None, "stdout": None, "stderr": None}
        status = machine.popen(*(arguments.command or ["bash"]), **options).wait()
        ended = time.monotonic()
    print(f"teardown {time.monotonic() - ended:.1f} s", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
