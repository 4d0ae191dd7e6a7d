"""The HTTP API and the metrics by https: curl, Python, OpenSSL and Prometheus, with the certificates of the hub."""

import http.client
import json
import socket
import ssl
import subprocess

import pytest
from cryptography import x509

from certificates import Certificate, client_context
from ports import free_port
from rawws import Wire
from test_api import KEYS
from test_monitoring import Prometheus
from waiting import DEADLINE, wait_until
from wsdaemon import run_wsd, toml

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
KEY = {"Authorization": f"Bearer {KEYS['admin']}", "Content-Type": "application/json"}


class SecureAPI:
    """A daemon whose API speaks TLS at `port`."""

    def __init__(self, start_wsd, directory, *, certificates=None, **tls):
        self.port = free_port()
        self.certificates = certificates or [Certificate(directory, "server")]
        key = directory / "admin.key"
        key.write_text(KEYS["admin"])
        tls = {"certificates": [each.setting for each in self.certificates], **tls}
        api = {"listen_tls": [f"127.0.0.1:{self.port}"], "admin_key_file": str(key)}
        self.hub = start_wsd(toml({"tls": tls, "api": api}))

    def wire(self, **options):
        """A connection inside TLS; closed with the daemon."""
        wire = Wire(self.port, tls=client_context(**options))
        self.hub._clients.append(wire)
        return wire

    def connection(self, **options):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=client_context(**options))

    def curl(self, *arguments, **options):
        command = ["curl", "--silent", "--show-error", "--cacert", self.certificates[0].certificate, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def start(start_wsd, tmp_path):
    return lambda **options: SecureAPI(start_wsd, tmp_path, **options)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_gets_metrics_and_publishes(start, version):
    api = start()
    limits = [f"--tlsv{version}", "--tls-max", version]
    metrics = api.curl(*limits, f"https://localhost:{api.port}/metrics")
    assert metrics.returncode == 0 and "websocket_active_connections 0" in metrics.stdout, metrics.stderr
    body = json.dumps({"channel": "lobby", "data": "x" * 900_000})
    headers = [part for name, value in KEY.items() for part in ("--header", f"{name}: {value}")]
    done = api.curl(*limits, *headers, "--data-binary", "@-", f"https://localhost:{api.port}/api/publish", input=body)
    assert done.returncode == 0 and done.stdout == '{"recipients":0}', done.stderr + done.stdout
    refused = api.curl(*limits, "--data-binary", "{}", f"https://localhost:{api.port}/api/publish")
    assert '"status":401' in refused.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_has_many_requests(start, version):
    api = start()
    connection = api.connection(version=version)
    for _ in range(20):
        for path in ("/healthz", "/api/openapi.json", "/metrics", "/no/such"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == (404 if path == "/no/such" else 200) and answer.read()
    connection.close()


def test_requests_that_come_in_one_record_or_a_byte_in_each(start):
    api = start()
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    wire = api.wire()
    wire.send(request * 30)
    for _ in range(30):
        assert wire.read_response().status == 200
    wire.send_by_byte(request)
    assert wire.read_response().status == 200
    # It ends with an alert that says so, which Python's `ssl` asks for.
    wire.send(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert wire.read_response().status == 200
    wire.expect_end()


def test_a_client_changes_its_keys(start):
    api = start()
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{api.port}", "-tls1_3"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = b""

        def read_until(text, count=1):
            nonlocal output
            while output.count(text) < count:
                part = process.stdout.read1(65536)
                assert part, output
                output += part

        for count in range(1, 5):
            process.stdin.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            process.stdin.flush()
            read_until(b"HTTP/1.1 200", count)
            # New keys of its own; with "K" it asks for ours, too.
            process.stdin.write(b"K\n" if count % 2 else b"k\n")
            process.stdin.flush()
            read_until(b"KEYUPDATE", count)
    finally:
        process.kill()
        process.wait()


def test_plain_http_is_told_to_use_https(start):
    api = start()
    done = api.curl("--write-out", "%{http_code}", f"http://localhost:{api.port}/metrics")
    assert done.stdout.endswith("400") and "use https" in done.stdout, done.stdout + done.stderr


def test_noise_and_clients_that_go_away_do_no_harm(start):
    api = start()
    hello = ssl.MemoryBIO()
    inside = client_context().wrap_bio(ssl.MemoryBIO(), hello)
    with pytest.raises(ssl.SSLWantReadError):
        inside.do_handshake()
    begin = hello.read()
    for bytes_ in (b"", b"\x16", begin[:50], begin, begin[:5] + b"\xff" * 200, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
        with Wire(api.port) as wire:
            wire.send(bytes_)
        with Wire(api.port) as wire:
            wire.send(bytes_)
            wire.half_close()
            wire.discard_to_end()
    # Within an open connection: a record that does not open.
    wire = api.wire()
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read_response().status == 200
    with socket.socket(fileno=wire.socket.detach()) as stranger:
        stranger.settimeout(DEADLINE)
        stranger.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        while stranger.recv(65536):
            pass
    assert api.curl(f"https://localhost:{api.port}/healthz").returncode == 0


def test_who_does_not_finish_the_handshake_has_ten_seconds(start):
    api = start()
    with Wire(api.port) as wire:
        wire.send(b"\x16\x03")
        wire.expect_end(reset_allowed=True)


def test_handshakes_that_nobody_goes_on_with_keep_nobody_out(start):
    """There are 128 at once; the oldest ends for one more."""
    api = start()
    connection = api.connection()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read()
    hello = ssl.MemoryBIO()
    inside = client_context().wrap_bio(ssl.MemoryBIO(), hello)
    with pytest.raises(ssl.SSLWantReadError):
        inside.do_handshake()
    begin = hello.read()
    wires = [Wire(api.port) for _ in range(200)]
    try:
        for wire in wires:
            wire.send(begin)
            # The answer to the hello: it is in progress.
            assert wire.socket.recv(1)
        for wire in wires[:-128]:
            wire.discard_to_end()
        # The others are in progress still, and there is room for one more.
        assert api.curl(f"https://localhost:{api.port}/healthz").returncode == 0
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
    finally:
        for wire in wires:
            wire.close()


def test_the_certificate_is_chosen_by_name_and_changed_by_a_reload(start, tmp_path):
    certificates = [Certificate(tmp_path, "one", ["localhost"]), Certificate(tmp_path, "two", ["two.example"])]
    api = start(certificates=certificates)

    def serial(name):
        with Wire(api.port, tls=client_context(), name=name) as wire:
            return x509.load_der_x509_certificate(wire.socket.getpeercert(True)).serial_number

    assert [serial(name) for name in (None, "two.example", "three.example")] == [
        certificates[index].serial for index in (0, 1, 0)
    ]
    open_connection = api.connection()
    open_connection.connect()
    certificates[1].write(["two.example", "three.example"])
    assert api.hub.wsctl("reload").returncode == 0
    assert serial("three.example") == certificates[1].serial
    open_connection.request("GET", "/healthz")
    assert open_connection.getresponse().status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_need_certificates_where_those_of_the_hub_do(start, tmp_path, version):
    authority = Certificate(tmp_path, "authority", ["clients of the tests"])
    alice = Certificate(tmp_path, "alice", ["alice"], authority=authority)
    api = start(client_certificates="required", client_ca=str(authority.certificate))
    connection = api.connection(version=version, own=alice)
    connection.request("GET", "/metrics")
    assert connection.getresponse().status == 200
    with pytest.raises(OSError):
        stranger = api.connection(version=version)
        stranger.request("GET", "/metrics")
        stranger.getresponse()


def test_prometheus_scrapes_by_https(start, tmp_path):
    api = start()
    prometheus = Prometheus(tmp_path, api.port, authority=api.certificates[0].certificate)
    try:
        wait_until(lambda: prometheus.values("up{job='wsd'}") == {(): 1}, "the daemon is scraped")
        assert prometheus.values("websocket_active_connections") == {(): 0}
    finally:
        prometheus.stop()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('[api]\nlisten_tls = ["127.0.0.1:8444"]\n', "api.listen_tls: there is no certificate to show"),
        (
            '[api]\nlisten_tls = ["127.0.0.1:8081"]\n',
            'api.listen_tls: "127.0.0.1:8081" is in api.listen, too; take another port',
        ),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, text, mistake):
    path = tmp_path / "wsd.toml"
    path.write_text(text)
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 78 and mistake in done.stderr, done.stderr
