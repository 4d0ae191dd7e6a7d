"""nginx, HAProxy and Caddy in front, as the examples of the manual say."""

import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request

import pytest
from websockets.sync.client import connect

from ports import free_port
from rawws import RawWebSocket
from waiting import DEADLINE, wait_until
from wsdaemon import REPOSITORY, toml

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
            hub, directory, "nginx.conf", "listen 80;\n    listen [::]:80;", f"listen 127.0.0.1:{self.port};",
            f"daemon off; pid {directory}/pid; error_log {directory}/error.log; worker_rlimit_nofile 8192;\n"
            "events { worker_connections 4096; }\nhttp { access_log off;\n%s\n}\n",
        )
        return ["nginx", "-c", path, "-p", directory]

    def haproxy(self, hub, directory):
        return ["haproxy", "-f", self.write(
            hub, directory, "haproxy.cfg", "bind [::]:80 v4v6", f"bind 127.0.0.1:{self.port}", "global\n    maxconn 4096\n%s"
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


# Dropped into the configuration that Debian installs, as an administrator does it: in a network and with files of its own, since
# that listens on port 80.
STOCK = {
    "nginx": """
        cp --archive /etc/nginx $SCRATCH/nginx && mount --bind $SCRATCH/nginx /etc/nginx
        cp $EXAMPLES/nginx.conf /etc/nginx/sites-available/wsd
        ln --symbolic /etc/nginx/sites-available/wsd /etc/nginx/sites-enabled/
        nginx -t
        exec nginx -g 'daemon off;'
    """,
    "haproxy": """
        cp --archive /etc/haproxy $SCRATCH/haproxy && mount --bind $SCRATCH/haproxy /etc/haproxy
        mkdir /run/haproxy
        cat $EXAMPLES/haproxy.cfg >>/etc/haproxy/haproxy.cfg
        haproxy -c -f /etc/haproxy/haproxy.cfg
        exec haproxy -db -f /etc/haproxy/haproxy.cfg
    """,
    "caddy": """
        cp --archive /etc/caddy $SCRATCH/caddy && mount --bind $SCRATCH/caddy /etc/caddy
        # Without TLS, for nobody here gives out certificates.
        sed 's,^example.org,http://example.org,' $EXAMPLES/Caddyfile >>/etc/caddy/Caddyfile
        caddy validate --config /etc/caddy/Caddyfile
        exec caddy run --config /etc/caddy/Caddyfile
    """,
}
SANDBOX = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
echo ready
exec sleep infinity
"""
# Speaks as a browser does that has come to the page by its name: an address, and one more for the client itself.
VISITOR = """
import socket, sys
from websockets.sync.client import connect

where, own = sys.argv[1:]
family = socket.AF_INET6 if ":" in where else socket.AF_INET
connection = socket.socket(family)
connection.bind((own, 0))
connection.connect((where, 80))
with connect("ws://example.org/ws", sock=connection, origin="http://example.org") as client:
    client.send("by its name")
    assert client.recv(timeout=60) == "by its name"
    print("heard", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def sandbox():
    """A network and a mount namespace: what begins a command that is to run in them."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", SANDBOX],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "ready\n"
        yield ["nsenter", "--target", str(holder.pid), "--net", "--mount"]
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("name", STOCK)
def test_the_example_works_in_what_debian_installs(start_wsd, sandbox, tmp_path, name):
    example = EXAMPLES / {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddy": "Caddyfile"}[name]
    # What it says of the hub's own configuration.
    settings = re.findall(r"^#   ([a-z\[].*)$", example.read_text(), re.M)
    settings = [line for line in settings if not line.startswith((name, "["))]
    assert settings == ['trusted_proxies = ["127.0.0.1", "::1"]']
    assert "loopback.conf" in example.read_text()
    server = {"listen": ["127.0.0.1:8080"]} | tomllib.loads("\n".join(settings))
    hub = start_wsd(toml({"server": server, "api": {"listen": ["127.0.0.1:8081"]}}), prefix=sandbox)
    with open(tmp_path / "log", "wb") as log:
        proxy = subprocess.Popen(
            [*sandbox, "sh", "-e", "-c", STOCK[name]],
            env=os.environ | {"HOME": str(tmp_path), "SCRATCH": str(tmp_path), "EXAMPLES": str(EXAMPLES)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        for where, own in (("127.0.0.1", "127.0.1.7"), ("::1", "::1")):
            def page():
                assert proxy.poll() is None, (tmp_path / "log").read_text()
                shown = f"[{where}]" if ":" in where else where
                curl = ["curl", "--silent", "--resolve", f"example.org:80:{shown}", "http://example.org/"]
                return subprocess.run([*sandbox, *curl], capture_output=True, text=True).stdout

            wait_until(page, f"{name} answers at {where}")
            wait_until(lambda: "wsd.js" in page(), f"{name} passes requests on to the hub; it says {page()}")
            visitor = subprocess.Popen(
                [*sandbox, sys.executable, "-c", VISITOR, where, own],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert visitor.stdout.readline() == "heard\n"
            assert [row["address"] for row in hub.connections()] == [own]
            visitor.communicate("\n")
            assert visitor.returncode == 0
            hub.wait_for_connections(0)
    finally:
        proxy.terminate()
        proxy.wait()


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
