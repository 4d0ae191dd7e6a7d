"""Several daemons that share their channels through one broker."""

import contextlib
import itertools
import json

import jwt

from jsonclient import JSONClient
from jsonwire import JSONWire
from plugins import plugin_environment
from ports import free_port
from test_api import API, KEYS
from waiting import wait_until
from wsdaemon import Daemon, merged, toml

SECRET = "0123456789abcdef" * 4

# Rules for channels by what a test needs of them.
CHANNELS = {
    "kept:*": {"history": 1000},
    "plain:*": {},
    "silent:*": {"echo": False},
    "short:*": {"history": 3},
    "here:*": {"presence": True, "join_leave": True, "leave_delay": "0s"},
    "lobby": {"history": 1000},
}
ENDPOINTS = [
    {"path": "/chat", "protocol": "json", "channel": ""},
    {"path": "/lobby", "protocol": "json", "channel": "lobby"},
    {"path": "/plain", "protocol": "json", "channel": "plain:1"},
    {"path": "/ws", "protocol": "relay", "channel": "lobby"},
    {"path": "/relay", "protocol": "relay", "channel": "plain:relay"},
]

# A broker whose faults are noticed soon, and what waits for their end has time.
PROBE_SECONDS = 1.0
PATIENT = {"broker": {"probe_interval": f"{PROBE_SECONDS:g}s", "queue_timeout": "60s"}}


class Nodes:
    """Starts nodes, each with a directory of its own in `directory`; all of them share the server and the prefix."""

    def __init__(self, directory, url, prefix="wsd", type="redis"):
        self.directory = directory
        self.url = url
        self.type = type
        self.prefix = prefix
        self.all = []
        self._numbers = itertools.count(1)

    def start(self, config=None, *, url=None, name=None, is_ready=True, workers=2, **options):
        """Starts a node, and waits until it is ready for clients unless told otherwise.

        The configuration, a table, is laid over that of all nodes.
        """
        number = next(self._numbers)
        name = name or f"node-{number}"
        directory = self.directory / f"node-{number}"
        directory.mkdir(parents=True)
        port = free_port()
        api = {"listen": [f"127.0.0.1:{port}"]}
        for scope, key in KEYS.items():
            api[f"{scope}_key_file"] = str(_file(directory / f"{scope}.key", f"{key}\n"))
        base = {
            "broker": {"type": self.type, "url": url or self.url, "prefix": self.prefix, "node_name": name},
            "api": api,
            "channels": CHANNELS,
            "endpoint": ENDPOINTS,
            "limits": {"messages_per_second": 0},
        }
        if self.type in ("kafka", "rabbitmq"):
            options["env"] = {**options.get("env", {}), **plugin_environment()}
        node = Node(Daemon(directory, toml(merged(base, config or {})), workers=workers, **options), port, name)
        self.all.append(node)
        if is_ready:
            node.wait_until_ready()
        return node

    def finish(self):
        """Ends all that still run; what was wrong with any."""
        failures = []
        for node in self.all:
            node.close_clients()
        # At once: the farewell of each takes a moment.
        for node in self.all:
            node.daemon.signal()
        for node in self.all:
            try:
                node.daemon.finish()
            except AssertionError as error:
                failures.append(f"{node.name}: {error}")
            finally:
                print(f"--- log of {node.name} (exit code {node.daemon.process.returncode})\n{node.daemon.log()}")
        return failures


class Node:
    """One daemon, and how to talk to it."""

    def __init__(self, daemon, api_port, name):
        self.daemon = daemon
        self.name = name
        self.port = daemon.port
        self.api = API(daemon, api_port)
        self._clients = []

    # Clients, closed at the end.

    def client(self, *channels, user=None, path="/chat", **options):
        """A client of the json protocol that is in the channels."""
        return self._joined(JSONClient, "additional_headers", channels, user, path, options)

    def wire(self, *channels, user=None, path="/chat", **options):
        """The same for many requests at once."""
        return self._joined(JSONWire, "headers", channels, user, path, options)

    def _joined(self, kind, headers, channels, user, path, options):
        if user:
            token = jwt.encode({"sub": user, "exp": 4_000_000_000}, SECRET, "HS256")
            options[headers] = [("Authorization", f"Bearer {token}")]
        client = kind(self.port, path, **options)
        self._clients.append(client.socket if isinstance(client, JSONClient) else client)
        for channel in channels:
            client.ok("join", channel=channel)
        return client

    def relay(self, path="/ws"):
        return self.daemon.connect(path)

    def close_clients(self):
        for client in self._clients:
            with contextlib.suppress(Exception):
                client.close()
        self._clients.clear()
        self.daemon.close_clients()

    # Whether it is ready.

    def readiness(self):
        """The status of /readyz and what it says."""
        status, _, text = self.api.raw("GET", "/readyz")
        return status, text

    def is_ready(self):
        return self.readiness()[0] == 200

    def wait_until_ready(self, **options):
        return wait_until(self.is_ready, f"{self.name} is ready", **options)

    def wait_until_not_ready(self, reason="", **options):
        """The text of /readyz."""

        def reason_found():
            status, text = self.readiness()
            return text if status == 503 and reason in text else None

        return wait_until(reason_found, f"{self.name} is not ready because of {reason!r}", **options)

    def status(self):
        """What `wsctl status` says."""
        done = self.daemon.wsctl("status")
        return done.stdout + done.stderr

    def reload(self, old="", new=""):
        """Puts one text for another in the configuration, and reloads it; what `wsctl reload` says."""
        text = self.daemon.config_path.read_text()
        assert old in text
        self.daemon.config_path.write_text(text.replace(old, new, 1))
        # The service manager, which this is, reads what it is told.
        self.daemon.notified()
        return json.loads(self.daemon.wsctl("reload", "--json").stdout)

    def publish(self, channel, data):
        """Publishes by the API; its answer."""
        return self.api.ok("POST", "/api/publish", {"channel": channel, "data": data}, scope="publish")


def wait_for_all(nodes):
    for node in nodes:
        node.wait_until_ready()


def _file(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def hear(client, kind):
    """The next message of a kind."""
    while True:
        message = client.hear()
        if message["type"] == kind:
            return message


def since(answer, seq=None):
    """A position for a join, from an answer or a message."""
    return {"epoch": answer["epoch"], "seq": answer["seq"] if seq is None else seq}
