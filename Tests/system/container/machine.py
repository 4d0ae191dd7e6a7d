"""A booted Debian: systemd as process 1 in a container, for as long as the object is open."""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from .rootfs import cache, rootfs

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()

# Runs in a mount namespace of its own, so that everything it mounts goes away with the container however that ends.
# The root file system is an overlay: the cached tree below, memory above.
BOOT = r"""
set -e
lower=$1 scratch=$2 name=$3 cgroups=$4
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
for cgroup in $cgroups; do
    mkdir -p "$cgroup"
    echo $$ > "$cgroup/cgroup.procs"
done
# Whatever the host has, systemd 257 boots on the unified hierarchy only. The capabilities are for IPAddressDeny=,
# which is a BPF program.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --directory="$scratch/root" --machine="$name" --register=no --keep-unit \
    --private-network --console=pipe --link-journal=no --resolv-conf=off --timezone=off \
    --capability=CAP_BPF,CAP_PERFMON --system-call-filter=bpf --boot
"""


def wait_for(condition, what: str, timeout: float = 60):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what} (last: {value!r})")
        time.sleep(0.05)


def kill(process: subprocess.Popen) -> None:
    """Ends what `Machine.popen` started: nsenter and its child in the machine, a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class CommandFailed(AssertionError):
    """A command in the machine ended otherwise than expected."""


class Machine:
    """A Debian release booted with systemd, without any network but its loopback.

    Its file system is a copy that nobody sees later. `/proc/LEADER/root` is its root as seen from here.
    """

    def __init__(self, suite: str):
        self.suite = suite
        self.name = f"wsd-{suite}-{os.getpid()}-{next(_serial)}"
        self._console = tempfile.TemporaryFile()
        scratch = cache() / "scratch"
        lower = rootfs(suite)
        scratch.mkdir(exist_ok=True)
        self._cgroups = [hierarchy / self.name for hierarchy in _cgroup_hierarchies()]
        _sweep_cgroups()
        cgroups = " ".join(map(str, self._cgroups))
        self._nspawn = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--"]
            + ["sh", "-c", BOOT, "boot", str(lower), str(scratch), self.name, cgroups],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A test run that is killed takes its machines along.
            preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
        try:
            self.leader = wait_for(self._find_leader, f"{self.name} has a process 1")
            wait_for(self._is_up, f"{self.name} has booted", timeout=120)
        except BaseException as error:
            error.add_note(self.console())
            self.close()
            raise

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def console(self) -> str:
        """What process 1 has written so far."""
        return os.pread(self._console.fileno(), 1 << 20, 0).decode(errors="replace")

    def close(self) -> None:
        """Ends the machine at once: its file system is thrown away, so nothing needs an orderly shutdown."""
        for pid in (getattr(self, "leader", None), self._nspawn.pid):
            if pid is None or self._nspawn.poll() is not None:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            try:
                self._nspawn.wait(timeout=60)
            except subprocess.TimeoutExpired:
                continue
        self._nspawn.wait(timeout=60)
        for cgroup in self._cgroups:
            # The kernel removes a group only once its last process is reaped.
            wait_for(lambda: _remove_cgroup(cgroup), f"{cgroup} is gone")
        self._console.close()

    # Commands

    def popen(self, *command: str, user: str | None = None, **options) -> subprocess.Popen:
        """Starts a command in all namespaces of the machine, as root or as one of its users."""
        if user:
            command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command)
        environment = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8", "HOME=/"
        return subprocess.Popen(
            ["nsenter", "--target", str(self.leader), "--all", "--root", "--wd", "--", "/usr/bin/env", "-i"]
            + [*environment, *command],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            | options,
            start_new_session=True,
        )

    def run(
        self,
        *command: str,
        user: str | None = None,
        input: str | None = None,
        timeout: float = 60,
        status: int | None = 0,
    ) -> subprocess.CompletedProcess:
        """Runs a command to its end. `status` is the exit code it must have; None takes any."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.popen(*command, user=user, stdin=stdin)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            kill(process)
            raise
        if status is not None and process.returncode != status:
            journal = self._last_of_journal() if command[0] == "systemctl" else ""
            raise CommandFailed(
                f"{' '.join(command)} in {self.name}: exit {process.returncode}, not {status}\n{out}{err}{journal}"
            )
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def _last_of_journal(self) -> str:
        """What the machine's journal ends with, where systemctl(1) refers to it."""
        command = "journalctl --sync; journalctl --no-pager --lines=40 --output=short-precise"
        return self.run("sh", "-c", command, status=None).stdout

    # Files and processes

    def path(self, inside: str) -> Path:
        """A path of the machine, as seen from here."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Makes a file in the machine, and the directories above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def host_pid(self, inside: int) -> int:
        """The number that a process of the machine has here."""
        namespace = os.readlink(f"/proc/{self.leader}/ns/pid")
        for pid in _pids():
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") == namespace and _inner_pid(pid) == inside:
                    return pid
            except OSError:
                continue
        raise ProcessLookupError(f"no process {inside} in {self.name}")

    def _find_leader(self) -> int | None:
        if self._nspawn.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended with {self._nspawn.returncode}")
        for pid in _pids():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                if parent == self._nspawn.pid and _inner_pid(pid) == 1:
                    return pid
            except OSError:
                continue
        return None

    def _is_up(self) -> bool:
        # The leader is a child of nspawn that still has to enter its new root and to execute init.
        if self._nspawn.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended with {self._nspawn.returncode}")
        if Path(f"/proc/{self.leader}/comm").read_text() != "systemd\n":
            return False
        state = self.run("systemctl", "is-system-running", "--wait", status=None).stdout.strip()
        if state == "degraded":
            failed = self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
            raise RuntimeError(f"{self.name} has booted with failed units:\n{failed}")
        return state == "running"


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _inner_pid(pid: int) -> int:
    """The number that a process has in the innermost namespace that it is in."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0


def _cgroup_hierarchies() -> list[Path]:
    """The cgroup trees in which systemd-nspawn makes groups: each machine gets its own branch of them."""
    root = Path("/sys/fs/cgroup")
    candidates = [root] if (root / "cgroup.controllers").exists() else [root / "unified", root / "systemd"]
    return [path for path in candidates if (path / "cgroup.procs").exists()]


def _sweep_cgroups() -> None:
    """Removes what test runs that were killed left: nothing but empty groups, for their machines ended with them."""
    for hierarchy in _cgroup_hierarchies():
        for cgroup in hierarchy.glob("wsd-*-*-*"):
            if not os.path.exists(f"/proc/{cgroup.name.split('-')[2]}"):
                _remove_cgroup(cgroup)


def _remove_cgroup(cgroup: Path) -> bool:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return not cgroup.exists()
