"""The real daemon, started as an administrator would by hand, with its own configuration, sockets and log."""

import json
import os
import signal as signals
import socket
import subprocess
import tomllib
from pathlib import Path

from ports import free_port
from rawws import RawWebSocket, Wire
from waiting import DEADLINE, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

# Where the programs under test are.
BINARIES = Path(os.environ.get("WSD_BIN_DIR") or REPOSITORY / ".build/release").resolve()

# What in a log shows that the process did not end by its own will.
CRASH_MARKS = ("Fatal error", "Crash:", "Program crashed", "AddressSanitizer", "ThreadSanitizer", "Backtrace took")


def binary(name):
    """The path of one of our programs."""
    if not (BINARIES / name).exists():
        raise FileNotFoundError(f"no {name} in {BINARIES}: packaging/build builds it, $WSD_BIN_DIR names another place")
    return str(BINARIES / name)


def toml(table, prefix=()):
    """A table of plain values as TOML text."""
    lines = []
    for key, value in table.items():
        if not isinstance(value, dict) and not _is_table_array(value):
            lines.append(f"{key} = {json.dumps(value)}")
    for key, value in table.items():
        name = ".".join((*prefix, key if key.replace("_", "").isalnum() else json.dumps(key)))
        if isinstance(value, dict):
            lines += ["", f"[{name}]", toml(value, (name,))]
        elif _is_table_array(value):
            for entry in value:
                lines += ["", f"[[{name}]]", toml(entry, (*prefix, key))]
    return "\n".join(lines)


def _is_table_array(value):
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def merged(base, extra):
    """The tables of both, where `extra` wins key by key."""
    result = dict(base)
    for key, value in extra.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def clean_environment(**extra):
    """An environment in which nothing of a service manager that runs the tests reaches the daemon."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "LSAN_OPTIONS")
        if name in os.environ
    }
    return kept | {"SWIFT_BACKTRACE": "enable=no", "NO_COLOR": "1"} | extra


def run_wsd(*arguments, timeout=DEADLINE, **environment):
    """Runs `wsd` to its end, for what it does besides serving."""
    return subprocess.run(
        [binary("wsd"), *map(str, arguments)],
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class StartFailure(Exception):
    """The daemon ended before it was ready; its log is the message."""


class Daemon:
    """One running `wsd`, ready to serve, with everything it owns in `directory`."""

    def __init__(self, directory, config="", *, workers=2, args=(), env=None, prefix=()):
        self.directory = Path(directory)
        self.host = "127.0.0.1"
        self.control = str(self.directory / "io.wsd.Control")
        self.status_path = str(self.directory / "io.wsd.Status")
        self.log_path = self.directory / "log"
        self.config_path = self.directory / "wsd.toml"
        self.notifications = []
        self.was_killed = False
        self._clients = []
        self._wanted = tomllib.loads(config) if isinstance(config, str) else config
        self._workers = workers
        for attempt in range(5):
            try:
                self._start([*map(str, args)], env or {}, [*prefix])
                return
            except StartFailure as failure:
                # The chosen port may have been taken meanwhile; nothing else is worth a second try.
                if attempt == 4 or "in use" not in str(failure).lower():
                    raise

    def _start(self, args, env, prefix):
        self.port = free_port()
        base = {
            "server": {"listen": [f"127.0.0.1:{self.port}"], "workers": self._workers},
            "drain": {"period": "0s", "timeout": "5s"},
            "control": {"path": self.control, "status_path": self.status_path},
            "api": {"listen": []},
        }
        text = toml(merged(base, self._wanted)).replace("@PORT@", str(self.port))
        self.config_path.write_text(text + "\n")
        # A test may have named a port itself.
        listen = tomllib.loads(text)["server"]["listen"]
        self.port = int(listen[0].rpartition(":")[2]) if listen else None

        notify_path = self.directory / "notify"
        notify_path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(notify_path))
        self.notify_path = notify_path
        self._notify.setblocking(False)

        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, binary("wsd"), "--config", str(self.config_path), *args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(NOTIFY_SOCKET=str(notify_path), **env),
                cwd=self.directory,
            )
        try:
            wait_until(self._is_ready_or_gone, "wsd is ready")
        except AssertionError:
            self.kill()
            raise StartFailure(f"wsd did not say READY=1\n{self.log()}") from None
        if self.process.poll() is not None:
            self._notify.close()
            raise StartFailure(f"wsd ended with {self.process.returncode}\n{self.log()}")

    def _is_ready_or_gone(self):
        return "READY=1" in self.notified() or self.process.poll() is not None

    # What it says.

    def notified(self):
        """Every line sent to the service manager so far (sd_notify(3))."""
        while True:
            try:
                self.notifications += self._notify.recv(65536).decode().splitlines()
            except (BlockingIOError, OSError):
                return self.notifications

    def log(self):
        """All it wrote to stdout and stderr so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text):
        return wait_until(lambda: text.lower() in self.log().lower(), f"the log has {text!r}")

    @property
    def pid(self):
        return self.process.pid

    @property
    def resident_bytes(self):
        """Its resident memory (proc(5), VmRSS)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(self.pid)

    @property
    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def is_alive(self):
        return self.process.poll() is None

    # How to reach it.

    def url(self, path="/ws"):
        return f"ws://{self.host}:{self.port}{path}"

    def http(self, path="/"):
        return f"http://{self.host}:{self.port}{path}"

    def connect(self, path="/ws", **options):
        """A raw WebSocket connection, closed when the daemon is stopped by the fixture."""
        client = RawWebSocket(self.port, path, **options)
        self._clients.append(client)
        return client

    def wire(self, **options):
        """A plain TCP connection, closed when the daemon is stopped by the fixture."""
        wire = Wire(self.port, **options)
        self._clients.append(wire)
        return wire

    def close_clients(self):
        for client in self._clients:
            client.close()
        self._clients.clear()

    def wsctl(self, *args, input=None, timeout=DEADLINE, env=None):
        """Runs `wsctl` against this daemon to its end."""
        text = not isinstance(input, bytes)
        return subprocess.run(
            [binary("wsctl"), *map(str, args)],
            env=clean_environment(WSD_SOCKET=self.control, **(env or {})),
            input=input if input is not None else ("" if text else b""),
            capture_output=True,
            text=text,
            timeout=timeout,
        )

    def connections(self):
        """The rows of `wsctl list --json`."""
        listed = self.wsctl("list", "--json")
        assert listed.returncode in (0, 1), listed.stderr
        return [json.loads(line) for line in listed.stdout.splitlines() if line.strip()]

    def wait_for_connections(self, count):
        return wait_until(lambda: len(self.connections()) == count, f"{count} connections are listed")

    # How it ends.

    def signal(self, number=signals.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.pid, number)
            self.was_killed |= number == signals.SIGKILL

    def wait(self, timeout=DEADLINE * 2):
        """Waits for its end; the exit code, negative when a signal ended it."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"wsd is still running after {timeout:g} s") from None

    def stop(self, number=signals.SIGTERM, timeout=DEADLINE * 2):
        """Sends the signal and waits for the end; the exit code."""
        self.signal(number)
        return self.wait(timeout)

    def kill(self):
        """Ends it without ceremony."""
        self.signal(signals.SIGKILL)
        self.process.wait()
        self._notify.close()

    def finish(self):
        """Closes what the tests left open, stops it, and asserts that it ended well, or as a test has killed it."""
        self.close_clients()
        try:
            code = self.stop()
        finally:
            self.kill()
        self.assert_sound_log()
        assert code == (-signals.SIGKILL if self.was_killed else 0), f"wsd ended with {code}"

    def assert_sound_log(self):
        log = self.log()
        for mark in CRASH_MARKS:
            assert mark not in log, f"{mark!r} in the log"
