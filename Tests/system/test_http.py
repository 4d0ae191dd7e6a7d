"""HTTP on the WebSocket port, as curl sees it."""

import subprocess
from dataclasses import dataclass

import pytest


@dataclass
class Answer:
    """The response that curl got: the status, the headers by lower-case name, the body."""

    status: int
    headers: dict
    body: str


def curl(url, *options):
    """One request by curl, which has to be answered."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "60", *options, url],
        capture_output=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr.decode()
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(status_line.split()[1]), headers, body.decode())


@pytest.fixture
def page(room):
    return room.daemon.http("/")


def test_the_chat_page_is_served_as_html(page):
    answer = curl(page)
    assert answer.status == 200
    assert answer.headers["content-type"].lower().replace(" ", "") == "text/html;charset=utf-8"
    assert answer.body.lstrip().lower().startswith("<!doctype html>")
    assert "<title>" in answer.body
    assert int(answer.headers["content-length"]) == len(answer.body.encode())


def test_the_chat_page_is_kept_in_its_bounds(page):
    headers = curl(page).headers
    assert headers["x-content-type-options"].lower() == "nosniff"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    scripts = next((part for part in policy.split(";") if part.strip().startswith("script-src")), "")
    assert "unsafe-inline" not in scripts


def test_the_chat_page_needs_nothing_from_elsewhere(page):
    body = curl(page).body.lower()
    for mark in ('src="http', "src='http", 'src="//', 'rel="stylesheet" href', "@import", "url(http"):
        assert mark not in body


def test_the_page_is_not_sent_again_to_one_who_has_it(page):
    etag = curl(page).headers["etag"]
    assert etag.strip("W/").startswith('"') and etag.endswith('"')
    assert curl(page).headers["etag"] == etag
    for value in (etag, f'"other", {etag}', "*"):
        answer = curl(page, "--header", f"If-None-Match: {value}")
        assert (answer.status, answer.body) == (304, "")
        assert answer.headers["etag"] == etag
    assert curl(page, "--header", 'If-None-Match: "other"').status == 200


def test_head_tells_the_same_without_the_page(page):
    whole, head = curl(page), curl(page, "--head")
    assert head.status == 200 and head.body == ""
    for name in ("content-type", "content-length", "etag", "content-security-policy", "x-content-type-options"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_gets_405_and_the_methods_allowed(page, method):
    answer = curl(page, "--request", method, "--data", "x=1")
    assert answer.status == 405
    assert {"GET", "HEAD"} <= {token.strip() for token in answer.headers["allow"].split(",")}


def test_an_unknown_path_gets_404(room):
    answer = curl(room.daemon.http("/nope"))
    assert answer.status == 404
    assert answer.body.strip()
    assert curl(room.daemon.http("/nope"), "--head").body == ""


@pytest.mark.parametrize(
    "path", ["/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/chat.html/"]
)
def test_no_path_leads_out(room, path):
    answer = curl(room.daemon.http(path), "--path-as-is")
    assert answer.status in (400, 404)
    assert "root:" not in answer.body


def test_a_query_does_not_matter(page):
    assert curl(page + "?from=here").status == 200


def test_a_plain_get_of_an_endpoint_says_what_to_do(room):
    answer = curl(room.daemon.http(room.path))
    assert answer.status == 426
    assert answer.headers["upgrade"].lower() == "websocket"
    assert "websocket" in answer.body.lower()


def test_curl_may_ask_twice(room):
    url = room.daemon.http("/")
    done = subprocess.run(
        ["curl", "--silent", "--noproxy", "*", "--max-time", "60", "--output", "/dev/null", "--output", "/dev/null"]
        + ["--write-out", "%{http_code}\n", url, url],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.stdout.split() == ["200", "200"]


def test_a_page_read_slowly_arrives_whole(room):
    whole = curl(room.daemon.http("/")).body
    slow = curl(room.daemon.http("/"), "--limit-rate", "50k")
    assert slow.body == whole


def test_an_http_10_client_gets_an_answer(page):
    assert curl(page, "--http1.0").status in (200, 400, 505)
