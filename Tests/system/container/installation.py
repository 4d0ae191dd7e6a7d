"""wsd installed in a machine, as its package will install it, and what the service manager says about it."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from wsdaemon import BINARIES, REPOSITORY

from .machine import Machine, wait_for

SOCKETS = ("wsd.socket", "wsd-api.socket", "wsd-control.socket", "wsd-status.socket")
CLIENT = "/usr/local/lib/wsd-tests/client.py"
DROP_INS = "/etc/wsd/wsd.toml.d"


class Installation:
    """The daemon, its tool, its units and its users in one machine.

    Users to test with: `alice`, who is in the group wsd-admin, and `bob`, who isn't.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        # When the current test began. Its journal entries are told by their time, because --after-cursor of
        # systemd 252 loses entries where the one at the cursor doesn't match.
        self._began = 0.0
        for name in ("wsd", "wsctl"):
            _check_libraries(BINARIES / name)
            shutil.copy(BINARIES / name, machine.path("/usr/bin"))
        for unit in (REPOSITORY / "packaging/systemd").glob("wsd*.*"):
            shutil.copy(unit, machine.path("/usr/lib/systemd/system"))
        shutil.copy(REPOSITORY / "packaging/debian/wsd.sysusers", machine.path("/usr/lib/sysusers.d/wsd.conf"))
        if (REPOSITORY / "etc/wsd").is_dir():
            shutil.copytree(REPOSITORY / "etc/wsd", machine.path("/etc/wsd"), dirs_exist_ok=True)
        machine.write(CLIENT, (Path(__file__).parent / "client.py").read_text())
        machine.run("systemd-sysusers")
        machine.run("systemd-sysusers", "--inline", "u alice -", "u bob -", "m alice wsd-admin")
        machine.run("systemctl", "daemon-reload")

    def reset(self) -> None:
        """Back to installed, unconfigured, not running, but with the sockets listening."""
        run = self.machine.run
        run("systemctl", "stop", *SOCKETS)
        run("systemctl", "kill", "--signal=KILL", "wsd.service", status=None)
        run("systemctl", "stop", "wsd.service")
        for leftovers in (DROP_INS, "/run/systemd/system/wsd.service.d"):
            shutil.rmtree(self.machine.path(leftovers), ignore_errors=True)
        run("systemctl", "daemon-reload")
        run("systemctl", "reset-failed", "wsd.service", *SOCKETS, status=None)
        self._began = time.time()
        run("systemctl", "start", *SOCKETS)

    def configure(self, toml: str) -> None:
        """Adds a drop-in to the configuration of the daemon."""
        self.machine.write(f"{DROP_INS}/50-test.toml", toml)

    def override(self, settings: str) -> None:
        """Adds a drop-in to wsd.service."""
        self.machine.write("/run/systemd/system/wsd.service.d/50-test.conf", settings)
        self.machine.run("systemctl", "daemon-reload")

    def show(self, property: str, unit: str = "wsd.service") -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.machine.run("systemctl", "show", "--value", "-p", property, unit).stdout.strip()

    def wait_for_property(self, property: str, pattern: str, unit: str = "wsd.service", timeout: float = 60) -> str:
        """Waits until a property of a unit matches a regular expression, and returns it."""

        def value() -> str | None:
            text = self.show(property, unit)
            return text if re.search(pattern, text) else None

        try:
            return wait_for(value, f"{property} of {unit} matches {pattern!r}", timeout)
        except TimeoutError as error:
            error.add_note(f"it is {self.show(property, unit)!r}\n{self.log()}")
            raise

    def journal(self, *matches: str) -> list[dict]:
        """The entries of this test that match, as `journalctl` has them for programs."""
        self.machine.run("journalctl", "--sync")
        lines = self.machine.run("journalctl", "-o", "json", "--all", *matches).stdout.splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) / 1e6 >= self._began]

    def log(self) -> str:
        """What a person reads about the service."""
        return self.machine.run("journalctl", "-u", "wsd*", f"--since=@{int(self._began)}").stdout

    def client(self, *arguments: str, user: str | None = None) -> subprocess.Popen:
        """Starts `client.py` in the machine."""
        return self.machine.popen("python3", CLIENT, *arguments, user=user)

    def talk(self, text: str, timeout: float = 60) -> str:
        """Connects to the relay endpoint, sends a message and returns what comes back."""
        return self.machine.run("python3", CLIENT, "talk", text, timeout=timeout).stdout.rstrip("\n")


def _check_libraries(binary: Path) -> None:
    """Says clearly what would otherwise be a daemon that doesn't start: Swift's libraries are not in the machine."""
    with open(binary, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    if "libswift" in linked:
        raise RuntimeError(f"{binary} needs Swift's shared libraries: build it with --static-swift-stdlib")
