"""Root file systems of Debian releases, made once and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"

# systemd 252 and 257: the oldest and the newest that wsd is for.
SUITES = ("bookworm", "trixie")

PACKAGES = (
    # What runs: an init, and what the binaries of wsd link.
    "systemd",
    "systemd-sysv",
    "dbus",
    "libsystemd0",
    "libstdc++6",
    "zlib1g",
    "libssl3",
    "ca-certificates",
    # What tests it.
    "python3",
    "python3-websockets",
    "curl",
    "iproute2",
    "procps",
    # The server, by another name (redis-check-rdb), and without a service.
    "redis-tools",
)


def cache() -> Path:
    """Where root file systems are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "wsd-tests"


def rootfs(suite: str) -> Path:
    """The directory with the root file system of a release, made first where it isn't there yet.

    It is never written to: machines lay an overlay over it.
    """
    key = hashlib.sha256("\n".join((suite, MIRROR, *PACKAGES)).encode()).hexdigest()[:12]
    target = cache() / f"{suite}-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{suite}.lock", "w") as lock:
        # Two test runs at once make it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for stale in cache().glob(f"{suite}-*"):
                shutil.rmtree(stale)
            _build(suite, target)
    return target


def _build(suite: str, target: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise RuntimeError("the systemd tests need root and the packages mmdebstrap and systemd-container")
    partial = target.with_name(target.name + ".partial")
    log = target.with_name(suite + ".log")
    with open(log, "w") as output:
        result = subprocess.run(
            [
                "mmdebstrap",
                "--variant=minbase",
                "--include=" + ",".join(PACKAGES),
                # Nobody reads these here, and a smaller tree is a faster one.
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                suite,
                str(partial),
                MIRROR,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if result.returncode != 0:
        raise RuntimeError(f"mmdebstrap of {suite} failed, the end of {log}:\n{log.read_text()[-2000:]}")
    # One name, one step: a build that was interrupted is never taken for a finished one.
    partial.rename(target)


if __name__ == "__main__":
    for suite in SUITES:
        print(rootfs(suite))
