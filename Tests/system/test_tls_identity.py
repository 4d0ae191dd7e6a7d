"""Certificates of clients as users: what rules say of them, what a token beside one is worth, and a restart."""

import json
import time

import jwt
import pytest
from cryptography import x509

from certificates import Certificate, client_context
from fdstore import ServiceManager
from rawws import RawWebSocket, Wire, handshake_headers, request
from securedaemon import SecureDaemon
from test_jwt import SECRET
from waiting import wait_until
from wsdaemon import merged, run_wsd

ROOM = {"members": {"subscribe": "users", "publish": "users"}}
ENDPOINTS = [
    {"path": "/ws", "protocol": "relay", "channel": "lobby"},
    {"path": "/members", "protocol": "relay", "channel": "members"},
    {"path": "/chat", "protocol": "json", "channel": "lobby"},
]
MAIL = x509.RFC822Name("alice@example.org")
URI = x509.UniformResourceIdentifier("spiffe://example.org/alice")


@pytest.fixture
def authority(tmp_path):
    return Certificate(tmp_path, "authority", ["clients of the tests"])


@pytest.fixture
def alice(tmp_path, authority):
    return Certificate(
        tmp_path, "alice", ["alice.example", "a.example"], common_name="Älice", others=[MAIL, URI], authority=authority
    )


@pytest.fixture
def settings(tmp_path, authority):
    """The configuration by which a name of certificates is the user; with `jwt` others need a token."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)

    def settings(identity, wanted="optional", *, tokens=False):
        tls = {"client_certificates": wanted, "client_ca": str(authority.certificate), "client_identity": identity}
        auth = {"mode": "jwt", "hmac_secret_file": str(secret)} if tokens else {"mode": "none"}
        return {"tls": tls, "auth": auth, "endpoint": ENDPOINTS, "channels": ROOM}

    return settings


@pytest.fixture
def start(wsd_directory, settings):
    started = []

    def start(identity, wanted="optional", **options):
        started.append(SecureDaemon(wsd_directory / str(len(started)), settings(identity, wanted, **options)))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


def target(path, claims):
    """The path with a token that claims this; without claims there is no token."""
    if not claims:
        return path
    return path + "?token=" + jwt.encode({"exp": int(time.time()) + 3600, **claims}, SECRET, algorithm="HS256")


def connect(daemon, own=None, path="/ws", **claims):
    """An open connection with a certificate, a token that claims this, or both."""
    client = RawWebSocket(daemon.tls_port, target(path, claims), tls=client_context(own=own))
    if isinstance(daemon, SecureDaemon):
        daemon._clients.append(client)
    return client


def refusal(daemon, own=None, path="/ws", **claims):
    """The response to a client that is let in no further."""
    with Wire(daemon.tls_port, tls=client_context(own=own)) as wire:
        wire.send(request(handshake_headers(wire.host_header), target(path, claims)))
        return wire.read_response()


def users(daemon):
    rows = [json.loads(line) for line in daemon.wsctl("list", "--json").stdout.splitlines()]
    return sorted(row.get("user") or "" for row in rows)


@pytest.mark.parametrize(
    ("identity", "user"),
    [("cn", "Älice"), ("dns", "alice.example"), ("email", "alice@example.org"), ("uri", "spiffe://example.org/alice")],
)
def test_a_name_in_the_certificate_is_the_user(start, alice, identity, user):
    daemon = start(identity)
    connect(daemon, alice, "/members")
    assert users(daemon) == [user]
    assert refusal(daemon, None, "/members").status == 403
    connect(daemon, None, "/ws")


def test_without_the_setting_a_certificate_is_no_user(start, alice):
    daemon = start("none")
    assert refusal(daemon, alice, "/members").status == 403
    connect(daemon, alice)
    assert users(daemon) == [""]


def test_a_certificate_without_such_a_name_is_refused_and_operators_see_why(start, tmp_path, authority):
    daemon = start("email", "required")
    for number, others in enumerate([[], [x509.RFC822Name("guest-" + "x" * 10)], [x509.RFC822Name("x" * 129)]]):
        nameless = Certificate(tmp_path, str(number), ["alice"], others=others, authority=authority)
        assert refusal(daemon, nameless).status == 403
    assert "no user is named by this certificate" in daemon.wsctl("why", "127.0.0.1").stdout


@pytest.mark.parametrize("name", ["a\tb", "a\0b", ""])
def test_a_common_name_that_can_be_no_user_is_none(start, tmp_path, authority, name):
    daemon = start("cn", "required")
    strange = Certificate(tmp_path, "strange", ["alice"], common_name=name, authority=authority)
    assert refusal(daemon, strange).status == 403


def test_where_tokens_are_needed_a_certificate_is_as_good(start, alice):
    daemon = start("email", tokens=True)
    connect(daemon, alice, "/members")
    assert refusal(daemon, None, "/members").status == 401
    connect(daemon, None, "/members", sub="bob")
    assert users(daemon) == ["alice@example.org", "bob"]


def test_a_token_beside_a_certificate_must_be_the_same_users(start, alice):
    daemon = start("email", tokens=True)
    connect(daemon, alice, "/members", sub="alice@example.org")
    other = refusal(daemon, alice, "/members", sub="bob")
    assert other.status == 401 and b"another user's than the certificate" in other.body
    assert refusal(daemon, alice, "/members", sub="alice@example.org", exp=1).status == 401
    assert users(daemon) == ["alice@example.org"]
    assert "another user's than the certificate" in daemon.wsctl("why", "127.0.0.1").stdout


@pytest.mark.parametrize("path", ["/ws", "/chat"])
def test_a_user_ends_with_the_certificate(wsd_directory, settings, tmp_path, authority, path):
    daemon = SecureDaemon(wsd_directory / "short", merged(settings("cn"), {"auth": {"leeway": "0s"}}))
    try:
        connect(daemon, path=path)
        short = Certificate(tmp_path, "short", ["alice"], days=5 / 86_400, authority=authority)
        client = connect(daemon, short, path)
        if path == "/chat":
            client.receive_text()
        client.expect_failure(3000)
        assert '"certificate expired"' in daemon.wsctl("why", "127.0.0.1", "--json").stdout
        wait_until(lambda: len(users(daemon)) == 1, "who has no certificate stays")
    finally:
        daemon.finish()


def test_a_reload_that_asks_for_tokens_leaves_those_with_certificates(start, settings, alice):
    daemon = start("cn")
    certified, guest = connect(daemon, alice), connect(daemon)
    secret = settings("cn", tokens=True)["auth"]["hmac_secret_file"]
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace('mode = "none"', f'mode = "jwt"\nhmac_secret_file = "{secret}"'))
    done = daemon.wsctl("reload")
    assert done.returncode == 0, done.stderr
    guest.expect_failure(3000)
    certified.expect_alive()
    wait_until(lambda: users(daemon) == ["Älice"], "the other is gone")


def test_a_restart_keeps_the_user(wsd_directory, tmp_path, settings, alice):
    wanted = settings("uri")
    service = ServiceManager(wsd_directory, certificate=Certificate(tmp_path, "server"))
    clients = []
    try:
        service.start(wanted)
        # One is open, the other has sent no request yet.
        clients.append(connect(service, alice, "/members"))
        waiting = Wire(service.tls_port, tls=client_context(own=alice))
        clients.append(waiting)
        # The daemon has taken its certificate: a part of its request is there.
        first, rest = (head := request(handshake_headers(waiting.host_header), "/members"))[:20], head[20:]
        waiting.send(first)
        service.restart(wanted)
        clients[0].expect_alive()
        waiting.send(rest)
        assert waiting.read_response().status == 101
        assert users(service) == ["spiffe://example.org/alice"] * 2
    finally:
        for client in clients:
            client.close()
        service.close()


def test_an_authority_that_only_the_service_can_read_is_not_checked(tmp_path):
    path = tmp_path / "wsd.toml"
    own = Certificate(tmp_path, "own")
    path.write_text(
        f'[tls]\nclient_certificates = "required"\nclient_ca = "credential:clients"\n'
        f'[[tls.certificates]]\ncertificate = "{own.certificate}"\nkey = "{own.key}"\n')
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 0 and "1 credential not checked" in done.stdout, done.stdout + done.stderr


def test_a_user_by_certificates_that_nobody_asks_for_is_a_mistake(tmp_path):
    path = tmp_path / "wsd.toml"
    path.write_text('[tls]\nclient_identity = "cn"\n')
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 78 and "tls.client_identity: clients are not asked" in done.stderr
