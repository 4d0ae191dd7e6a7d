"""The pages that may connect from a browser: the Origin header, RFC 6455 section 10.2."""

import json

import pytest

from rawws import changed, check_refusal, exchange, handshake_headers, request


def attempt(daemon, origin, host=None):
    """Connects with this origin; 101 or the status of the refusal."""
    headers = changed(handshake_headers(host or f"127.0.0.1:{daemon.port}"), origin=origin)
    wire = daemon.wire()
    wire.send(request(headers))
    response = wire.read_response()
    if response.status != 101:
        check_refusal(response, response.status)
        wire.expect_end()
    return response.status


def test_without_an_origin_a_client_is_no_browser_and_allowed(daemon):
    assert attempt(daemon, None) == 101


def test_the_same_host_is_allowed(daemon):
    assert attempt(daemon, f"http://127.0.0.1:{daemon.port}") == 101


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://chat.example.org", "chat.example.org"),
        ("https://CHAT.example.ORG", "chat.EXAMPLE.org"),
        ("http://chat.example.org:8080", "chat.example.org:8080"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_the_same_host_is_the_one_the_client_asked_for(daemon, origin, host):
    assert attempt(daemon, origin, host) == 101


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "https://chat.example.org.evil.example",
        "https://evil-chat.example.org",
        "https://sub.chat.example.org",
        "https://example.org",
        "https://chat.example.org@evil.example",
        "https://evil.example/chat.example.org",
        "https://evil.example?chat.example.org",
        "null",
        "",
        "chat.example.org",
        "file://",
    ],
)
def test_any_other_origin_gets_403(daemon, origin):
    assert attempt(daemon, origin, "chat.example.org") == 403


def test_two_origins_are_refused(daemon):
    both = ["https://chat.example.org", "https://evil.example"]
    assert attempt(daemon, both, "chat.example.org") in (400, 403)
    assert attempt(daemon, both[::-1], "chat.example.org") in (400, 403)


@pytest.fixture
def picky(start_wsd):
    return start_wsd('[server]\nallowed_origins = ["https://*.example.org", "https://app.example.com:8443"]')


@pytest.mark.parametrize(
    "origin",
    ["https://a.example.org", "https://A.Example.ORG", "https://app.example.com:8443"],
)
def test_an_origin_that_a_pattern_names_is_allowed(picky, origin):
    assert attempt(picky, origin) == 101


@pytest.mark.parametrize(
    "origin",
    [
        "http://a.example.org",
        "https://example.org",
        "https://a.example.org.evil.example",
        "https://evilexample.org",
        "https://evil.example/.example.org",
        "https://evil.example#.example.org",
        "https://evil.example?.example.org",
        "https://user@evil.example:443/.example.org",
        "https://app.example.com",
        "https://app.example.com:8444",
        "http://app.example.com:8443",
        "null",
    ],
)
def test_an_origin_that_no_pattern_names_gets_403(picky, origin):
    assert attempt(picky, origin) == 403


def test_without_an_origin_patterns_do_not_matter(picky):
    assert attempt(picky, None) == 101


def test_a_star_allows_every_origin(start_wsd):
    daemon = start_wsd('[server]\nallowed_origins = ["*"]')
    for origin in ["https://elsewhere.example", "http://a.b.c:1", None]:
        assert attempt(daemon, origin) == 101


def test_the_refusal_says_what_to_change(daemon):
    headers = changed(handshake_headers("chat.example.org"), origin="https://elsewhere.example")
    response = check_refusal(exchange(daemon.port, request(headers)), 403)
    assert b"origin" in response.body.lower()


def test_a_host_that_is_not_allowed_gets_421_page_or_websocket(start_wsd):
    daemon = start_wsd('[server]\nallowed_hosts = ["example.org", "*.example.org", "::1"]')
    # The page of a stranger whose name leads here (DNS rebinding): for the browser it is of the same host.
    rebound = f"http://rebound.example:{daemon.port}"
    assert attempt(daemon, rebound, f"rebound.example:{daemon.port}") == 421
    for host in (f"127.0.0.1:{daemon.port}", "localhost", "example.org.evil", "xexample.org"):
        assert attempt(daemon, None, host) == 421
    for host in ("example.org", f"EXAMPLE.org:{daemon.port}", "a.b.example.org", "[::1]:80", "example.org."):
        assert attempt(daemon, None, host) == 101
    page = exchange(daemon.port, request([("Host", "localhost")], "/"))
    check_refusal(page, 421)
    assert b"server.allowed_hosts" in page.body
    assert exchange(daemon.port, request([("Host", "example.org")], "/")).status == 200
    assert json.loads(daemon.wsctl("status", "--json").stdout)["refused"]["host"] == 6
    assert '"cause":"host"' in daemon.wsctl("why", "--json").stdout


def test_hosts_that_are_allowed_follow_a_reload(start_wsd):
    daemon = start_wsd('[server]\nallowed_hosts = ["example.org"]')
    assert attempt(daemon, None) == 421
    assert daemon.wsctl("limits", 'server.allowed_hosts=["127.0.0.1"]').returncode == 0
    assert attempt(daemon, None) == 101
