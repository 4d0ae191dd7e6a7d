"""The HTTP API among clients that do harm, and among those that are only unusual."""

import base64
import contextlib
import http.client
import json
import re
import resource
import select
import socket
import ssl
import struct
import time

import pytest

from container.frozen_thread import frozen, thread_named
from rawws import narrow
from siege import forget_peak, peak_resident_bytes, processor_ticks
from test_api import KEYS, api, start_api  # noqa: F401 (fixtures)
from waiting import DEADLINE, wait_until

KEY = f"X-API-Key: {KEYS['admin']}\r\n"
BODY = '{"channel":"c","data":1}'


def connect(api, receive_buffer=None, **options):  # noqa: F811
    wire = socket.socket()
    if receive_buffer is not None:
        narrow(wire, receive_buffer)
    for option, value in options.items():
        wire.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    wire.settimeout(DEADLINE)
    wire.connect(("127.0.0.1", api.port))
    return wire


def all_of(wire):
    """Everything that the server sends until the end."""
    parts = []
    while part := wire.recv(65536):
        parts.append(part)
    return b"".join(parts).decode()


def statuses(text):
    return [int(status) for status in re.findall(r"HTTP/1\.[01] (\d+) ", text)]


def told(api, text):  # noqa: F811
    """The answer of a server that ends the connection: status, fields, and body."""
    with connect(api) as wire:
        wire.sendall(text.encode() if isinstance(text, str) else text)
        response = http.client.HTTPResponse(wire)
        response.begin()
        body = response.read()
        assert wire.recv(1) == b""
        return response.status, response.headers, body


def head(line, *fields, host=True):
    return "\r\n".join([line, *(["Host: a"] if host else []), *(field for field in fields if field), "", ""])


def publish(*fields, body=BODY):
    return head("POST /api/publish HTTP/1.1", KEY.strip(), f"Content-Length: {len(body)}", *fields) + body


def test_who_reads_no_answers_costs_no_memory(api):  # noqa: F811
    """And gets them all when it reads: the next request is taken when the answer to the last one has left."""
    request = head("GET /api/openapi.json HTTP/1.1").encode()
    forget_peak(api.hub)
    before = peak_resident_bytes(api.hub)
    wires = [connect(api, receive_buffer=4096, SO_SNDBUF=1 << 20) for _ in range(20)]
    sent = dict.fromkeys(wires, 0)
    try:
        for _ in range(20):
            for wire in wires:
                wire.setblocking(False)
                while select.select([], [wire], [], 0)[1]:
                    rest = sent[wire] % len(request)
                    sent[wire] += wire.send(request[rest:] + request * 1000)
            # The API has one thread: when it answers, it has had its turn at the others.
            assert api.raw("GET", "/healthz")[0] == 200
        assert peak_resident_bytes(api.hub) - before < 64 << 20
        assert min(sent.values()) > 100 * len(request)
        wire = wires[0]
        wire.settimeout(DEADLINE)
        length = len(api.raw("GET", "/api/openapi.json")[2].encode())
        count, read = 0, b""
        for _ in range(100):
            while len(read) < length + 200:
                read += wire.recv(1 << 20)
            start = read.index(b"\r\n\r\n") + 4
            assert read.startswith(b"HTTP/1.1 200 OK") and f"Content-Length: {length}".encode() in read[:start]
            read, count = read[start + length :], count + 1
        assert peak_resident_bytes(api.hub) - before < 64 << 20
    finally:
        for wire in wires:
            wire.close()
    wait_until(lambda: api.raw("GET", "/healthz")[0] == 200, "it serves on")


def test_unfinished_bodies_are_bounded_in_all(api):  # noqa: F811
    body = BODY.replace("1}", '"%s"}' % ("x" * 7_000_000))
    forget_peak(api.hub)
    before = peak_resident_bytes(api.hub)
    wires = [connect(api) for _ in range(20)]
    text = publish(body=body)[:-1000].encode()
    for wire in wires:
        with contextlib.suppress(ConnectionError):
            wire.sendall(text)
    answered = set()

    def are_refused():
        answered.update(select.select(wires, [], [], 0)[0])
        return len(answered) >= 15

    # Four fit; some of the others may have been told before they had sent all.
    wait_until(are_refused, f"{len(wires) - 5} of {len(wires)} are refused")
    for wire in answered:
        response = http.client.HTTPResponse(wire)
        with contextlib.suppress(ConnectionError):
            response.begin()
            assert response.status == 503 and response.headers["Retry-After"] and b"as many as it may" in response.read()
    grown = peak_resident_bytes(api.hub) - before
    assert len(answered) <= 17 and grown < 128 << 20, f"{len(answered)} answered, {grown >> 20} MiB"
    for wire in wires:
        wire.close()
    # The message is too large for the hub; the body was not for the API.
    with connect(api) as wire:
        wire.sendall(publish(body=body).encode())
        assert statuses(wire.recv(4096).decode())[0] not in (200, 503)


def test_bodies_are_counted_until_their_requests_are_done(start_api):  # noqa: F811
    """Who goes away meanwhile gets nothing back for it."""
    api = start_api(workers=1)  # noqa: F811
    text = publish(body='{"channel":"c",%s"data":1}' % (" " * 7_900_000)).encode()
    wires = [connect(api) for _ in range(5)]
    with frozen(thread_named(api.hub.pid, "wsd-worker-0")):
        for wire in wires[:4]:
            wire.sendall(text)
        # The API has one thread: with one more answer it has had its turn at what came before.
        taken = connections_of(api)
        wait_until(lambda: unread_of(api) == 0, "the requests have been read")
        for wire in wires[:4]:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        wait_until(lambda: connections_of(api) == taken - 4, "they are gone")
        for _ in range(8):
            assert api.raw("GET", "/api/openapi.json")[0] == 200
        with contextlib.suppress(ConnectionError):
            wires[4].sendall(text)
        response = http.client.HTTPResponse(wires[4])
        response.begin()
        assert response.status == 503 and b"as many as it may" in response.read()
        wires[4].close()
    key = {"X-API-Key": KEYS["admin"]}
    body = text.partition(b"\r\n\r\n")[2]
    wait_until(lambda: api.raw("POST", "/api/publish", body, key)[0] == 200, "there is room again")


@pytest.mark.parametrize(
    ("path", "begin", "one", "end", "told"),
    [
        ("/api/batch", '{"commands":[', "0,", "0]}", "commands; there may be 1000"),
        ("/api/broadcast", '{"data":1,"channels":[', '"a",', '"a"]}', "channels; there may be 1000"),
        ("/api/disconnect", '{"ids":[', '"",', '""]}', "ids; there may be 100000"),
        ("/api/presence", '{"channel":"a"', ',"%06x":0', "}", 'unknown member "000000"'),
        ("/api/history", '{"channel":"a","limit":[', "0,", "0]}", '"limit" must be a number'),
    ],
)
def test_json_that_would_take_more_than_its_text_is_refused_before_it_does(api, path, begin, one, end, told):  # noqa: F811
    count = 8_300_000 // len(one % 0 if "%" in one else one)
    body = begin + ("".join(one % number for number in range(count)) if "%" in one else one * count) + end
    assert len(body) < 8 << 20
    forget_peak(api.hub)
    before = peak_resident_bytes(api.hub)
    status, problem = api.call("POST", path, body)
    assert status == 400 and told in problem["detail"]
    grown = peak_resident_bytes(api.hub) - before
    assert grown < 80 << 20, f"{grown >> 20} MiB"


def test_a_thousand_requests_in_one_segment_are_all_answered(api):  # noqa: F811
    with connect(api) as wire:
        wire.sendall(head("GET /healthz HTTP/1.1").encode() * 999 + head("GET /healthz HTTP/1.1", "Connection: close").encode())
        assert all_of(wire).count("HTTP/1.1 200 OK") == 1000


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"),
        ("Connection: keep-alive, Upgrade", "Upgrade: foo"),
    ],
)
def test_a_wish_for_another_protocol_is_answered_and_the_connection_closed(api, fields):  # noqa: F811
    status, headers, body = told(api, head("GET /healthz HTTP/1.1", *fields))
    assert (status, headers["Connection"], body) == (200, "close", b"ok\n")
    status, headers, body = told(api, publish(*fields))
    answer = json.loads(body)
    assert (status, headers["Connection"], answer) == (200, "close", {"recipients": 0, "epoch": answer["epoch"], "seq": 1})


def test_connect_is_refused(api):  # noqa: F811
    status, headers, _ = told(api, head("CONNECT example.org:443 HTTP/1.1"))
    assert (status, headers["Connection"]) == (404, "close")


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("POST /api/publish HTTP/1.1", (), 401),
        ("POST /api/publish HTTP/1.1", ("X-API-Key: wrong",), 401),
        ("POST /nowhere HTTP/1.1", (), 404),
        ("PUT /api/publish HTTP/1.1", (), 405),
        ("POST /api/publish HTTP/1.1", (KEY, "Content-Type: text/xml"), 415),
        ("POST /api/publish HTTP/1.1", (KEY, "Content-Encoding: gzip"), 415),
        ("GET /healthz HTTP/1.1", (), 413),
    ],
)
def test_no_body_is_read_for_what_is_refused(api, line, fields, status):  # noqa: F811
    """The answer comes before the body does."""
    fields = [field.strip() for field in fields]
    for length in ("Content-Length: 8000000", "Transfer-Encoding: chunked"):
        if status == 413 and "chunked" in length:
            continue
        got, headers, body = told(api, head(line, *fields, length))
        assert (got, headers["Connection"], headers["Content-Type"]) == (status, "close", "application/problem+json")
        assert json.loads(body)["status"] == status
        got, _, _ = told(api, head(line, *fields, length, "Expect: 100-continue"))
        assert got == status


def test_a_short_body_does_not_cost_the_connection(api):  # noqa: F811
    refused = head("POST /api/publish HTTP/1.1", "Content-Length: 1000") + "x" * 1000
    unread = head("GET /healthz HTTP/1.1", "Content-Length: 1000") + "x" * 1000
    with connect(api) as wire:
        wire.sendall((refused + unread + publish("Connection: close")).encode())
        assert statuses(all_of(wire)) == [401, 200, 200]


def test_100_continue_is_for_who_may_and_understands_it(api):  # noqa: F811
    fields = (KEY.strip(), f"Content-Length: {len(BODY)}", "Connection: close")
    with connect(api) as wire:
        wire.sendall(head("POST /api/publish HTTP/1.1", *fields, "Expect: 100-Continue").encode())
        assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(BODY.encode())
        assert all_of(wire).startswith("HTTP/1.1 200 OK")
    with connect(api) as wire:
        wire.sendall((head("POST /api/publish HTTP/1.0", *fields, "Expect: 100-continue") + BODY).encode())
        assert all_of(wire).startswith("HTTP/1.0 200 OK")


@pytest.mark.parametrize("key", [KEYS["publish"], "wrong"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_who_still_sends_gets_the_answer(api, key, is_chunked):  # noqa: F811
    body = b'{"channel":"a","data":"' + b"x" * (9 << 20) + b'"}'
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=DEADLINE)
        pieces = (body[at : at + (1 << 20)] for at in range(0, len(body), 1 << 20)) if is_chunked else body
        connection.request("POST", "/api/publish", pieces, {"X-API-Key": key}, encode_chunked=is_chunked)
        response = connection.getresponse()
        assert response.status == (401 if key == "wrong" else 413)
        assert json.loads(response.read())["detail"]
        connection.close()
    assert api.hub.is_alive()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GARBAGE\r\n\r\n", 400),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (head("GET /healthz HTTP/1.1", host=False), 400),
        (head("GET /healthz HTTP/1.1", "Host: b"), 400),
        (head("GET /healthz HTTP/1.1", "X: " + "x" * 40_000), 431),
        (head("GET /healthz HTTP/1.1", *(f"X-{number}: x" for number in range(200))), 431),
        (head("GET /" + "x" * 40_000 + " HTTP/1.1"), 431),
        (head("POST /api/publish HTTP/1.1", "Content-Length: x"), 400),
        (head("POST /api/publish HTTP/1.1", KEY.strip(), "Transfer-Encoding: gzip, chunked"), 501),
        (head("POST /api/publish HTTP/1.1", KEY.strip(), "Transfer-Encoding: gzip"), 501),
        (head("POST /api/publish HTTP/1.1", KEY.strip(), "Transfer-Encoding: chunked") + "nonsense\r\n", 400),
    ],
)
def test_what_is_no_request_is_a_problem_like_others(api, text, status):  # noqa: F811
    got, headers, body = told(api, text)
    assert (got, headers["Content-Type"], headers["Connection"]) == (status, "application/problem+json", "close")
    assert json.loads(body)["status"] == status and json.loads(body)["detail"]
    # Behind a good request, it is refused in its turn.
    with connect(api) as wire:
        wire.sendall((head("GET /healthz HTTP/1.1") + text).encode())
        assert statuses(all_of(wire)) == [200, status]


def test_who_half_closes_gets_its_answers(api):  # noqa: F811
    with connect(api) as wire:
        wire.sendall((publish() + publish() + head("GET /healthz HTTP/1.1")).encode())
        wire.shutdown(socket.SHUT_WR)
        assert all_of(wire).count("HTTP/1.1 200 OK") == 3
    with connect(api) as wire:
        wire.sendall(publish()[:-3].encode())
        wire.shutdown(socket.SHUT_WR)
        assert all_of(wire).startswith("HTTP/1.1 400")
    with connect(api) as wire:
        wire.shutdown(socket.SHUT_WR)
        assert all_of(wire) == ""


@pytest.mark.parametrize(
    "text",
    [
        head("GET http://a/healthz HTTP/1.1"),
        head("GET HTTP://a:8081/healthz?x=1 HTTP/1.1"),
        head("GET /healthz HTTP/1.0", host=False),
        publish("Content-Type: application/json ; charset=utf-8"),
        publish("Content-Type: Application/JSON"),
        publish("Content-Encoding: identity"),
        publish(f"Authorization: Basic {base64.b64encode(b'a:b').decode()}"),
        publish().replace(KEY, f"Authorization: bearer   {KEYS['publish']}\r\n"),
        publish().replace(f"Content-Length: {len(BODY)}", "Transfer-Encoding: Chunked").replace(
            BODY, f"{len(BODY):x};a=b\r\n{BODY}\r\n0\r\nTrailer: x\r\n\r\n"),
    ],
)
def test_unusual_requests_are_served(api, text):  # noqa: F811
    with connect(api) as wire:
        wire.sendall(text.encode())
        wire.shutdown(socket.SHUT_WR)
        answer = all_of(wire)
        assert answer.split()[1] == "200", answer


def test_a_connection_of_http_1_0_may_be_kept(api):  # noqa: F811
    with connect(api) as wire:
        for _ in range(2):
            wire.sendall(head("GET /healthz HTTP/1.0", "Connection: keep-alive").encode())
            response = http.client.HTTPResponse(wire)
            response.begin()
            assert response.read() == b"ok\n" and response.headers["Connection"] == "keep-alive"


def test_null_widens_no_audience(api):  # noqa: F811
    with api.hub.connect("/ws") as client:
        for path, body in (
            ("/api/publish", {"channel": "lobby", "data": 1, "user": None}),
            ("/api/broadcast", {"channels": None, "data": 1}),
            ("/api/broadcast", {"data": 1}),
            ("/api/disconnect", {"channel": "lobby", "user": None}),
        ):
            assert api.call("POST", path, body)[0] == 400
        assert api.ok("POST", "/api/broadcast", {"all": True, "text": "first"}) == {"recipients": 1}
        assert client.receive_text() == "first"


def test_without_descriptors_it_waits_and_says_so(api):  # noqa: F811
    """And does not spin: NIO would try to accept for ever."""
    pid, (soft, hard) = api.hub.pid, resource.prlimit(api.hub.pid, resource.RLIMIT_NOFILE)
    assert api.raw("GET", "/healthz")[0] == 200
    wait_until(lambda: connections_of(api) == 0, "the connection is gone")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        with connect(api) as wire:
            wire.sendall(head("GET /healthz HTTP/1.1", "Connection: close").encode())
            api.hub.wait_for_log("the HTTP API can accept no connection")
            before, start = processor_ticks(api.hub), time.monotonic()
            wait_until(lambda: time.monotonic() - start > 1, "a second has passed")
            assert processor_ticks(api.hub) - before < 30
            assert api.hub.log().count("can accept no connection") == 1
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert all_of(wire).startswith("HTTP/1.1 200 OK")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def connections_of(api):  # noqa: F811
    """The number of its API's connections, by its descriptors (proc(5), net/tcp)."""
    port = f":{api.port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(1 for row in rows[1:] if row[1].endswith(port) and row[3] == "01")


def unread_of(api):  # noqa: F811
    """The number of bytes that its API's connections have not read, or have not been taken from it."""
    port = f":{api.port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(int(part, 16) for row in rows[1:] if port in row[1] + row[2] for part in row[4].split(":"))


def with_key(api):  # noqa: F811
    """A connection on which a request with a key has been answered."""
    wire = connect(api)
    wire.sendall(head("GET /api/channels?limit=1 HTTP/1.1", KEY.strip()).encode())
    assert wire.recv(65536).startswith(b"HTTP/1.1 200 OK")
    return wire


def test_strangers_keep_nobody_out(api):  # noqa: F811
    """For one more, the oldest connection is closed that has sent no key; those that have sent one stay."""
    known = with_key(api)
    wires = [connect(api) for _ in range(1200)]
    try:
        assert api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})[0] == 200
        api.hub.wait_for_log("the HTTP API is full")
        for wire in wires[:100]:
            with contextlib.suppress(ConnectionError):
                assert wire.recv(1) == b""
        # The youngest are served, and what has sent a key is, whatever its age.
        for wire in (wires[-1], known):
            wire.sendall(head("GET /healthz HTTP/1.1").encode())
            assert wire.recv(65536).startswith(b"HTTP/1.1 200 OK")
    finally:
        for wire in (known, *wires):
            wire.close()


def test_a_full_api_says_so_and_is_still_watched(api):  # noqa: F811
    wires = []
    try:
        wires += [with_key(api) for _ in range(1024)]
        wait_until(lambda: api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})[0] == 503, "it is full")
        status, headers, text = api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})
        assert (status, headers["Retry-After"], headers["Connection"]) == (503, "1", "close")
        assert json.loads(text)["status"] == 503
        for path in ("/healthz", "/readyz", "/metrics"):
            assert api.raw("GET", path)[0] == 200
        api.hub.wait_for_log("the HTTP API is full")
        # More than it can serve at all: some are closed, and nothing else happens.
        more = [connect(api) for _ in range(100)]
        for wire in more:
            wire.close()
    finally:
        for wire in wires:
            wire.close()
    wait_until(lambda: api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})[0] == 200, "there is room")


def test_tls_is_refused_and_does_no_harm(api):  # noqa: F811
    context = ssl.create_default_context()
    with connect(api) as wire, pytest.raises(ssl.SSLError):
        context.wrap_socket(wire, server_hostname="localhost")
    assert api.raw("GET", "/healthz")[0] == 200
