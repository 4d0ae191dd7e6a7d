"""TLS: https and wss by the daemon itself, with the clients of OpenSSL, Python, websockets and curl."""

import asyncio
import ipaddress
import json
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from websockets.asyncio.client import connect as connect_websocket

from certificates import Certificate, client_context
from ports import free_port
from rawws import BINARY, TEXT, ClosedByServer, ConnectionEnded, RawWebSocket, Wire, fragments, handshake_headers, request
from seeded import RANDOM
from test_tls_restart import Sealing
from waiting import wait_until
from wsdaemon import run_wsd, toml

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

SUITES_12 = [
    f"ECDHE-{kind}-{cipher}"
    for kind in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
]
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


class SecureDaemon:
    """A daemon with a port for TLS."""

    def __init__(self, start_wsd, directory, certificates, config=None, **options):
        self.certificates = certificates
        self.tls_port = free_port()
        self.config = config or {}
        self.daemon = start_wsd(self.settings(), **options)

    def settings(self, **tls):
        server = {"listen_tls": [f"127.0.0.1:{self.tls_port}"]} | self.config.get("server", {})
        tls = {"certificates": [each.setting for each in self.certificates]} | tls
        return self.config | {"server": server, "tls": tls}

    def connect(self, path="/ws", *, version=None, context=None, **options):
        client = RawWebSocket(self.tls_port, path, tls=context or client_context(version), **options)
        self.daemon._clients.append(client)
        return client

    def wire(self, **options):
        wire = Wire(self.tls_port, **options)
        self.daemon._clients.append(wire)
        return wire

    def status(self):
        return json.loads(self.daemon.wsctl("status", "--json").stdout)

    def wait_for_refusal(self, cause, count=1):
        return wait_until(lambda: self.status()["refused"].get(cause, 0) >= count, f"{count} refused for {cause}")


@pytest.fixture
def secure(start_wsd, tmp_path):
    """Starts a daemon with certificates: secure(certificates=None, config=None, **options)."""

    def start(certificates=None, config=None, **options):
        certificates = certificates or [Certificate(tmp_path, "ec"), Certificate(tmp_path, "rsa", kind="rsa")]
        return SecureDaemon(start_wsd, tmp_path, certificates, config, **options)

    return start


def openssl(*arguments, input=b"", timeout=60):
    return subprocess.run(["openssl", *map(str, arguments)], input=input, capture_output=True, timeout=timeout)


# What it is for.


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_go_both_ways_and_to_everybody(secure, version):
    secure = secure()
    clients = [secure.connect(version=version) for _ in range(5)]
    plain = secure.daemon.connect()
    clients[0].send_text("hello")
    for client in [*clients, plain]:
        client.expect_message(TEXT, "hello")
    plain.send_text("and back")
    for client in [*clients, plain]:
        client.expect_message(TEXT, "and back")


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000])
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_of_all_sizes(secure, version, size):
    secure = secure()
    client = secure.connect(version=version)
    other = secure.connect(version=version)
    payload = RANDOM.randbytes(size)
    client.send_binary(payload)
    client.expect_message(BINARY, payload)
    other.expect_message(BINARY, payload)


@pytest.mark.parametrize("suite", SUITES_12 + SUITES_13)
def test_every_suite(secure, suite):
    secure = secure()
    if suite.startswith("TLS_"):
        done = openssl(
            "s_client", "-connect", f"127.0.0.1:{secure.tls_port}", "-tls1_3", "-ciphersuites", suite, "-quiet",
            input=b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )  # fmt: skip
        assert done.stdout.startswith(b"HTTP/1.1 404"), done.stderr
        return
    client = secure.connect(context=client_context(ssl.TLSVersion.TLSv1_2, ciphers=suite))
    assert client.socket.cipher()[0] == suite
    client.expect_echo("x" * 50_000)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_that_takes_only_small_records_gets_them(secure, version):
    """RFC 6066, section 4: other records would end the connection."""
    secure = secure()
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.tls_port}", "-quiet", "-maxfraglen", "512", version],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output = b""

    def read_until(text):
        nonlocal output
        while text not in output:
            part = process.stdout.read1(65_536)
            assert part, process.stderr.read()
            output += part

    try:
        process.stdin.write(request(handshake_headers(f"127.0.0.1:{secure.tls_port}")))
        process.stdin.flush()
        read_until(b"HTTP/1.1 101")
        other = secure.connect()
        for size in (512, 513, 16_000, 16_385, 200_000):
            text = str(size).encode() + b"x" * size + b"the end"
            other.send_frame(TEXT, text)
            read_until(text)
    finally:
        process.kill()
        process.wait()


def test_fragments_and_pipelined_frames(secure):
    client = secure().connect()
    payload = RANDOM.randbytes(100_000)
    client.send(b"".join(fragments(BINARY, payload, 7_001)))
    client.expect_message(BINARY, payload)
    client.send(b"".join(b"".join(fragments(TEXT, f"{index}".encode(), 10)) for index in range(2_000)))
    for index in range(2_000):
        client.expect_message(TEXT, f"{index}")


def test_a_handshake_in_single_bytes(secure):
    secure = secure()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing)
    wire = secure.wire()

    def push():
        wire.send_by_byte(outgoing.read())

    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            push()
            incoming.write(wire.socket.recv(65_536))
    tls.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    push()
    answer = b""
    while b"\r\n\r\n" not in answer:
        try:
            answer += tls.read(65_536)
        except ssl.SSLWantReadError:
            incoming.write(wire.socket.recv(65_536))
    assert answer.startswith(b"HTTP/1.1 404")


def test_other_clients(secure):
    secure = secure()
    url = f"wss://localhost:{secure.tls_port}/ws"
    trust = client_context(trust=secure.certificates[0])

    async def echo():
        async with connect_websocket(url, ssl=trust, host="127.0.0.1", proxy=None) as client:
            await client.send("hello")
            return await client.recv()

    assert asyncio.run(echo()) == "hello"
    page = subprocess.run(
        ["curl", "--silent", "--show-error", "--cacert", secure.certificates[0].certificate, "--resolve",
         f"localhost:{secure.tls_port}:127.0.0.1", f"https://localhost:{secure.tls_port}/"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert page.returncode == 0 and "<html" in page.stdout.lower(), page.stderr


# Ends.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_close_frame_is_followed_by_a_close_of_tls(secure, version):
    client = secure().connect(version=version)
    client.send_close(1000, "bye")
    assert client.receive_close() == (1000, "")
    # A stream that ends without close_notify would be an error here, not an end.
    with pytest.raises(ConnectionEnded):
        client.read(1)


def test_a_drain_says_why_and_closes_tls(secure):
    secure = secure()
    clients = [secure.connect() for _ in range(20)]
    secure.daemon.signal()
    for client in clients:
        with pytest.raises(ClosedByServer) as closed:
            client.receive()
        assert closed.value.code == 1001
        client.send_close(1001)
        with pytest.raises(ConnectionEnded):
            client.read(1)
    assert secure.daemon.wait() == 0


def test_a_client_that_closes_tls_alone_is_gone(secure):
    secure = secure()
    client = secure.connect()
    secure.daemon.wait_for_connections(1)
    client.socket.settimeout(10)
    try:
        client.socket.unwrap()
    except (OSError, ssl.SSLError):
        pass
    secure.daemon.wait_for_connections(0)


@pytest.mark.parametrize("path", ["/ws", "/chat"])
def test_an_end_that_comes_with_the_request_is_noticed(secure, path):
    """Its connection waits for a channel that another worker may have."""
    channels = [{"path": f"/chat{number}", "protocol": "json", "channel": f"room{number}"} for number in range(8)]
    config = {"endpoint": [{"path": "/ws", "protocol": "relay", "channel": "lobby"}, *channels]}
    secure = secure(config=config, workers=4)
    for number in range(8):
        client = Sealing(secure.tls_port)
        target = path if path == "/ws" else f"/chat{number}"
        head = request(handshake_headers(f"127.0.0.1:{secure.tls_port}"), target)
        client.socket.sendall(client.sealed(head) + client.ended())
        # The client keeps its side of the socket open.
        while client.socket.recv(65_536):
            pass
        client.close()
    secure.daemon.wait_for_connections(0)


def test_a_damaged_record_ends_the_connection_with_an_alert(secure):
    secure = secure()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing)
    wire = secure.wire()
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            incoming.write(wire.socket.recv(65_536))
    tls.write(b"GET /")
    record = bytearray(outgoing.read())
    record[-1] ^= 1
    wire.send(record)
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        while True:
            try:
                tls.read(1)
            except ssl.SSLWantReadError:
                incoming.write(wire.socket.recv(65_536))
    secure.wait_for_refusal("tls_failed")
    assert "does not open" in secure.daemon.wsctl("why", "127.0.0.1").stdout


# Who does not get in.


def test_plain_http_at_the_port_for_tls_is_told_so(secure):
    secure = secure()
    wire = secure.wire()
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = wire.read_response()
    assert response.status == 400 and b"https" in response.body
    wire.expect_end()
    secure.wait_for_refusal("tls_mismatch")


def test_tls_at_the_plain_port_has_a_reason(secure):
    secure = secure()
    with pytest.raises(OSError):
        RawWebSocket(secure.daemon.port, tls=client_context())
    secure.wait_for_refusal("tls_mismatch")
    assert "does not speak TLS" in secure.daemon.wsctl("why", "127.0.0.1").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"],
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-alpn", "h2"],
        ["-tls1_3", "-groups", "P-521"],
    ],
)
def test_what_is_not_agreed_on_is_refused_with_an_alert(secure, arguments):
    secure = secure()
    done = openssl("s_client", "-connect", f"127.0.0.1:{secure.tls_port}", *arguments)
    assert done.returncode != 0 and b"alert" in done.stderr, done.stderr
    secure.wait_for_refusal("tls_failed")


def test_slow_handshakes_end_at_their_deadline(secure):
    secure = secure(config={"server": {"handshake_timeout": "1s"}})
    silent = secure.wire()
    begun = secure.wire()
    begun.send(b"\x16\x03\x01\x02\x00\x01")
    hello = ssl.MemoryBIO()
    tls = client_context().wrap_bio(ssl.MemoryBIO(), hello)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    half = secure.wire()
    half.send(hello.read())
    for wire in (silent, begun, half):
        wire.socket.settimeout(20)
        while wire.socket.recv(65_536):
            pass
    secure.wait_for_refusal("timeout", 3)
    secure.connect().expect_echo()


def test_half_open_handshakes_are_bounded(secure):
    # The time of none is over before there are too many.
    secure = secure(config={"server": {"max_connections_per_ip": 0, "handshake_timeout": "60s"}}, workers=1)
    secure.connect().expect_echo()
    before = secure.daemon.resident_bytes
    wires = []
    for _ in range(1_500):
        hello = ssl.MemoryBIO()
        tls = client_context().wrap_bio(ssl.MemoryBIO(), hello)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        wire = secure.wire()
        wire.send(hello.read())
        wires.append(wire)
    secure.wait_for_refusal("tls_failed", 1_500 - 512)
    assert secure.daemon.resident_bytes - before < 100 << 20
    secure.connect().expect_echo()


def test_noise_harms_nobody(secure):
    secure = secure()
    other = secure.connect()
    for _ in range(200):
        wire = secure.wire()
        wire.send(b"\x16\x03\x01" + RANDOM.randbytes(RANDOM.randrange(1, 3_000)))
        if RANDOM.random() < 0.5:
            wire.half_close()
        wire.close()
    other.expect_echo()


# Certificates.


def shown_to(port, name, **options):
    """The certificate that a client is shown which names this host, in DER."""
    with Wire(port, tls=client_context(**options), name=name) as wire:
        return wire.socket.getpeercert(binary_form=True)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())


def test_the_certificate_is_that_of_the_host(secure, tmp_path):
    one = Certificate(tmp_path, "one", ["one.example"])
    two = Certificate(tmp_path, "two", ["two.example", "*.two.example"])
    secure = secure([one, two])
    assert shown_to(secure.tls_port, "one.example") == der(one)
    assert shown_to(secure.tls_port, "TWO.example") == der(two)
    assert shown_to(secure.tls_port, "a.two.example") == der(two)
    for unknown in (None, "three.example", "b.a.two.example"):
        assert shown_to(secure.tls_port, unknown) == der(one)


def test_a_reload_changes_certificates_for_new_connections_only(secure, tmp_path):
    certificate = Certificate(tmp_path, "one")
    secure = secure([certificate])
    client = secure.connect()
    before = der(certificate)
    assert shown_to(secure.tls_port, "localhost") == before
    certificate.write(["localhost", "new.example"], kind="rsa", days=10, since=-80)
    done = secure.daemon.wsctl("reload")
    assert done.returncode == 0 and "tls.certificates" in done.stdout, done.stdout + done.stderr
    assert shown_to(secure.tls_port, "localhost") == der(certificate) != before
    client.expect_echo()
    shown = secure.daemon.wsctl("status").stdout
    assert "new.example" in shown and "expires on" in shown
    assert [each["keyKind"] for each in secure.status()["certificates"]] == ["RSA"]


def test_a_reload_with_mistakes_changes_nothing_and_names_them_all(secure, tmp_path):
    good = Certificate(tmp_path, "good")
    secure = secure([good])
    before = der(good)
    old = Certificate(tmp_path, "old", ["old.example"], days=-1, since=-10)
    mixed = Certificate(tmp_path, "mixed", ["mixed.example"])
    missing = Certificate(tmp_path, "missing", ["missing.example"])
    missing.certificate.unlink()
    settings = secure.settings()
    settings["tls"]["certificates"] += [
        old.setting, mixed.setting | {"key": str(good.key)}, missing.setting,
    ]  # fmt: skip
    text = secure.daemon.config_path.read_text()
    tables = "".join(
        f'[[tls.certificates]]\ncertificate = "{each["certificate"]}"\nkey = "{each["key"]}"\n'
        for each in settings["tls"]["certificates"][1:]
    )
    secure.daemon.config_path.write_text(text + tables)
    done = secure.daemon.wsctl("reload")
    assert done.returncode != 0
    for part in ("expired on", "not the key of the certificate", "No such file", "old.pem", "good.key", "missing.pem"):
        assert part in done.stderr, done.stderr
    assert shown_to(secure.tls_port, "mixed.example") == before
    secure.daemon.config_path.write_text(text.replace("certificates", "#"))


def test_a_start_takes_an_expired_certificate_and_says_so(secure, tmp_path):
    old = Certificate(tmp_path, "old", days=-1, since=-10)
    secure = secure([old])
    assert shown_to(secure.tls_port, "localhost") == der(old)
    assert ", and clients refuse it" in secure.daemon.wsctl("status").stdout
    # An upgrade would start it again.
    done = run_wsd("--config", secure.daemon.config_path, "--check-config")
    assert done.returncode == 0 and "expired on" in done.stderr, done.stderr
    done = secure.daemon.wsctl("reload")
    assert done.returncode != 0 and "expired on" in done.stderr
    old.write()
    assert secure.daemon.wsctl("reload").returncode == 0
    assert "clients refuse it" not in secure.daemon.wsctl("status").stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed_at_any_worker_and_after_a_reload(secure, version):
    secure = secure(workers=4)
    context = client_context(version)
    first = Wire(secure.tls_port, tls=context, name="localhost")
    first.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    first.read_response()
    session = first.socket.session
    first.close()

    def resumes():
        with socket.create_connection(("127.0.0.1", secure.tls_port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped:
                wrapped.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert wrapped.recv(65_536).startswith(b"HTTP/1.1 404")
                return wrapped.session_reused

    assert all(resumes() for _ in range(8))
    assert secure.daemon.wsctl("reload").returncode == 0
    assert all(resumes() for _ in range(8))


@pytest.mark.parametrize(
    "tls, reason",
    [
        ("", "tls.certificates"),
        ('[[tls.certificates]]\ncertificate = "/nonexistent.pem"\nkey = "/nonexistent.key"\n', "No such file"),
        ('[[tls.certificates]]\ncertificate = "/nonexistent.pem"\n', "has no key"),
        ('[tls]\ncertificates = [{certificate = "relative.pem", key = "/k"}]\n', "is not absolute"),
    ],
)
def test_what_cannot_start_says_why(tmp_path, tls, reason):
    path = tmp_path / "wsd.toml"
    path.write_text(f'[server]\nlisten_tls = ["127.0.0.1:{free_port()}"]\n{tls}')
    done = run_wsd("--config", path)
    assert done.returncode == 78 and reason in done.stderr, done.stderr
    assert run_wsd("--config", path, "--check-config").returncode == 78


# Slow and large.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_slow_client_gets_everything_in_order(secure, version):
    secure = secure(config={"queue": {"limit": "64MiB", "write_timeout": "10m"}})
    slow = secure.connect(version=version, receive_buffer=4_096)
    sender = secure.connect(version=version)
    messages = [RANDOM.randbytes(RANDOM.choice([10, 1_000, 70_000])) for _ in range(400)]
    for message in messages:
        sender.send_binary(message)
        sender.expect_message(BINARY, message)
    for message in messages:
        slow.expect_message(BINARY, message)
    slow.expect_echo()


@pytest.mark.parametrize("version", VERSIONS)
def test_many_get_everything_in_order_whether_they_read_or_not(secure, version):
    """The output of one turn for so many is sent by io_uring, until a socket is full in the middle of a record."""
    secure = secure(config={"queue": {"limit": "64MiB", "write_timeout": "10m"}}, workers=1)
    slow = [secure.connect(version=version, receive_buffer=4_096) for _ in range(6)]
    fast = [secure.connect(version=version) for _ in range(6)]
    messages = [RANDOM.randbytes(RANDOM.choice([10, 1_000, 15_000])) for _ in range(1_200)]
    for message in messages:
        fast[0].send_binary(message)
        for client in fast:
            client.expect_message(BINARY, message)
    assert any(row["queuedBytes"] > 0 for row in secure.daemon.connections())
    for client in slow:
        for message in messages:
            client.expect_message(BINARY, message)


def test_a_slow_consumer_is_closed_with_the_reason(secure):
    secure = secure(config={"queue": {"limit": "64KiB"}})
    slow = secure.connect(receive_buffer=4_096)
    sender = secure.connect()
    for _ in range(600):
        sender.send_binary(b"x" * 20_000)
        sender.expect_message(BINARY, b"x" * 20_000)
    with pytest.raises(ClosedByServer) as closed:
        while True:
            slow.receive()
    assert closed.value.code == 1008


def test_an_idle_connection_costs_no_more_than_a_kilobyte_and_a_half_while_handshakes_leave_gaps(secure):
    secure = secure(config={"server": {"max_connections_per_ip": 0}}, workers=1)
    context = client_context(ssl.TLSVersion.TLSv1_3)
    for _ in range(500):
        secure.connect(context=context)
    before = secure.daemon.resident_bytes
    for _ in range(1_500):
        secure.connect(context=context)
    time.sleep(2)
    assert (secure.daemon.resident_bytes - before) / 1_500 < 1_500


def test_new_keys_in_both_directions(secure):
    """s_client sends a KeyUpdate for a line "k", and asks for one with "K"."""
    secure = secure()
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.tls_port}", "-tls1_3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for line in (b"k\n", b"K\n", b"K\n", b"k\n"):
            process.stdin.write(line)
            process.stdin.flush()
            time.sleep(0.2)
        process.stdin.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        process.stdin.flush()
        output = b""
        while b"nothing is served" not in output:
            part = process.stdout.read1(65_536)
            assert part, output
            output += part
    finally:
        process.kill()
        process.wait()


def test_certificates_for_addresses_are_told_apart(secure, tmp_path):
    port = free_port()
    first = Certificate(tmp_path, "first", [], kind="rsa", others=[address("192.0.2.1")], common_name="")
    # For another address, for the same one, and for nobody.
    another = Certificate(tmp_path, "another", [], others=[address("2001:db8::1")], common_name="")
    same = Certificate(tmp_path, "same", [], others=[address("192.0.2.1")], common_name="", days=6, since=0)
    twin = Certificate(tmp_path, "twin", [], others=[address("192.0.2.1")], common_name="")
    nobody = Certificate(tmp_path, "nobody", [], others=[x509.RFC822Name("a@b")], common_name="")
    secure = secure([first, another, nobody], config={"api": {"listen": [f"127.0.0.1:{port}"]}})
    assert shown_to(secure.tls_port, None) == der(first)
    text = secure.daemon.config_path.read_text()
    for each in (same, twin):
        text = text.replace("[[tls.certificates]]", f"[[tls.certificates]]\n{toml(each.setting)}\n[[tls.certificates]]", 1)
    secure.daemon.config_path.write_text(text)
    done = secure.daemon.wsctl("reload")
    # One of six days needs no renewal before its last two.
    assert done.returncode == 0 and "renew it" not in done.stdout + done.stderr, done.stdout + done.stderr
    names = [each["names"] for each in secure.status()["certificates"]]
    assert sorted(names) == sorted([["192.0.2.1"]] * 3 + [["2001:db8::1"], []])
    text = subprocess.run(
        ["curl", "--silent", f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, timeout=30
    ).stdout
    for name in ("wsd_certificate_expiry_seconds", "wsd_certificate_not_before_seconds"):
        series = [line.rpartition(" ")[0] for line in text.splitlines() if line.startswith(name + "{")]
        assert len(set(series)) == 5, series


def address(text):
    return x509.IPAddress(ipaddress.ip_address(text))


def test_a_page_and_metrics_say_when_the_certificate_expires(secure, tmp_path):
    port = free_port()
    secure = secure(config={"api": {"listen": [f"127.0.0.1:{port}"]}})
    text = subprocess.run(
        ["curl", "--silent", f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, timeout=30
    ).stdout
    lines = [line for line in text.splitlines() if line.startswith("wsd_certificate_expiry_seconds{")]
    assert len(lines) == 2 and all(float(line.split()[-1]) > time.time() for line in lines)
