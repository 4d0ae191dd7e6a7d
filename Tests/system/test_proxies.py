"""nginx, HAProxy and Caddy in front, as the examples of the manual say."""

import os
import subprocess
import urllib.request

import pytest
from websockets.sync.client import connect

from rawws import RawWebSocket
from waiting import DEADLINE, wait_until
from wsdaemon import REPOSITORY, free_port, toml

EXAMPLES = REPOSITORY / "packaging" / "examples"
COUNT = 1000


class Proxy:
    """A proxy that runs in the foreground, with an example of ours that leads to a hub."""

    def __init__(self, name, hub, directory):
        self.name = name
        self.port = free_port()
        self.log = directory / "log"
        self.process = subprocess.Popen(
            getattr(self, name)(hub, directory),
            env=os.environ | {"HOME": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=open(self.log, "wb"),
            stderr=subprocess.STDOUT,
        )

    def nginx(self, hub, directory):
        path = self.write(
            hub, directory, "nginx.conf", "listen 80;", f"listen 127.0.0.1:{self.port};",
            f"daemon off; pid {directory}/pid; error_log {directory}/error.log; worker_rlimit_nofile 8192;\n"
            "events { worker_connections 4096; }\nhttp { access_log off;\n%s\n}\n",
        )
        return ["nginx", "-c", path, "-p", directory]

    def haproxy(self, hub, directory):
        return ["haproxy", "-f", self.write(
            hub, directory, "haproxy.cfg", "bind :80", f"bind 127.0.0.1:{self.port}", "global\n    maxconn 4096\n%s"
        )]

    def caddy(self, hub, directory):
        path = self.write(
            hub, directory, "Caddyfile", "example.org {", f"http://127.0.0.1:{self.port} {{",
            "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n%s",
        )
        return ["caddy", "run", "--config", path, "--adapter", "caddyfile"]

    @staticmethod
    def write(hub, directory, name, listen, here, around):
        """The example with the ports of this test, and what it is to stand in."""
        text = (EXAMPLES / name).read_text()
        assert listen in text and "127.0.0.1:8080" in text
        text = text.replace(listen, here)
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{hub.port}").replace("port 8081", f"port {hub.api_port}")
        (directory / name).write_text(around % text)
        return directory / name

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/").status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def hub(start_wsd):
    port = free_port()
    daemon = start_wsd(
        toml(
            {
                "server": {"trusted_proxies": ["127.0.0.1", "::1"]},
                "api": {"listen": [f"127.0.0.1:{port}"]},
                "drain": {"period": "2s", "timeout": "10s"},
            }
        )
    )
    daemon.api_port = port
    return daemon


@pytest.fixture(params=["nginx", "haproxy", "caddy"])
def proxy(request, hub, tmp_path):
    running = Proxy(request.param, hub, tmp_path)
    wait_until(running.answers, f"{request.param} passes requests on")
    yield running
    running.stop()


def test_a_thousand_through_a_proxy(hub, proxy):
    """All of them get everything, the hub knows where they come from, and a drain comes through."""
    clients = [RawWebSocket(proxy.port, "/ws", source=f"127.0.1.{number % 250}") for number in range(COUNT)]
    try:
        hub.wait_for_connections(COUNT)
        # A page that came by the proxy is one of the same host.
        page = f"http://127.0.0.1:{proxy.port}"
        with connect(f"ws://127.0.0.1:{proxy.port}/ws", origin=page) as sender:
            sender.send("to everyone")
            assert sender.recv(timeout=DEADLINE) == "to everyone"
        for client in clients:
            assert client.receive_text() == "to everyone"
        assert {row["address"] for row in hub.connections()} == {f"127.0.1.{number}" for number in range(250)}
        # What a client says of itself counts for nothing.
        with RawWebSocket(proxy.port, "/ws", source="127.0.2.1", headers=[("X-Forwarded-For", "198.51.100.1")]):
            hub.wait_for_connections(COUNT + 1)
            assert "127.0.2.1" in {row["address"] for row in hub.connections()}
        assert hub.wsctl("drain").returncode == 0
        closed = [client.receive_close() for client in clients]
        assert {close[0] for close in closed} == {1001}, proxy.name
    finally:
        for client in clients:
            client.close()
    assert hub.wait() == 0


def test_the_proxy_sees_that_the_hub_drains(hub, proxy):
    with connect(f"ws://127.0.0.1:{proxy.port}/ws") as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
        hub.wsctl("drain")
        with pytest.raises(Exception) as closed:
            client.recv(timeout=DEADLINE)
        assert closed.value.rcvd.code == 1001
    assert hub.wait() == 0

    def refused():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{proxy.port}/")
        except urllib.error.HTTPError as error:
            return error.code in (502, 503)
        return False

    wait_until(refused, f"{proxy.name} says that nobody is there")
