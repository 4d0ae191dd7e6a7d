"""A real nats-server on a loopback port, with JetStream, and the faults that a server can have."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from pausable import Pausable
from ports import free_port
from redisserver import socket_to
from waiting import DEADLINE, wait_until


class NATSServer(Pausable):
    """One running nats-server, that answers. Its streams are in files."""

    def __init__(self, directory, *lines):
        self.directory = Path(directory)
        self.port = free_port()
        self.process = None
        self.log_path = self.directory / "nats.log"
        self.store = self.directory / "jetstream"
        text = [f"host: 127.0.0.1\nport: {self.port}", f'jetstream {{ store_dir: "{self.store}" }}', "max_payload: 8MB", *lines]
        (self.directory / "nats.conf").write_text("\n".join([*text, ""]))
        self.start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        """Starts it, and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["nats-server", "-c", self.directory / "nats.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_until(self._answers, "nats-server answers")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")
        with socket_to(self.port) as connection:
            return connection is not None and connection.recv(4) == b"INFO"

    def stop(self):
        """Ends it in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self):
        """Ends it without ceremony."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.send_signal(number)
        self.process.wait(DEADLINE)

    def restart(self, with_data):
        """Ends it, and starts it again at the same place."""
        if with_data:
            self.stop()
        else:
            self.kill()
            shutil.rmtree(self.store)
        return self.start()
