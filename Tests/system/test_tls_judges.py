"""TLS as scanners judge it and as other implementations speak it: sslyze, testssl.sh, OpenSSL, GnuTLS, curl, Go, Chromium."""

import json
import os
import subprocess
import sys

import pytest

from browser import Browser
from certificates import Certificate
from securedaemon import SecureDaemon
from wsdaemon import REPOSITORY, clean_environment

# The certificate of a server as browsers accept it: signed by an authority, for no longer than they like.
DAYS = 90
REQUEST = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

# It has requirements of its own, so it does not share the environment of the tests.
SSLYZE = "sslyze==6.3.1"

GO = """
package main

import ("crypto/tls"; "crypto/x509"; "fmt"; "io"; "net/http"; "os")

func main() {
    pem, err := os.ReadFile(os.Args[2])
    if err != nil { panic(err) }
    roots := x509.NewCertPool()
    if !roots.AppendCertsFromPEM(pem) { panic("no root") }
    client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
    answer, err := client.Get(os.Args[1])
    if err != nil { panic(err) }
    page, err := io.ReadAll(answer.Body)
    if err != nil { panic(err) }
    fmt.Println(answer.StatusCode, len(page), answer.TLS.Version == tls.VersionTLS13)
}
"""


@pytest.fixture
def authority(tmp_path):
    """An authority that the clients of a test trust."""
    return Certificate(tmp_path, "authority", ["wsd tests"])


@pytest.fixture
def judged(tmp_path, wsd_directory, authority):
    """A daemon with certificates of that authority, as an administrator would have it."""
    certificates = [
        Certificate(tmp_path, kind, kind=kind, days=DAYS, authority=authority).setting for kind in ("ec", "rsa")
    ]
    # A scanner opens connections by the hundred.
    config = {"tls": {"certificates": certificates}, "server": {"max_connections_per_ip": 0}}
    daemon = SecureDaemon(wsd_directory / "judged", config)
    yield daemon
    daemon.connect().expect_echo()
    daemon.finish()


def run(*arguments, input=b"", timeout=120, **options):
    return subprocess.run([*map(str, arguments)], input=input, capture_output=True, timeout=timeout, **options)


# Scanners.


@pytest.fixture(scope="session")
def sslyze():
    """The program, in an environment that is made once."""
    environment = REPOSITORY / ".build-sslyze"
    installed = environment / "installed.txt"
    if not installed.exists() or installed.read_text() != SSLYZE:
        made = run(sys.executable, "-m", "venv", "--clear", environment)
        assert made.returncode == 0, made.stderr
        made = run(
            environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", SSLYZE, timeout=280,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        installed.write_text(SSLYZE)
    return environment / "bin/sslyze"


def test_sslyze_finds_mozillas_intermediate_profile(judged, authority, sslyze):
    done = run(
        sslyze, "--mozilla_config", "intermediate", "--certinfo_ca_file", authority.certificate,
        f"localhost:{judged.tls_port}",
    )  # fmt: skip
    assert done.returncode == 0 and b"OK - Compliant" in done.stdout, (done.stdout + done.stderr).decode()


# What testssl.sh says and is no complaint about the server.
EXCEPTIONS = {
    # Debian's OpenSSL has no GOST engine, so its suites are tried without it.
    "engine_problem",
}


def test_testssl_finds_nothing_to_complain_about(judged, authority, tmp_path):
    report = tmp_path / "testssl.json"
    done = run(
        "testssl", "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--nodns", "none",
        "--add-ca", authority.certificate, "--protocols", "--std", "--fs", "--vulnerable", "--jsonfile", report,
        f"localhost:{judged.tls_port}", timeout=280,
    )  # fmt: skip
    findings = {each["id"]: each for each in json.loads(report.read_text())}
    assert {"TLS1_2", "TLS1_3", "ROBOT", "ticketbleed", "secure_client_renego", "CRIME_TLS"} <= findings.keys(), done
    # INFO and OK are no complaints; WARN says that a check could not be made.
    bad = {
        name: each["finding"]
        for name, each in findings.items()
        if each["severity"] not in ("OK", "INFO", "DEBUG") and name not in EXCEPTIONS
    }
    assert not bad, bad


# Clients.


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl(judged, authority, version):
    done = run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{judged.tls_port}", "-servername", "localhost", version,
        "-CAfile", authority.certificate, "-verify_return_error", "-quiet", input=REQUEST,
    )  # fmt: skip
    assert done.stdout.startswith(b"HTTP/1.1 404"), done.stderr


@pytest.mark.parametrize("version", ["TLS1.2", "TLS1.3"])
@pytest.mark.parametrize("cipher", ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"])
def test_gnutls(judged, authority, version, cipher):
    done = run(
        "gnutls-cli", "--x509cafile", authority.certificate, "--port", judged.tls_port, "--logfile", os.devnull,
        "--priority", f"NORMAL:-VERS-ALL:+VERS-{version}:-CIPHER-ALL:+{cipher}", "localhost", input=REQUEST,
    )  # fmt: skip
    assert b"HTTP/1.1 404" in done.stdout, done.stdout + done.stderr


def test_gnutls_resumes_a_session(judged, authority):
    done = run(
        "gnutls-cli", "--x509cafile", authority.certificate, "--port", judged.tls_port, "--resume",
        "--waitresumption", "localhost", input=REQUEST,
    )  # fmt: skip
    assert b"This is a resumed session" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("versions", [["--tls-max", "1.2"], ["--tlsv1.3"]])
def test_curl(judged, authority, versions):
    done = run(
        "curl", "--silent", "--show-error", "--ipv4", "--cacert", authority.certificate, *versions, "--output", os.devnull,
        "--write-out", "%{http_code} %{ssl_verify_result}", f"https://localhost:{judged.tls_port}/",
    )  # fmt: skip
    assert done.stdout == b"200 0", done.stderr


def test_go(judged, authority, tmp_path):
    program = tmp_path / "client.go"
    program.write_text(GO)
    done = run(
        "go", "run", program, f"https://localhost:{judged.tls_port}/", authority.certificate,
        env=clean_environment(HOME=str(tmp_path), GOCACHE=str(tmp_path / "cache"), GOTOOLCHAIN="local"), timeout=280,
    )  # fmt: skip
    status, count, is_newest = done.stdout.decode().split() or ("", "", "")
    assert (status, is_newest) == ("200", "true") and int(count) > 1_000, done.stderr


def test_chromium_shows_the_page_and_talks_over_wss(judged):
    browser = Browser("--ignore-certificate-errors")
    try:
        page = browser.open(f"https://localhost:{judged.tls_port}/")
        page.driver.set_script_timeout(30)
        echo = """
            const done = arguments[arguments.length - 1];
            const socket = new WebSocket(`wss://${location.host}/ws`);
            socket.onopen = () => socket.send("hello");
            socket.onmessage = event => done(event.data);
            socket.onerror = () => done("error");
        """
        assert page.driver.execute_async_script(echo) == "hello"
        assert "<html" in page.driver.page_source.lower()
    finally:
        browser.quit()
