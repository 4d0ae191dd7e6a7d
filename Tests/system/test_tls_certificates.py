"""Certificates of clients: who is let in, who is told why not, and whom operators see."""

import json
import os
import ssl

import pytest

from certificates import Certificate, client_context
from fdstore import ServiceManager
from ports import free_port
from rawws import ConnectionEnded, RawWebSocket
from securedaemon import SecureDaemon
from waiting import DEADLINE, wait_until
from wsdaemon import run_wsd

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def authority(tmp_path):
    return Certificate(tmp_path, "authority", ["clients of the tests"])


@pytest.fixture
def alice(tmp_path, authority):
    return Certificate(tmp_path, "alice", ["alice", "alice.example"], authority=authority)


@pytest.fixture
def start(wsd_directory, authority):
    """Starts a daemon that asks for certificates: start("required")."""
    started = []

    def start(wanted, config=None, **options):
        tls = {"client_certificates": wanted, "client_ca": str(authority.certificate)} if wanted != "none" else {}
        started.append(SecureDaemon(wsd_directory / str(len(started)), {"tls": tls} | (config or {}), **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


def connect(daemon, version=None, own=None):
    client = RawWebSocket(daemon.tls_port, tls=client_context(version, own=own))
    daemon._clients.append(client)
    return client


def expect_refusal(daemon, reason, version=None, own=None):
    """In TLS 1.3 a client only hears of it after its own handshake."""
    with pytest.raises((OSError, ConnectionEnded)):
        connect(daemon, version, own)
    wait_until(lambda: reason in daemon.wsctl("why", "127.0.0.1").stdout, f"{reason!r} is the reason")
    assert json.loads(daemon.wsctl("status", "--json").stdout)["refused"]["tls_failed"] >= 1


def shown(daemon):
    """Every connection, as operators see it."""
    return [json.loads(line) for line in daemon.wsctl("list", "--json").stdout.splitlines()]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_with_a_certificate_is_let_in_and_shown(start, alice, version):
    daemon = start("required")
    connect(daemon, version, alice).expect_echo()
    [connection] = shown(daemon)
    assert connection["certificateSubject"] == "CN=alice"
    assert connection["certificateNames"] == ["alice", "alice.example"]
    assert connection["tls"].startswith("TLS 1.2, " if version == ssl.TLSVersion.TLSv1_2 else "TLS 1.3, ")
    text = daemon.wsctl("show", connection["id"]).stdout
    assert "certificate: CN=alice (alice, alice.example)" in text and connection["tls"] in text


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_one_is_refused_where_it_is_required(start, alice, version):
    daemon = start("required")
    expect_refusal(daemon, "peer did not return a certificate", version)
    connect(daemon, version, alice).expect_echo()


@pytest.mark.parametrize("wanted", ["required", "optional"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_nobody_vouches_for_is_refused(start, tmp_path, authority, version, wanted):
    daemon = start(wanted)
    stranger = Certificate(tmp_path, "stranger", ["clients of the tests"])
    expect_refusal(daemon, "self-signed certificate", version, stranger)
    forged = Certificate(tmp_path, "forged", ["alice"], authority=stranger)
    expect_refusal(daemon, "unable to get local issuer certificate", version, forged)
    old = Certificate(tmp_path, "old", ["alice"], days=-1, since=-10, authority=authority)
    expect_refusal(daemon, "certificate has expired", version, old)
    assert shown(daemon) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_where_it_is_optional_both_are_let_in(start, alice, version):
    daemon = start("optional")
    connect(daemon, version).expect_echo()
    connect(daemon, version, alice).expect_echo()
    subjects = [each.get("certificateSubject") for each in shown(daemon)]
    assert sorted(subjects, key=str) == ["CN=alice", None]


def test_where_nobody_asks_none_is_shown(start, alice):
    daemon = start("none")
    connect(daemon, own=alice).expect_echo()
    daemon._clients.append(RawWebSocket(daemon.plain_port))
    secure, plain = sorted(shown(daemon), key=lambda each: "tls" not in each)
    assert "certificateSubject" not in secure and "tls" in secure and "tls" not in plain


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_before_does_not_get_around_it(start, authority, alice, version):
    daemon = start("none")
    context = client_context(version)
    before = RawWebSocket(daemon.tls_port, tls=context, name="localhost")
    daemon._clients.append(before)
    before.expect_echo()
    session = before.socket.session
    assert session.has_ticket
    text = daemon.config_path.read_text()
    keys = f'client_certificates = "required"\nclient_ca = "{authority.certificate}"\n'
    daemon.config_path.write_text(text.replace("[tls]\n", f"[tls]\n{keys}"))
    done = daemon.wsctl("reload")
    assert done.returncode == 0 and "tls.client_certificates" in done.stdout, done.stdout + done.stderr

    class Resuming:
        """A context whose clients come back with the session."""

        @staticmethod
        def wrap_socket(plain, server_hostname):
            return context.wrap_socket(plain, server_hostname=server_hostname, session=session)

    with pytest.raises((OSError, ConnectionEnded)):
        RawWebSocket(daemon.tls_port, tls=Resuming, name="localhost")
    wait_until(
        lambda: "peer did not return a certificate" in daemon.wsctl("why", "127.0.0.1").stdout, "it was asked for one"
    )
    before.expect_echo()
    # Nor is there one that could outlive its authority.
    after = connect(daemon, version, alice)
    after.expect_echo()
    assert after.socket.session is None or not after.socket.session.has_ticket


def test_where_a_certificate_is_required_a_port_without_tls_is_named_and_can_be_left_out(start, alice, authority):
    daemon = start("required")
    notice = "tls.client_certificates: clients without TLS need no certificate, and can reach "
    assert notice not in daemon.log()
    open_port = free_port()
    everybody = start("required", config={"server": {"listen": [f"[::]:{open_port}"]}})
    assert f"{notice}[::]:{open_port}" in everybody.log()
    RawWebSocket(open_port).expect_echo()
    done = everybody.wsctl("reload")
    assert done.returncode == 0 and notice in done.stdout + done.stderr, done.stdout + done.stderr
    done = run_wsd("--config", everybody.config_path, "--check-config")
    assert done.returncode == 0 and f"{notice}[::]:{open_port}" in done.stderr, done.stdout + done.stderr
    nobody = start("required", config={"server": {"listen": []}})
    assert notice not in nobody.log()
    connect(nobody, own=alice).expect_echo()
    listeners = json.loads(nobody.wsctl("status", "--json").stdout)["listeners"]
    assert listeners == [f"127.0.0.1:{nobody.tls_port}"]
    done = run_wsd("--config", nobody.config_path, "--check-config")
    assert done.returncode == 0 and notice not in done.stderr, done.stdout + done.stderr


def test_where_systemd_passes_no_socket_without_tls_there_is_none(wsd_directory, tmp_path, authority, alice):
    tls = {"tls": {"client_certificates": "required", "client_ca": str(authority.certificate)}, "server": {"listen": []}}
    service = ServiceManager(wsd_directory, certificate=Certificate(tmp_path, "server"))
    try:
        service.start(tls, without=("wsd",))
        client = RawWebSocket(service.tls_port, tls=client_context(own=alice))
        service.restart(tls, without=("wsd",))
        client.expect_alive()
        listeners = json.loads(service.wsctl("status", "--json").stdout)["listeners"]
        assert listeners == [f"127.0.0.1:{service.tls_port}"]
        client.close()
        service.process.terminate()
        service.process.wait(DEADLINE)
        service.start(tls, without=("wsd", "wsd-tls"), waits=False)
        assert service.process.wait(DEADLINE) == os.EX_CONFIG
        assert "so nobody could connect: wsd-tls.socket does not listen" in service.log()
    finally:
        service.close()


def test_a_certificate_without_a_listener_for_it_is_named(start_wsd, tmp_path):
    tls = {"certificates": [Certificate(tmp_path, "server").setting], "http_redirect": True}
    daemon = start_wsd({"tls": tls})
    done = daemon.wsctl("reload")
    for notice in ("tls.certificates: no client can begin with TLS", "tls.http_redirect: nobody is redirected"):
        assert notice in daemon.log()
        assert done.returncode == 0 and notice in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_reload_changes_the_authorities_for_new_connections(start, tmp_path, authority, alice):
    daemon = start("required")
    client = connect(daemon, own=alice)
    authority.write(["other clients of the tests"])
    bob = Certificate(tmp_path, "bob", ["bob"], authority=authority)
    done = daemon.wsctl("reload")
    assert done.returncode == 0 and "tls.client_ca" in done.stdout, done.stdout + done.stderr
    expect_refusal(daemon, "unable to get local issuer certificate", own=alice)
    client.expect_echo()
    connect(daemon, own=bob).expect_echo()
    authority.certificate.write_text("no certificate")
    done = daemon.wsctl("reload")
    assert done.returncode != 0 and "no certificate of an authority" in done.stderr, done.stdout + done.stderr
    connect(daemon, own=bob).expect_echo()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_authority_without_its_root_vouches_for_its_own_alone(start, tmp_path, authority, version):
    root = Certificate(tmp_path, "root", ["the root of all"])
    authority.authority, authority.signs = root, True
    authority.write(["clients of the tests"])
    other = Certificate(tmp_path, "other", ["clients of others"], authority=root, signs=True)
    daemon = start("required")
    alice = Certificate(tmp_path, "alice", ["alice"], authority=authority)
    connect(daemon, version, alice).expect_echo()
    for name, signer in (("mallory", root), ("eve", other)):
        stranger = Certificate(tmp_path, name, ["alice"], authority=signer)
        # With its whole chain.
        stranger.certificate.write_bytes(stranger.certificate.read_bytes() + signer.certificate.read_bytes())
        with pytest.raises((OSError, ConnectionEnded)):
            connect(daemon, version, stranger)
    assert [each["certificateSubject"] for each in shown(daemon)] == ["CN=alice"]


def test_each_certificate_that_is_no_authority_is_a_mistake(start, tmp_path, alice, authority):
    daemon = start("required")
    bob = Certificate(tmp_path, "bob", ["bob"], authority=authority)
    those = (each.certificate.read_bytes() for each in (authority, alice, bob))
    authority.certificate.write_bytes(b"".join([*those]))
    done = daemon.wsctl("reload")
    for name in ("alice", "bob"):
        assert done.returncode != 0 and f"CN={name} is no authority" in done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ('client_certificates = "required"', "tls.client_certificates: there is no authority"),
        ('client_ca = "/etc/wsd/clients.pem"', "tls.client_ca: clients are not asked"),
        ('client_certificates = "requird"', 'did you mean "required"'),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, keys, mistake):
    path = tmp_path / "wsd.toml"
    path.write_text(f"[tls]\n{keys}\n")
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode != 0 and mistake in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_chain_that_is_too_long_is_refused(start, tmp_path, authority, alice):
    daemon = start("required")
    link = alice.certificate.read_bytes()
    alice.certificate.write_bytes(link + 60 * authority.certificate.read_bytes())
    expect_refusal(daemon, "excessive message size", own=alice)


def test_a_restart_keeps_whom_a_connection_belongs_to(wsd_directory, tmp_path, authority, alice):
    tls = {"tls": {"client_certificates": "optional", "client_ca": str(authority.certificate)}}
    service = ServiceManager(wsd_directory, certificate=Certificate(tmp_path, "server"))
    try:
        service.start(tls)
        clients = [RawWebSocket(service.tls_port, tls=client_context(own=own)) for own in (alice, None)]
        before = service.wsctl("list", "--json").stdout
        service.restart(tls)
        for client in clients:
            client.expect_alive()
        subjects = [
            {key: value for key, value in json.loads(line).items() if key in ("id", "tls") or "certificate" in key}
            for listed in (before, service.wsctl("list", "--json").stdout)
            for line in listed.splitlines()
        ]
        assert subjects[:2] == subjects[2:] and subjects[0] != subjects[1], subjects
        for client in clients:
            client.close()
    finally:
        service.close()
