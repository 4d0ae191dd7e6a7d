"""nginx and HAProxy in front, as the examples of the manual say."""

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
    """A proxy that runs in the foreground with a configuration of ours."""

    def __init__(self, command, log):
        self.log = log
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT)

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def hub(start_wsd):
    port = free_port()
    daemon = start_wsd(
        toml(
            {
                "server": {"trusted_proxies": ["127.0.0.1", "::1"], "allowed_origins": ["*"]},
                "api": {"listen": [f"127.0.0.1:{port}"]},
                "drain": {"period": "2s", "timeout": "10s"},
            }
        )
    )
    daemon.api_port = port
    return daemon


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request, hub, tmp_path):
    """The proxy and the port it listens on."""
    port = free_port()
    if request.param == "nginx":
        text = (EXAMPLES / "nginx.conf").read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{hub.port}").replace("listen 80;", f"listen 127.0.0.1:{port};")
        path = tmp_path / "nginx.conf"
        path.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_rlimit_nofile 8192;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{ access_log off;\n{text}\n}}\n"
        )
        running = Proxy(["nginx", "-c", str(path), "-p", str(tmp_path)], tmp_path / "log")
    else:
        text = (EXAMPLES / "haproxy.cfg").read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{hub.port}").replace("port 8081", f"port {hub.api_port}")
        path = tmp_path / "haproxy.cfg"
        path.write_text(f"global\n    maxconn 4096\n{text.replace('bind :80', f'bind 127.0.0.1:{port}')}")
        running = Proxy(["haproxy", "-f", str(path)], tmp_path / "log")

    def answers():
        assert running.process.poll() is None, (tmp_path / "log").read_text()
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/").status == 200
        except OSError:
            return False

    wait_until(answers, f"{request.param} passes requests on")
    yield request.param, port
    running.stop()


def test_a_thousand_through_a_proxy(hub, proxy):
    """All of them get everything, the hub knows where they come from, and a drain comes through."""
    name, port = proxy
    clients = [
        RawWebSocket(port, "/ws", headers=[("X-Forwarded-For", f"198.51.100.{number % 250}")]) for number in range(COUNT)
    ]
    try:
        hub.wait_for_connections(COUNT)
        with connect(f"ws://127.0.0.1:{port}/ws") as sender:
            sender.send("to everyone")
            assert sender.recv(timeout=DEADLINE) == "to everyone"
        for client in clients:
            assert client.receive_text() == "to everyone"
        # Each proxy adds where the connection came from; the hub trusts both hops and takes what was before them.
        listed = {row["address"] for row in hub.connections()}
        assert listed == {f"198.51.100.{number}" for number in range(250)}
        assert hub.wsctl("drain").returncode == 0
        closed = [client.receive_close() for client in clients]
        assert {close[0] for close in closed} == {1001}, name
    finally:
        for client in clients:
            client.close()
    assert hub.wait() == 0


def test_the_proxy_sees_that_the_hub_drains(hub, proxy):
    name, port = proxy
    with connect(f"ws://127.0.0.1:{port}/ws") as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
        hub.wsctl("drain")
        with pytest.raises(Exception) as closed:
            client.recv(timeout=DEADLINE)
        assert closed.value.rcvd.code == 1001
    assert hub.wait() == 0

    def refused():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        except urllib.error.HTTPError as error:
            return error.code in (502, 503)
        return False

    wait_until(refused, f"{name} says that nobody is there")
