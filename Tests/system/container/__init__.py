"""A real systemd to test wsd under: Debian of two releases, booted by systemd-nspawn.

Needs root and the Debian packages mmdebstrap and systemd-container. By hand, from Tests/system:

    python3 -m container bookworm                          # builds the root file system, boots it, opens a shell
    python3 -m container trixie systemctl --version        # boots it, runs one command
"""

from .installation import SOCKETS, Installation
from .machine import CommandFailed, Machine, kill, wait_for
from .rootfs import SUITES

__all__ = ["SOCKETS", "SUITES", "CommandFailed", "Installation", "Machine", "kill", "wait_for"]
