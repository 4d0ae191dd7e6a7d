"""A real rabbitmq-server on loopback ports, with everything it owns in a directory, and the faults that a server can have."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from pausable import Pausable
from ports import free_port
from waiting import DEADLINE, wait_until

# It takes 3 s on an idle machine.
START_DEADLINE = 240.0

PROGRAMS = "usr/lib/rabbitmq/bin"


class RabbitMQServer(Pausable):
    """One running rabbitmq-server, that answers.

    `lines` are more lines of rabbitmq.conf; `tls` is an Authority. `root` is the root of a
    Debian that has the server, if that isn't this one: by default what $WSD_RABBITMQ_ROOT names. It sees the directory.
    """

    def __init__(self, directory, *lines, tls=None, plugins=(), root=None):
        self.directory = Path(directory)
        self.root = root or os.environ.get("WSD_RABBITMQ_ROOT")
        self.tls = tls
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self._epmd_port = free_port()
        self.process = None
        self._epmd = None
        self.log_path = self.directory / "rabbitmq.out"
        self.data = self.directory / "mnesia"
        for name in ("mnesia", "log", "home"):
            (self.directory / name).mkdir(exist_ok=True)
        settings = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.file.level = info",
            "disk_free_limit.absolute = 50MB",
            *lines,
        ]
        if tls:
            settings += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {tls.authority}",
                f"ssl_options.certfile = {tls.certificate}",
                f"ssl_options.keyfile = {tls.key}",
            ]
        (self.directory / "rabbitmq.conf").write_text("\n".join([*settings, ""]))
        # The port by which rabbitmqctl asks.
        (self.directory / "advanced.config").write_text("[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n")
        (self.directory / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.directory / "home"),
            "RABBITMQ_NODENAME": f"wsd{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "no-rabbitmq-env.conf"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            # Idle schedulers don't spin: the machine has others.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            # Else a shell stays between this process and the server.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP": "/dev/null",
        }
        self.start()

    def _run(self, program, *arguments):
        chroot = ["/usr/sbin/chroot", self.root] if self.root else []
        return [*chroot, f"/{program}", *arguments]

    def start(self):
        """Starts it, and waits until it answers."""
        with open(self.log_path, "ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": self.environment, "cwd": self.directory}
            if self._epmd is None:
                # Erlang would start one that outlives it.
                self._epmd = subprocess.Popen(self._run("usr/bin/epmd"), **streams)
                wait_until(lambda: _said(self._epmd_port, b"") is not None, "epmd answers")
            self.process = subprocess.Popen(self._run(f"{PROGRAMS}/rabbitmq-server"), **streams)
        try:
            wait_until(self._answers, "rabbitmq-server answers", START_DEADLINE)
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")
        return _said(self.port, b"AMQP\0\0\x09\x01", 1) == b"\x01"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def ctl(self, *arguments):
        """What rabbitmqctl says; it takes 2 s."""
        command = self._run(f"{PROGRAMS}/rabbitmqctl", "--quiet", *arguments)
        result = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_DEADLINE
        )
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def eval(self, *expressions):
        """Evaluates expressions of Erlang in the server, one after the other: many things in one rabbitmqctl."""
        return self.ctl("eval", ", ".join(expressions) + ".")

    @contextlib.contextmanager
    def memory_alarm(self):
        """It has too little memory, it thinks, and takes no messages."""
        self.ctl("set_vm_memory_high_watermark", "absolute", "1MiB")
        try:
            yield
        finally:
            self.ctl("set_vm_memory_high_watermark", "0.4")

    @contextlib.contextmanager
    def disk_alarm(self):
        """The same for its disk."""
        self.ctl("set_disk_free_limit", "1000000000000000")
        try:
            yield
        finally:
            self.ctl("set_disk_free_limit", "50MB")

    def stop(self):
        """Ends it in an orderly way, and what came with it."""
        self._end(signal.SIGTERM)
        self._end_epmd()

    def kill(self):
        """Ends it without ceremony, and what came with it."""
        self._end(signal.SIGKILL)
        self._end_epmd()

    def _end(self, number):
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.send_signal(number)
        self.process.wait(DEADLINE)

    def _end_epmd(self):
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(DEADLINE)
            self._epmd = None

    def restart(self, with_data):
        """Ends it, and starts it again at the same place."""
        if with_data:
            self._end(signal.SIGTERM)
        else:
            self._end(signal.SIGKILL)
            shutil.rmtree(self.data)
            self.data.mkdir()
        return self.start()


def _said(port, question, count=0):
    """The first bytes of an answer to a question; None if nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            connection.sendall(question)
            return connection.recv(count) if count else b""
    except OSError:
        return None
