"""From nothing to a certificate and its renewal, with certbot and an authority for tests (Debian's pebble)."""

import json
import os
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from certificates import Certificate, client_context
from ports import free_port
from rawws import Wire
from securedaemon import SecureDaemon
from waiting import wait_until
from wsdaemon import clean_environment

HOST = "chat.example.org"


class Names:
    """A server of names (DNS) in which every one has the address 127.0.0.1, and nothing else."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, peer = self._socket.recvfrom(4096)
            if not query:
                return
            end = query.index(b"\0", 12) + 5
            has_address = query[end - 4 : end - 2] == b"\0\1"
            header = query[:2] + struct.pack("!HHHHH", 0x8580, 1, has_address, 0, 0)
            address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 1])
            self._socket.sendto(header + query[12:end] + (address if has_address else b""), peer)

    def close(self):
        self._socket.sendto(b"", self._socket.getsockname())


class Pebble:
    """An authority that asks for the answers to its challenges at one port of this machine."""

    def __init__(self, directory, http_port):
        own = Certificate(directory, "pebble")
        self.trust, self.port = own.certificate, free_port()
        config = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(own.certificate), "privateKey": str(own.key), "httpPort": http_port, "tlsPort": free_port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": False,
        }  # fmt: skip
        path = directory / "pebble.json"
        path.write_text(json.dumps({"pebble": config}))
        self.log_path = directory / "pebble.log"
        self._names = Names()
        with open(self.log_path, "wb") as log:
            self._process = subprocess.Popen(
                ["pebble", "-config", path, "-dnsserver", f"127.0.0.1:{self._names.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"),
            )  # fmt: skip

    def wait(self):
        wait_until(lambda: self._is_ready() or self._process.poll() is not None, "pebble is ready")
        assert self._is_ready(), self.log_path.read_text()

    def _is_ready(self):
        try:
            Wire(self.port).close()
            return True
        except OSError:
            return False

    def close(self):
        self._process.terminate()
        self._process.wait(30)
        self._names.close()


@pytest.fixture
def daemon(wsd_directory, tmp_path):
    daemon = SecureDaemon(wsd_directory / "wsd", {"tls": {"acme_directory": str(tmp_path / "www")}})
    yield daemon
    daemon.finish()


@pytest.fixture
def pebble(daemon, tmp_path):
    pebble = Pebble(tmp_path, daemon.plain_port)
    try:
        pebble.wait()
        yield pebble
    finally:
        pebble.close()


def test_certbot_gets_a_certificate_and_renews_it_while_clients_stay(daemon, pebble, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    lineage = tmp_path / "config/live" / HOST

    def certbot(*arguments):
        places = [argument for kind in ("config", "work", "logs") for argument in (f"--{kind}-dir", tmp_path / kind)]
        done = subprocess.run(
            ["certbot", "--non-interactive", "--no-random-sleep-on-renew" if "renew" in arguments else "--quiet", *places,
             "--server", f"https://localhost:{pebble.port}/dir", *arguments],
            env=clean_environment(REQUESTS_CA_BUNDLE=str(pebble.trust), HOME=str(tmp_path)),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + pebble.log_path.read_text()
        # What the deploy hook of the package does.
        daemon.certificate.certificate.write_bytes((lineage / "fullchain.pem").read_bytes())
        daemon.certificate.key.write_bytes((lineage / "privkey.pem").read_bytes())
        done = daemon.wsctl("reload")
        assert done.returncode == 0 and "tls.certificates" in done.stdout, done.stdout + done.stderr

    def shown():
        with Wire(daemon.tls_port, tls=client_context(), name=HOST) as wire:
            return wire.socket.getpeercert(binary_form=True)

    client = daemon.connect()
    before = shown()
    certbot("certonly", "--agree-tos", "--register-unsafely-without-email", "--webroot", "--webroot-path", www, "-d", HOST)
    first = shown()
    leaf = ssl.DER_cert_to_PEM_cert(first)
    assert first != before and leaf in (lineage / "fullchain.pem").read_text()
    certbot("renew", "--force-renewal")
    assert shown() not in (before, first)
    client.expect_echo()
    assert not any(files for _, _, files in os.walk(www)), "certbot takes away what it left"
