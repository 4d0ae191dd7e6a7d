"""A service manager for one daemon: it passes sockets, and keeps descriptors from one process of it to the next, as systemd does.

What systemd does besides, from sandboxes to time limits, is for the tests in booted machines.
"""

import array
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

from waiting import DEADLINE, wait_until
from wsdaemon import CRASH_MARKS, binary, clean_environment, merged, toml

# Does what systemd does for socket units (sd_listen_fds(3)): passes what it inherited, and becomes the daemon.
PASS = """
import fcntl, os, sys
names, descriptors = sys.argv[1], map(int, sys.argv[2].split(","))
copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100) for descriptor in descriptors]
for place, copy in enumerate(copies, 3):
    os.dup2(copy, place)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(copies)), "LISTEN_FDNAMES": names}
os.execv(sys.argv[3], sys.argv[3:])
"""


# The exit status of a process that has left everything to the next one: RestartForceExitStatus= in the unit.
PARKED = os.EX_TEMPFAIL


class ServiceManager:
    """A daemon, its sockets, and the store of its descriptors."""

    def __init__(self, directory, *, stores=True, limit=8, tells_limit=True, certificate=None):
        """`limit` is FileDescriptorStoreMax=, which systemd tells from version 254 on. With a `certificates.Certificate` the
        daemon also gets a socket for TLS, at `tls_port`.
        """
        self.directory = directory
        self.certificate = certificate
        self.tls = socket.create_server(("127.0.0.1", 0), backlog=1000) if certificate else None
        self.tls_port = self.tls.getsockname()[1] if certificate else None
        self.hub = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.api = socket.create_server(("127.0.0.1", 0))
        self.control = socket.socket(socket.AF_UNIX)
        self.control_path = str(directory / "control")
        self.control.bind(self.control_path)
        self.control.listen()
        self.port, self.api_port = self.hub.getsockname()[1], self.api.getsockname()[1]
        self.limit = limit if stores else 0
        self.tells_limit = tells_limit
        # (name, descriptor)
        self.store = []
        self.notifications = []
        self.ready = threading.Event()
        self.log_path = directory / "log"
        self.log_file = open(self.log_path, "ab")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(directory / "notify"))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.process = None

    def _listen(self):
        size = array.array("i").itemsize
        while True:
            try:
                text, ancillary, _, _ = self._notify.recvmsg(65536, socket.CMSG_SPACE(16 * size))
            except OSError:
                return
            descriptors = array.array("i")
            for _, kind, data in ancillary:
                if kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(data[: len(data) - len(data) % size])
            if not text:
                return
            self._notified(text.decode().splitlines(), list(descriptors))

    def _notified(self, lines, descriptors):
        self.notifications += lines
        name = next((line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")), "stored")
        if "FDSTORE=1" in lines:
            assert "FDPOLL=0" in lines, "a socket whose other end is closed would be dropped"
            # It closes those for which there is no room, and tells nobody.
            room = max(0, self.limit - len(self.store))
            self.store += [(name, descriptor) for descriptor in descriptors[:room]]
            descriptors = descriptors[room:]
            assert not descriptors or self.limit < 8, "more than FileDescriptorStoreMax= in the unit"
        if "FDSTOREREMOVE=1" in lines:
            for kept, descriptor in self.store:
                if kept == name:
                    os.close(descriptor)
            self.store = [entry for entry in self.store if entry[0] != name]
        for descriptor in descriptors:
            # Of a barrier too: whoever waits for it sees that this has been read.
            os.close(descriptor)
        if "READY=1" in lines:
            self.ready.set()

    def start(self, config="", *, workers=2, env=None, waits=True, file_limit=None, without=()):
        """Starts the daemon with everything that is stored, and perhaps with another limit of open files, or without sockets of
        some names, whose units are masked.
        """
        if self.certificate:
            config = merged({"tls": {"certificates": [self.certificate.setting]}}, config or {})
        config = toml(merged({"server": {"workers": workers}, "drain": {"period": "0s", "timeout": "5s"}}, config or {}))
        (self.directory / "wsd.toml").write_text(config + "\n")
        passed = [("wsd", self.hub.fileno()), ("api", self.api.fileno()), ("control", self.control.fileno())]
        if self.tls:
            passed.append(("wsd-tls", self.tls.fileno()))
        passed = [entry for entry in passed if entry[0] not in without]
        # systemd has the newest first.
        passed += self.store[::-1]
        self.ready.clear()
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", PASS, ":".join(name for name, _ in passed),
                ",".join(str(descriptor) for _, descriptor in passed),
                binary("wsd"), "--config", self.directory / "wsd.toml",
            ],
            env=clean_environment(
                NOTIFY_SOCKET=str(self.directory / "notify"), **({"FDSTORE": str(self.limit)} if self.tells_limit else {}),
                **(env or {})),
            pass_fds=[descriptor for _, descriptor in passed], stdout=self.log_file, stderr=self.log_file,
            preexec_fn=file_limit and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (file_limit, file_limit))),
        )  # fmt: skip
        if waits:
            self.wait_until_ready()

    def wait_until_ready(self):
        wait_until(lambda: self.ready.is_set() or self.process.poll() is not None, "wsd is ready")
        assert self.ready.is_set(), f"wsd ended with {self.process.returncode}\n{self.log()}"

    def stop_for_restart(self):
        """As systemd does where a job is a restart; the exit code."""
        self.process.send_signal(signal.SIGUSR2)
        return self.process.wait(DEADLINE)

    def restart(self, config="", **options):
        """Restarts the daemon; the seconds that it took."""
        begun = time.monotonic()
        code = self.stop_for_restart()
        assert code == PARKED, f"wsd ended with {code}\n{self.log()}"
        self.start(config, **options)
        return time.monotonic() - begun

    def wsctl(self, *args, timeout=DEADLINE):
        return subprocess.run(
            [binary("wsctl"), *map(str, args)], env=clean_environment(WSD_SOCKET=self.control_path),
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    def log(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        """Kills the daemon, and waits until all that it has said before has been noted."""
        self.process.kill()
        self.process.wait(DEADLINE)
        self.barrier()

    def barrier(self):
        """Waits until all that was said before has been noted."""
        ours, theirs = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self.directory / "notify"))
            socket.send_fds(sender, [b"BARRIER=1"], [theirs])
        os.close(theirs)
        assert os.read(ours, 1) == b""
        os.close(ours)

    @property
    def left(self):
        """What is stored besides snapshots."""
        return [name for name, _ in self.store if not name.startswith("wsd-snapshot-")]

    @property
    def snapshots(self):
        return [name for name, _ in self.store if name.startswith("wsd-snapshot-")]

    def close(self):
        """Ends everything, and asserts that the daemon was sound."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for _, descriptor in self.store:
            os.close(descriptor)
        self._notify.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        for opened in (self._notify, self.hub, self.tls, self.api, self.control, self.log_file):
            if opened:
                opened.close()
        print(f"--- log of wsd\n{self.log()}")
        for mark in CRASH_MARKS:
            assert mark not in self.log(), f"{mark!r} in the log"
