"""A real redis-server on a loopback port, with everything it owns in a directory, and the faults that a server can have."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from ports import free_port
from waiting import DEADLINE, wait_until


class RedisServer:
    """One running redis-server, that answers.

    It keeps its data in memory alone unless `is_durable`; then each write is on disk before it is answered. `settings` are
    lines of redis.conf(5) by their names, with `_` for `-`.
    """

    def __init__(
        self,
        directory,
        *,
        port=None,
        has_socket=False,
        tls=None,
        password=None,
        acl=None,
        is_durable=False,
        client_options=None,
        **settings,
    ):
        self.directory = Path(directory)
        self.port = port or free_port()
        self.password = password
        self.tls = tls
        self._client_options = client_options or {}
        self.socket_path = str(self.directory / "redis.sock") if has_socket else None
        self.log_path = self.directory / "redis.log"
        self._settings = {
            "bind": "127.0.0.1",
            "port": 0 if tls else self.port,
            "dir": str(self.directory),
            "save": '""',
            "appendonly": "yes" if is_durable else "no",
            "appendfsync": "always",
            # No child that outlives it.
            "auto-aof-rewrite-percentage": 0,
            "daemonize": "no",
            "maxclients": 2000,
        }
        if self.socket_path:
            self._settings["unixsocket"] = self.socket_path
        if tls:
            self._settings |= {
                "tls-port": self.port,
                "tls-cert-file": tls.certificate,
                "tls-key-file": tls.key,
                "tls-ca-cert-file": tls.authority,
                "tls-auth-clients": "no",
            }
        if password:
            self._settings["requirepass"] = password
        if acl:
            (self.directory / "users.acl").write_text("\n".join([*acl, ""]))
            self._settings["aclfile"] = str(self.directory / "users.acl")
        self._settings |= {name.replace("_", "-"): value for name, value in settings.items()}
        self.process = None
        self._clients = []
        self.start()

    # What a test wants of it.

    def url(self, user="", password=None, database=0):
        """As in `broker.url`; the server's own password if there is one and no other is given."""
        password = self.password if password is None else password
        login = f"{user}:{password}@" if user or password else ""
        return f"{'rediss' if self.tls else 'redis'}://{login}127.0.0.1:{self.port}/{database}"

    @property
    def socket_url(self):
        return f"unix://{self.socket_path}"

    @property
    def pid(self):
        return self.process.pid

    def client(self, **options):
        """A connection of a test's own, closed when the server is."""
        secured = {"ssl": True, "ssl_ca_certs": self.tls.authority} if self.tls else {}
        options = {"password": self.password, "socket_timeout": DEADLINE, "protocol": 3} | secured | self._client_options | options
        client = redis.Redis(host="127.0.0.1", port=self.port, **options)
        self._clients.append(client)
        return client

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # Its life.

    def start(self):
        """Starts it, and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )
        try:
            wait_until(self._answers, "redis-server answers")
        except BaseException:
            self.kill()
            raise
        return self

    def _command(self):
        arguments = [word for name, value in self._settings.items() for word in (f"--{name}", *_words(value))]
        return ["redis-server", *arguments]

    def _answers(self):
        assert self.process.poll() is None, f"redis-server ended with {self.process.returncode}\n{self.log()}"
        with socket_to(self.port) as connection:
            if connection is None:
                return False
        try:
            with self.client(socket_timeout=1, protocol=2) as client:
                client.ping()
        except (AuthenticationError, NoPermissionError):
            return True
        except redis.RedisError:  # it reads its data, for example
            return False
        return True

    def stop(self):
        """Ends it in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self):
        """Ends it without ceremony."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process is None:
            return
        self.resume()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def forget(self):
        """Removes its data from disk. Only while it does not run."""
        assert self.process.poll() is not None
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        for path in self.directory.glob("*.rdb"):
            path.unlink()

    def restart(self, with_data, by="kill"):
        """Ends it, and starts it again at the same place."""
        if with_data and self._settings["appendonly"] == "no":
            self.client().save()
        getattr(self, by)()
        if not with_data:
            self.forget()
        return self.start()

    def pause(self):
        """Makes it stand still, its connections open (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it stands")

    def resume(self):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def paused(self):
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def finish(self):
        try:
            self.kill()
        finally:
            for client in self._clients:
                with contextlib.suppress(redis.RedisError, OSError):
                    client.close()


class Authority:
    """A certificate authority for one test, and a certificate of it for 127.0.0.1."""

    def __init__(self, directory, name="127.0.0.1"):
        self.authority, self._authority_key = str(directory / "ca.pem"), str(directory / "ca.key")
        self.certificate, self.key = str(directory / "redis.pem"), str(directory / "redis.key")
        request, names = directory / "redis.csr", directory / "names"
        kind = "IP" if name[0].isdigit() else "DNS"
        names.write_text(f"subjectAltName={kind}:{name}\n")
        new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl(*new, "-x509", "-subj", "/CN=wsd tests", "-days", 2, "-keyout", self._authority_key, "-out", self.authority)
        self._openssl(*new, "-subj", f"/CN={name}", "-keyout", self.key, "-out", request)
        signed = ["x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self._authority_key, "-CAcreateserial"]
        self._openssl(*signed, "-days", 2, "-extfile", names, "-out", self.certificate)

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def socket_to(port):
    """A plain connection to a port; None if nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            yield connection
    except ConnectionRefusedError:
        yield None


def _words(value):
    return value.split() if isinstance(value, str) else [str(value)]
