"""Root file systems of Debian releases, and a tree with the newest release's servers, made once and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
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
    # And what its plugins link.
    "librdkafka1",
    "librabbitmq4",
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


# What nodes of wsd share: newer ones than the release has that the tests run on. They don't boot, their programs are run
# from here with the libraries beside them.
SERVERS = ("redis-server", "valkey-server")


def rootfs(suite: str) -> Path:
    """The directory with the root file system of a release, made first where it isn't there yet.

    It is never written to: machines lay an overlay over it.
    """
    return _tree(suite, suite, PACKAGES)


def servers() -> Path:
    """The directory with servers of the newest release, made first where it isn't there yet; it needs no root."""
    return _tree("servers", SUITES[-1], SERVERS, variant="extract", mode="chrootless")


def _tree(name: str, suite: str, packages: tuple[str, ...], **options: str) -> Path:
    key = hashlib.sha256("\n".join((suite, MIRROR, *packages)).encode()).hexdigest()[:12]
    target = cache() / f"{name}-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{name}.lock", "w") as lock:
        # Two test runs at once make it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for stale in cache().glob(f"{name}-*"):
                shutil.rmtree(stale)
            _build(suite, target, packages, **options)
    return target


def _build(suite: str, target: Path, packages: tuple[str, ...], variant: str = "minbase", mode: str = "root") -> None:
    if not shutil.which("mmdebstrap"):
        raise RuntimeError(f"{target} is made by the package mmdebstrap, which is missing")
    if mode == "root" and os.geteuid() != 0:
        raise RuntimeError("the systemd tests need root and the packages mmdebstrap and systemd-container")
    partial = target.with_name(target.name + ".partial")
    log = target.with_name(target.name.rpartition("-")[0] + ".log")
    with open(log, "w") as output:
        result = subprocess.run(
            [
                "mmdebstrap",
                f"--mode={mode}",
                f"--variant={variant}",
                "--include=" + ",".join(packages),
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
    # With the name of one of them, that one.
    for name in sys.argv[1:] or (*SUITES, "servers"):
        print(servers() if name == "servers" else rootfs(name))
