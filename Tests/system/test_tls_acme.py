"""What the port without TLS does for the other: answers to challenges of certificate authorities, and the way to https."""

import os
import subprocess

import pytest

from rawws import Wire, request
from securedaemon import SecureDaemon
from wsdaemon import run_wsd

PLACE = "/.well-known/acme-challenge/"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"


@pytest.fixture
def start(wsd_directory):
    """Starts a daemon with a certificate: start(http_redirect=True)."""
    started = []

    def start(server=None, **tls):
        config = {"tls": tls, "server": server or {}}
        started.append(SecureDaemon(wsd_directory / str(len(started)), config))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


@pytest.fixture
def challenges(tmp_path):
    """A directory as certbot leaves it for a web server."""
    directory = tmp_path / PLACE.strip("/")
    directory.mkdir(parents=True)
    return directory


def get(port, path, *, host="localhost", method="GET", **options):
    with Wire(port, **options) as wire:
        wire.send(request([("Host", host)], path, method=method))
        response = wire.read_response(body=method != "HEAD")
        wire.expect_end()
        return response


def test_an_answer_that_was_left_is_served(start, challenges, tmp_path):
    daemon = start(acme_directory=str(tmp_path))
    assert get(daemon.plain_port, PLACE + TOKEN).status == 404
    answer = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
    (challenges / TOKEN).write_text(answer)
    response = get(daemon.plain_port, PLACE + TOKEN, host="chat.example.org")
    assert (response.status, response.body) == (200, answer.encode())
    assert response.header("Content-Type") == "application/octet-stream"
    response = get(daemon.plain_port, PLACE + TOKEN, method="HEAD")
    assert (response.status, response.header("Content-Length")) == (200, str(len(answer)))
    assert get(daemon.plain_port, PLACE + TOKEN, method="POST").status == 405
    (challenges / TOKEN).unlink()
    assert get(daemon.plain_port, PLACE + TOKEN).status == 404


def test_answers_are_served_also_where_pages_are_redirected(start, challenges, tmp_path):
    daemon = start(acme_directory=str(tmp_path), http_redirect=True)
    (challenges / TOKEN).write_text("answer")
    assert get(daemon.plain_port, PLACE + TOKEN).body == b"answer"


@pytest.mark.parametrize("size", [0, 4097, 1 << 20])
def test_a_file_that_is_no_answer_is_not_served(start, challenges, tmp_path, size):
    daemon = start(acme_directory=str(tmp_path))
    (challenges / TOKEN).write_bytes(b"x" * size)
    assert get(daemon.plain_port, PLACE + TOKEN).status == 404
    (challenges / TOKEN).write_bytes(b"x" * 4096)
    assert get(daemon.plain_port, PLACE + TOKEN).status == 200


def test_nothing_else_can_be_read(start, challenges, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (challenges / "a.txt").write_text("secret")
    (challenges / "directory").mkdir()
    (challenges / "directory" / "in").write_text("secret")
    (challenges / "link").symlink_to(secret)
    os.mkfifo(challenges / "fifo")
    (challenges / ("x" * 129)).write_text("secret")
    os.link(secret, challenges.parent / "above")
    daemon = start(acme_directory=str(tmp_path))
    names = [
        "", "a.txt", "directory", "directory/in", "link", "fifo", "x" * 129, "..", "../above", "%2e%2e/above", "../../secret",
        "..%2f..%2fsecret", ".", "a%00", "link?x", "/link",
    ]  # fmt: skip
    for name in names:
        response = get(daemon.plain_port, PLACE + name)
        assert response.status in (400, 404) and b"secret" not in response.body, name
    daemon.connect().expect_echo()


@pytest.mark.parametrize("name", [".well-known", "acme-challenge"])
def test_directories_that_are_links_are_not_followed(start, tmp_path, challenges, name):
    elsewhere = tmp_path / "elsewhere"
    (challenges / TOKEN).write_text("secret")
    place = challenges if name == "acme-challenge" else challenges.parent
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    daemon = start(acme_directory=str(tmp_path))
    assert get(daemon.plain_port, PLACE + TOKEN).status == 404


def test_without_a_directory_there_is_nothing(start, tmp_path):
    daemon = start()
    assert get(daemon.plain_port, PLACE + TOKEN).status == 404
    daemon.config_path.write_text(daemon.config_path.read_text().replace("[tls]\n", f'[tls]\nacme_directory = "{tmp_path}"\n'))
    assert "tls.acme_directory" in daemon.wsctl("reload").stdout
    place = tmp_path / PLACE.strip("/")
    place.mkdir(parents=True)
    (place / TOKEN).write_text("answer")
    assert get(daemon.plain_port, PLACE + TOKEN).body == b"answer"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("chat.example.org", "chat.example.org"),
        ("chat.example.org:8080", "chat.example.org"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_the_page_is_only_at_https(start, host, shown):
    daemon = start(http_redirect=True)
    for method in ("GET", "HEAD"):
        response = get(daemon.plain_port, "/?room=a%20b", host=host, method=method)
        assert response.status == 308
        assert response.header("Location") == f"https://{shown}:{daemon.tls_port}/?room=a%20b"
    daemon.connect().expect_echo()


@pytest.mark.parametrize("host", ["a@b", "a\\b", "a?b", "a#b", "[::1", "[]", ":80", "[a-b]", "[::1]x", 'a"b', "ä", "a%2fb", ""])
def test_nobody_is_sent_to_what_is_no_host(start, host):
    daemon = start(http_redirect=True)
    assert get(daemon.plain_port, "/", host=host).status == 400


def test_only_the_page_is_redirected_and_only_without_tls(start):
    daemon = start(http_redirect=True)
    assert get(daemon.plain_port, "/wsd.js").status == 200
    assert get(daemon.plain_port, "/nothing").status == 404
    with daemon.wire() as wire:
        wire.send(request([("Host", "localhost")], "/"))
        assert wire.read_response().status == 200
    arguments = ["--insecure", "--location", "--write-out", "%{num_redirects} %{http_code}", "--output", os.devnull]
    page = subprocess.run(
        ["curl", "--silent", "--ipv4", *arguments, f"http://localhost:{daemon.plain_port}/"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert page.stdout == "1 200"


def test_a_proxy_gets_the_page(start):
    daemon = start({"trusted_proxies": ["127.0.0.0/8"]}, http_redirect=True)
    assert get(daemon.plain_port, "/").status == 200


def test_a_reload_changes_it(start):
    daemon = start(http_redirect=True)
    assert get(daemon.plain_port, "/").status == 308
    daemon.config_path.write_text(daemon.config_path.read_text().replace("http_redirect = true", "http_redirect = false"))
    assert "tls.http_redirect" in daemon.wsctl("reload").stdout
    assert get(daemon.plain_port, "/").status == 200


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("http_redirect = true", "tls.http_redirect: there is no https without a certificate"),
        ('acme_directory = "www"', '"www" is not absolute'),
    ],
)
def test_mistakes_are_named(tmp_path, keys, mistake):
    path = tmp_path / "wsd.toml"
    path.write_text(f"[tls]\n{keys}\n")
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode != 0 and mistake in done.stdout + done.stderr, done.stdout + done.stderr
