"""What stands in for Kafka, as there is no real one: librdkafka's mock cluster, and noida, each with its faults."""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from pausable import Pausable
from ports import free_port
from redisserver import socket_to
from waiting import DEADLINE, wait_until

# API keys of the protocol, and codes of its errors: https://kafka.apache.org/protocol
PRODUCE, INIT_PRODUCER_ID = 0, 22
UNKNOWN_TOPIC, RECORD_TOO_LARGE, TOPIC_DENIED, CLUSTER_DENIED = 3, 10, 29, 31


class Stoppable(Pausable):
    """A server that is one process."""

    def kill(self):
        """Ends it without ceremony."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self):
        """Ends it in an orderly way."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(DEADLINE)


@functools.cache
def mock_program():
    """The mock cluster as a program, compiled once for each process of tests."""
    directory = Path(tempfile.mkdtemp(prefix="wsd-mockkafka-"))
    program = directory / "mockkafka"
    source = Path(__file__).with_name("mockkafka.c")
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lrdkafka"], check=True)
    return program


class MockKafka(Stoppable):
    """A cluster in memory, that can't be restarted: brokers go down and come up. Topics are created when they are asked for
    by who appends, and can't be created otherwise: `topics` are numbers of partitions by their names."""

    def __init__(self, brokers=1, topics=None):
        words = [str(word) for pair in (topics or {}).items() for word in pair]
        self.process = subprocess.Popen(
            [mock_program(), str(brokers), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self.servers = self.process.stdout.readline().strip()
        assert self.servers, "the mock cluster does not start"

    def command(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", (words, answer)

    def down(self, broker=1):
        self.command("down", broker)

    def up(self, broker=1):
        self.command("up", broker)


def varint(number):
    """A number as records have it: zigzag, then LEB128."""
    number = number << 1 ^ number >> 63
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes(found) + bytes([number])


def record(headers=()):
    """A record without key and value, the only one of its batch."""
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(-1) + varint(len(headers))
    body += b"".join(varint(len(name)) + name + varint(-1) for name in headers)
    return varint(len(body)) + body


def append_batch(servers, topic, records, attributes=0, partition=0):
    """Appends a batch of one record as it is given, be it what no client would make: Produce, version 3."""
    batch = struct.pack(">ibIhiqqqhii", 0, 2, 0, attributes, 0, 0, 0, -1, -1, -1, 1) + records
    batch = struct.pack(">qi", 0, len(batch)) + batch
    name = topic.encode()
    request = struct.pack(">hhihhhii", PRODUCE, 3, 1, -1, -1, -1, 5000, 1)
    request += struct.pack(">h", len(name)) + name + struct.pack(">iii", 1, partition, len(batch)) + batch
    host, port = servers.split(",")[0].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.recv(4096)
    error = struct.unpack_from(">h", answer, 4 + 4 + 4 + 2 + len(name) + 4 + 4)[0]
    assert error == 0, error


class Noida(Stoppable):
    """One broker that keeps its data in a directory; as nobody, as its authors are unknown."""

    def __init__(self):
        self.user = pwd.getpwnam("nobody")
        self.directory = Path(tempfile.mkdtemp(prefix="wsd-noida-"))
        os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.port = free_port()
        self.process = None
        self.start()

    @property
    def servers(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        # The program itself, not the script that starts it: this is the process that is killed and paused.
        program = Path(importlib.util.find_spec("noida_db").origin).with_name("noida-db")
        unprivileged = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        self.process = subprocess.Popen(
            [program, "start", "--only", "kafka", "--kafka-port", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=open(self.directory.with_suffix(".log"), "ab"),
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env={"HOME": str(self.directory), "PATH": os.environ["PATH"], "TMPDIR": str(self.directory)},
            **(unprivileged if os.geteuid() == 0 else {}),
        )
        try:
            wait_until(self._answers, "noida answers")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self):
        assert self.process.poll() is None, self.directory.with_suffix(".log").read_text(errors="replace")
        with socket_to(self.port) as connection:
            return connection is not None

    def restart(self, with_data):
        """Ends it, and starts it again at the same place."""
        if with_data:
            self.stop()
        else:
            self.kill()
            shutil.rmtree(self.directory / ".noida-db")
        return self.start()

    def add_partitions(self, topic, count):
        """Has a topic this number of partitions from now on: CreatePartitions, version 0."""
        name = topic.encode()
        request = struct.pack(">hhihih", 37, 0, 1, -1, 1, len(name)) + name + struct.pack(">iiib", count, -1, 5000, 0)
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(4096)
        error = struct.unpack_from(">h", answer, 4 + 4 + 4 + 4 + 2 + len(name))[0]
        assert error == 0, error

    def remove(self):
        """Ends it, and removes all that it kept."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.with_suffix(".log").unlink(missing_ok=True)
