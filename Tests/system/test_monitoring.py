"""The files in packaging/monitoring, with a real Prometheus."""

import contextlib
import json
import re
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
import websockets
import websockets.sync.client

from certificates import Certificate
from container.frozen_thread import frozen, thread_named
from fdstore import ServiceManager
from jsonclient import JSONClient
from ports import free_port
from rawws import BINARY
from test_api import API
from waiting import wait_until
from wsdaemon import REPOSITORY, toml

MONITORING = REPOSITORY / "packaging" / "monitoring"


@pytest.fixture
def api(start_wsd):
    port = free_port()
    return API(start_wsd(toml({"api": {"listen": [f"127.0.0.1:{port}"]}})), port)


class Prometheus:
    """A Prometheus that scrapes one daemon five times a second, by https if an authority is named.

    `hurried`, what takes minutes in its rules takes seconds; a scrape may take as long as a daemon waits for its workers.
    """

    def __init__(self, directory, target, hurried=False, authority=None):
        self.port = free_port()
        text = (MONITORING / "prometheus.yml").read_text()
        text = text.replace("127.0.0.1:8081", f"127.0.0.1:{target}").replace("15s", "1500ms" if hurried else "200ms")
        rules = (MONITORING / "wsd.rules.yml").read_text()
        if hurried:
            text = "global: {evaluation_interval: 200ms}\n" + text
            rules = re.sub(r"\[\dm\]", "[8s]", re.sub(r"for: \dm", "for: 1s", rules))
        if authority:
            text = text.replace("127.0.0.1", "localhost").replace(
                "    static_configs:", f"    scheme: https\n    tls_config: {{ca_file: {authority}}}\n    static_configs:"
            )
        (directory / "wsd.rules.yml").write_text(rules)
        (directory / "prometheus.yml").write_text(text)
        self.process = subprocess.Popen(
            [
                "prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)["data"]
        except OSError:
            return {}

    def values(self, query):
        """The values of an expression by their labels, those of the target left out."""
        found = {}
        for row in self.ask("query", query=query).get("result", []):
            labels = {name: value for name, value in row["metric"].items() if name not in ("__name__", "job", "instance")}
            found[tuple(sorted(labels.items()))] = float(row["value"][1])
        return found

    def firing(self):
        """The alerts that fire now."""
        return {dict(labels)["alertname"] for labels in self.values("ALERTS{alertstate='firing'}")}

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def prometheus(api, tmp_path):
    prometheus = Prometheus(tmp_path, api.port)
    yield prometheus
    prometheus.stop()


def test_a_real_prometheus_counts_what_clients_count(api, prometheus):
    wait_until(lambda: prometheus.values("up{job='wsd'}") == {(): 1}, "the daemon is scraped")
    clients = [JSONClient(api.hub.port) for _ in range(7)]
    for client in clients:
        client.ok("chat", data=1)
    for client in clients:
        for _ in clients:
            client.next("chat")
    wait_until(lambda: prometheus.values("websocket_active_connections") == {(): 7}, "all connections are seen")
    assert prometheus.values("websocket_messages_received_total") == {(): 7}
    wait_until(
        lambda: prometheus.values("websocket_messages_sent_total") == {(): 7 + 7 + 49}, "all messages are seen")
    assert sum(prometheus.values("wsd_worker_connections").values()) == 7
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    for client in clients:
        client.socket.close()
    closed = "websocket_closed_total{reason='peer_closed'}"
    wait_until(lambda: prometheus.values(closed) == {(("reason", "peer_closed"),): 7}, "all are gone")
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    assert len(rules) >= 8 and all(rule["health"] in ("ok", "unknown") for rule in rules)


def test_alerts_fire_in_an_incident(start_wsd, tmp_path):
    """A real incident, piece by piece: the hub is full, somebody doesn't read, a worker hangs, the hub is gone."""
    port = free_port()
    hub = start_wsd(
        toml({"server": {"max_connections": 10}, "queue": {"limit": 4096, "policy": "drop-oldest", "write_timeout": "1h"},
              "websocket": {"ping_interval": "0s"}, "api": {"listen": [f"127.0.0.1:{port}"]}}),
        workers=2,
    )
    prometheus = Prometheus(tmp_path, port, hurried=True)
    try:
        wait_until(lambda: prometheus.values("up{job='wsd'}") == {(): 1}, "the daemon is scraped")
        clients = [hub.connect("/ws", receive_buffer=4096) for _ in range(10)]
        wait_until(lambda: "WsdNearlyFull" in prometheus.firing(), "it is said that the hub is nearly full")
        assert prometheus.firing() == {"WsdNearlyFull"}

        def more(expected):
            """Goes on with what is bad until it is said."""
            clients[0].send_binary(bytes(65536))
            clients[0].expect_message(BINARY, bytes(65536))
            with contextlib.suppress(websockets.InvalidStatus), websockets.sync.client.connect(hub.url()):
                pytest.fail("there was room")
            return expected <= prometheus.firing()

        wait_until(lambda: more({"WsdRefusing", "WsdDroppingMessages"}), "refusals and drops are said")
        with frozen(thread_named(hub.process.pid, "wsd-worker-1")):
            wait_until(lambda: "WsdWorkerStuck" in prometheus.firing(), "the worker that hangs is said")
        hub.stop(signal.SIGKILL)
        wait_until(lambda: "WsdDown" in prometheus.firing(), "it is said that the daemon is gone")
    finally:
        prometheus.stop()


def test_every_alert_fires_in_its_incident_and_none_without():
    for arguments in (["check", "rules", "wsd.rules.yml"], ["test", "rules", "wsd.rules.test.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (MONITORING / "wsd.rules.test.yml").read_text()
    for name in re.findall(r"alert: (\w+)", (MONITORING / "wsd.rules.yml").read_text()):
        assert f"alertname: {name}}}" in tested and f'alertname="{name}"' in tested


def metric_names(start_wsd, settings):
    """The names of the metrics of a daemon."""
    port = free_port()
    api = API(start_wsd(toml({"api": {"listen": [f"127.0.0.1:{port}"]}} | settings)), port)
    return set(re.findall(r"^# TYPE (\S+) ", api.raw("GET", "/metrics")[2], re.M))


def test_the_dashboard_and_the_alerts_name_metrics_that_there_are(start_wsd, tmp_path):
    # The broker's metrics are there even if nobody answers.
    names = metric_names(start_wsd, {"broker": {"type": "redis", "url": f"redis://127.0.0.1:{free_port()}"}})
    of_the_broker = names - metric_names(start_wsd, {})
    assert of_the_broker == {name for name in names if name == "wsd_nodes" or name.startswith("wsd_broker_")} != set()
    listed = set(re.findall(r"\bwsd_(?:nodes|broker_\w+)", (REPOSITORY / "man/wsd-broker.7").read_text()))
    assert {re.sub("_bucket$", "", name) for name in listed} == of_the_broker
    # So are those of a source.
    url = f"redis://127.0.0.1:{free_port()}"
    of_sources = metric_names(start_wsd, {"consume": [{"source": "redis-stream", "stream": "s", "url": url}]}) - names
    assert of_sources == set(re.findall(r"\bwsd_consume_\w+", (REPOSITORY / "man/wsd-broker.7").read_text())) != set()
    names |= of_sources
    # Those of the restart by which a daemon has begun.
    manager = ServiceManager(tmp_path)
    with contextlib.closing(manager):
        manager.start()
        manager.restart()
        answer = urllib.request.urlopen(f"http://127.0.0.1:{manager.api_port}/metrics").read().decode()
        names |= set(re.findall(r"^# TYPE (\S+) ", answer, re.M))
    # And those of certificates, where there are any.
    certificate = Certificate(tmp_path, "certificate")
    names |= metric_names(start_wsd, {"tls": {"certificates": [certificate.setting]}})
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += re.findall(r"expr: (.*)", (MONITORING / "wsd.rules.yml").read_text())
    used = {name for text in expressions for name in re.findall(r"\b(?:websocket|wsd|process)_\w+", text)}
    used = {re.sub("_bucket$", "", name) for name in used}
    assert used - names == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 10
