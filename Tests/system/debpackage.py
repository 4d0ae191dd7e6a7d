"""The Debian package, built and taken apart, and who installs it in a booted machine."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from container import SOCKETS
from wsdaemon import BINARIES, REPOSITORY


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(directory, **environment):
    """The package and that of its debug symbols, as an administrator builds them, but for less compression."""
    # Most of the time goes into making the symbols small (dpkg-deb(1)).
    faster = {"WSD_BINARIES": str(BINARIES), "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
    run(REPOSITORY / "packaging/deb", directory, env={**os.environ, **faster, **environment})
    return found(directory)


def found(directory):
    """The packages in a directory."""
    [package] = directory.glob("wsd_*.deb")
    [symbols] = directory.glob("wsd-dbgsym_*.deb")
    return package, symbols


def changed(package, directory, version, change=lambda tree: None):
    """The same package with another version, and with what `change` makes of its tree."""
    tree = directory / f"wsd-{version}"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
    change(tree)
    target = directory / f"wsd_{version}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, target)
    return target


UNITS = ("wsd.service", *SOCKETS)


class Administrator:
    """An administrator who installs the package in a booted machine."""

    def __init__(self, machine):
        self.machine = machine
        self.run = machine.run
        # Since when the journal is looked at.
        self.began = 0.0
        machine.write("/tmp/client.py", (Path(__file__).parent / "container/client.py").read_text())

    def reset(self):
        """Back to installed, unconfigured, not running, but with the sockets listening."""
        run, path = self.run, self.machine.path
        run("systemctl", "unmask", *UNITS)
        run("systemctl", "disable", "wsd.service")
        run("systemctl", "stop", *SOCKETS, "wsd.service", status=None)
        for place in ("/etc/systemd/system", "/run/systemd/system"):
            for unit in UNITS:
                shutil.rmtree(path(f"{place}/{unit}.d"), ignore_errors=True)
        for leftover in path("/etc/wsd").iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            elif leftover.name != "wsd.toml":
                leftover.unlink()
        run("systemctl", "daemon-reload")
        run("systemctl", "reset-failed", *UNITS, status=None)
        run("systemctl", "start", *SOCKETS)
        self.began = time.time()

    def apt(self, *arguments, status=0):
        return self.run(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet=2", "-o", "Dpkg::Use-Pty=0",
            *arguments, status=status, timeout=120,
        )

    def install(self, package, *options, status=0):
        shutil.copy(package, self.machine.path("/tmp"))
        return self.apt("install", *options, f"/tmp/{package.name}", status=status)

    def is_active(self, unit):
        return self.run("systemctl", "is-active", unit, status=None).stdout.strip() == "active"

    @property
    def pid(self):
        return int(self.run("systemctl", "show", "--value", "-p", "MainPID", "wsd.service").stdout)

    def talk(self, text):
        return self.run("python3", "/tmp/client.py", "talk", text).stdout.strip()

    def journal(self, *options):
        self.run("journalctl", "--sync")
        since = f"--since=@{self.began:.6f}"
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", "wsd*", since, *options).stdout

    def log(self):
        """What the journal has of the units, of a shared machine since the test began."""
        return self.journal()

    def troubles(self):
        """The units' lines in the journal at the level of a warning and above."""
        lines = self.journal("-p", "warning").splitlines()
        # The machine that tests has fewer files to open than the unit asks for.
        return [line for line in lines if "limit of" not in line and "LimitNOFILE" not in line]
