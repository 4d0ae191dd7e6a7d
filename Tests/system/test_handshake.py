"""The opening handshake: RFC 6455 section 4.2, RFC 9110 and 9112 below it."""

import base64

import pytest

from rawws import (
    SAMPLE_ACCEPT,
    SAMPLE_KEY,
    TEXT,
    ConnectionEnded,
    Wire,
    accept_for,
    changed,
    check_refusal,
    check_upgrade,
    exchange,
    frame,
    handshake_headers,
    request,
)
from seeded import RANDOM


@pytest.fixture
def headers(room):
    """The headers of a proper handshake with the shared daemon."""
    return handshake_headers(f"127.0.0.1:{room.port}")


def upgrade(room, data, *, by_byte=False, key=SAMPLE_KEY):
    """Sends a handshake that is to succeed, shows that frames then flow, and returns the response."""
    wire = room.daemon.wire()
    wire.send_by_byte(data) if by_byte else wire.send(data)
    response = wire.read_response()
    check_upgrade(response, key)
    message = b"it works"
    wire.send(frame(TEXT, message))
    assert wire.read(2 + len(message)) == bytes([0x81, len(message)]) + message
    return response


def refuse(room, data, status, **options):
    """Sends a request that is to be refused with one of these statuses."""
    return check_refusal(exchange(room.port, data, **options), status)


def test_the_example_of_the_rfc_is_answered_with_its_accept_value(room, headers):
    response = upgrade(room, request(headers, room.path))
    assert response.header("Sec-WebSocket-Accept") == SAMPLE_ACCEPT
    assert response.status == 101


def test_any_sixteen_byte_key_is_answered_with_its_own_accept_value(room, headers):
    for _ in range(5):
        key = base64.b64encode(RANDOM.randbytes(16)).decode()
        response = upgrade(room, request(changed(headers, sec_websocket_key=key), room.path), key=key)
        assert response.header("Sec-WebSocket-Accept") == accept_for(key)


def test_the_response_has_no_body_and_no_length(room, headers):
    response = upgrade(room, request(headers, room.path))
    assert response.all("Content-Length") == []
    assert response.all("Transfer-Encoding") == []


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title, str.swapcase], ids=lambda case: case.__name__)
def test_header_names_have_no_case(room, headers, case):
    upgrade(room, request([(case(name), value) for name, value in headers], room.path))


@pytest.mark.parametrize(
    "replace",
    [
        {"upgrade": "WebSocket"},
        {"upgrade": "WEBSOCKET"},
        {"connection": "upgrade"},
        {"connection": "UPGRADE"},
        {"connection": "keep-alive, Upgrade"},
        {"connection": "Upgrade, keep-alive"},
        {"connection": "keep-alive,Upgrade"},
        {"connection": ", keep-alive ,, Upgrade ,"},
        {"connection": "keep-alive\t,\tUpgrade"},
        {"connection": ["keep-alive", "Upgrade"]},
        {"connection": ["Upgrade", "keep-alive"]},
        {"upgrade": "h2c, websocket"},
        {"upgrade": "websocket, h2c"},
        {"upgrade": ["h2c", "websocket"]},
        {"sec_websocket_key": SAMPLE_KEY + " \t "},
        {"sec_websocket_version": "  13\t"},
    ],
    ids=str,
)
def test_upgrade_and_connection_are_lists_of_tokens_without_case(room, headers, replace):
    upgrade(room, request(changed(headers, **replace), room.path))


def test_headers_may_come_in_any_order(room, headers):
    upgrade(room, request(headers[::-1], room.path))
    upgrade(room, request(headers[2:] + headers[:2], room.path))


def test_white_space_around_a_value_may_be_absent_or_plentiful(room, headers):
    lines = [f"GET {room.path} HTTP/1.1"] + [f"{name}:{value}" for name, value in headers]
    upgrade(room, "\r\n".join(lines).encode() + b"\r\n\r\n")
    lines = [f"GET {room.path} HTTP/1.1"] + [f"{name}: \t  {value} \t" for name, value in headers]
    upgrade(room, "\r\n".join(lines).encode() + b"\r\n\r\n")


def test_the_target_may_have_a_query(room, headers):
    upgrade(room, request(headers, f"{room.path}?token=abc&x=/ws?y"))


def test_the_target_may_be_an_absolute_uri(room, headers):
    upgrade(room, request(headers, f"http://127.0.0.1:{room.port}{room.path}"))


def test_unknown_headers_are_passed_over(room, headers):
    extra = [("User-Agent", "test/1.0 (\xe9)"), ("X-Empty", ""), ("Cookie", "a=b; c=d"), ("Pragma", "no-cache")]
    upgrade(room, request(extra + headers, room.path))


def test_an_offered_subprotocol_that_nobody_knows_is_not_answered(room, headers):
    response = upgrade(room, request([*headers, ("Sec-WebSocket-Protocol", "chat, superchat")], room.path))
    assert response.all("Sec-WebSocket-Protocol") == []


def test_an_offered_extension_that_nobody_knows_is_not_answered(room, headers):
    offer = ("Sec-WebSocket-Extensions", 'x-unknown; a=1; b="q", x-other')
    response = upgrade(room, request([*headers, offer], room.path))
    assert response.all("Sec-WebSocket-Extensions") == []


def test_a_handshake_may_come_byte_by_byte(room, headers):
    upgrade(room, request(headers, room.path), by_byte=True)


def test_frames_in_the_segment_of_the_handshake_are_kept(room):
    pipelined = frame(TEXT, "one") + frame(TEXT, "two") + frame(TEXT, "x" * 5000)
    client = room.connect(pipelined=pipelined)
    client.expect_message(TEXT, "one")
    client.expect_message(TEXT, "two")
    client.expect_message(TEXT, "x" * 5000)


def test_a_frame_torn_across_the_end_of_the_handshake_is_kept(room):
    whole = frame(TEXT, "torn")
    client = room.connect(pipelined=whole[:3])
    client.send(whole[3:])
    client.expect_message(TEXT, "torn")


def test_a_large_header_within_the_limit_is_accepted(room, headers):
    upgrade(room, request([*headers, ("Cookie", "c" * 12_000)], room.path))


# What is refused, and how.


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_on_an_endpoint_gets_405_and_the_methods_allowed(room, headers, method):
    response = refuse(room, request(changed(headers, content_length="0"), room.path, method=method), 405)
    assert "GET" in [token.strip() for token in response.header("Allow").split(",")]


@pytest.mark.parametrize("method", ["get", "G@T", "GET,", ""])
def test_something_that_is_no_method_is_refused(room, headers, method):
    refuse(room, request(headers, room.path, method=method), (400, 405, 501))


def test_an_unknown_path_gets_404_with_and_without_upgrade(room, headers):
    refuse(room, request(headers, "/nope"), 404)
    refuse(room, request(headers[:1] + [("Connection", "close")], "/nope"), 404)


@pytest.mark.parametrize("path", ["/ws/", "/WS", "/w", "/wss", "//ws", "/ws/../ws", "/%77s%00"])
def test_a_path_that_only_resembles_an_endpoint_is_not_one(room, headers, path):
    refuse(room, request(headers, path), (400, 404))


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/3.1"])
def test_another_http_version_is_refused(room, headers, version):
    refuse(room, request(headers, room.path, version=version), (400, 505))


@pytest.mark.parametrize("version", ["HTTP/1.1x", "HTTP/11", "http/1.1", "HTTP/1", "HTTP /1.1", "", "FTP/1.1"])
def test_a_malformed_version_is_refused(room, headers, version):
    refuse(room, request(headers, room.path, version=version), (400, 505))


@pytest.mark.parametrize("target", ["", "ws", "*", "/ws /x", "/w\x01s", "/w\x7fs"])
def test_a_malformed_target_is_refused(room, headers, target):
    refuse(room, request(headers, target), (400, 404))


def test_a_missing_host_gets_400(room, headers):
    refuse(room, request(changed(headers, host=None), room.path), 400)


def test_a_second_host_gets_400(room, headers):
    refuse(room, request([*headers, ("Host", "example.org")], room.path), 400)


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "not base64 at all!!",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZ=Q=",
        "dGhlIHNhbXBsZSBub2*jZQ==",
        [SAMPLE_KEY, SAMPLE_KEY],
        [SAMPLE_KEY, "AAAAAAAAAAAAAAAAAAAAAA=="],
    ],
    ids=str,
)
def test_anything_but_one_key_of_sixteen_bytes_gets_400(room, headers, key):
    refuse(room, request(changed(headers, sec_websocket_key=key), room.path), 400)


@pytest.mark.parametrize("version", [None, "8", "0", "12", "14", "130", "x", ""], ids=str)
def test_another_websocket_version_gets_426_and_the_one_spoken(room, headers, version):
    response = refuse(room, request(changed(headers, sec_websocket_version=version), room.path), 426)
    assert response.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize(
    "replace",
    [
        {"upgrade": None, "connection": None},
        {"upgrade": None},
        {"upgrade": "h2c"},
        {"upgrade": "websockets"},
        {"upgrade": None, "connection": "keep-alive"},
    ],
    ids=str,
)
def test_a_plain_get_of_an_endpoint_gets_426_and_what_to_upgrade_to(room, headers, replace):
    response = refuse(room, request(changed(headers, **replace), room.path), 426)
    assert response.header("Upgrade").lower() == "websocket"


@pytest.mark.parametrize("connection", [None, "keep-alive", "Upgraded", "close"])
def test_an_upgrade_that_connection_does_not_name_is_refused(room, headers, connection):
    refuse(room, request(changed(headers, connection=connection), room.path), (400, 426))


def test_too_large_a_header_gets_431(room, headers):
    refuse(room, request([*headers, ("Cookie", "c" * 17_000)], room.path), 431)


def test_too_many_headers_get_431(room, headers):
    many = [(f"X-{number}", "v") for number in range(4000)]
    refuse(room, request(headers + many, room.path), 431)


def test_a_header_line_without_end_gets_431(room):
    refuse(room, b"GET /ws HTTP/1.1\r\nX: " + b"x" * 20_000, 431)


def test_a_request_line_without_end_is_refused(room):
    refuse(room, b"GET /" + b"x" * 20_000, (400, 414, 431))


def test_the_header_limit_is_the_one_configured(start_wsd):
    daemon = start_wsd('[server]\nmax_header_size = "1KiB"')
    good = handshake_headers(f"127.0.0.1:{daemon.port}")
    check_refusal(exchange(daemon.port, request([*good, ("Cookie", "c" * 1500)])), 431)
    daemon.connect(headers=[("Cookie", "c" * 500)]).expect_echo()


@pytest.mark.parametrize(
    "sent",
    [b"GET /ws HT", b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: webso", b"\r\n"],
    ids=["in the request line", "in the headers", "before the request line"],
)
def test_a_handshake_that_stops_on_the_way_gets_408(start_wsd, sent):
    daemon = start_wsd('[server]\nhandshake_timeout = "500ms"')
    check_refusal(exchange(daemon.port, sent), 408)


def test_a_handshake_that_trickles_has_one_deadline_for_all_of_it(start_wsd):
    daemon = start_wsd('[server]\nhandshake_timeout = "1s"')
    wire = daemon.wire()
    wire.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    trickled = 0
    wire.socket.settimeout(0.05)
    while not wire.buffered:
        assert trickled < 1200, "a trickle keeps the handshake open without end"
        wire.send(b"X: y\r\n")
        trickled += 1
        try:
            wire._fill()
        except TimeoutError:
            pass
    wire.socket.settimeout(30)
    check_refusal(wire.read_response(), 408)


def test_a_connection_that_says_nothing_is_closed(start_wsd):
    daemon = start_wsd('[server]\nhandshake_timeout = "500ms"')
    wire = daemon.wire()
    try:
        check_refusal(wire.read_response(), 408)
    except ConnectionEnded:
        return
    wire.expect_end()


def test_an_established_connection_outlives_the_handshake_timeout(start_wsd):
    daemon = start_wsd('[server]\nhandshake_timeout = "300ms"')
    client = daemon.connect()
    silent = daemon.wire()
    try:
        silent.read_response()
    except ConnectionEnded:
        pass
    client.expect_echo()


@pytest.mark.parametrize(
    "broken",
    [
        b"GET {path} HTTP/1.1\nHost: {host}\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: {key}\n"
        b"Sec-WebSocket-Version: 13\n\n",
        b"GET {path} HTTP/1.1\r\nHost: {host}\nUpgrade: websocket\r\n{rest}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\rb\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX\0: a\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\r\n\tb\r\n{good}",
        b"GET {path} HTTP/1.1\r\n Host: {host}\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost : {host}\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX\t: a\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\n: a\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nno colon here\r\n{good}",
        b"GET {path} HTTP/1.1\r\nHost: {host}\r\nX(y): a\r\n{good}",
        b"GET  {path}  HTTP/1.1\r\nHost: {host}\r\n{good}",
        b"GET\t{path}\tHTTP/1.1\r\nHost: {host}\r\n{good}",
        b"GET {path}\r\nHost: {host}\r\n{good}",
        b"GET\r\n\r\n",
    ],
    ids=[
        "bare LF everywhere",
        "one bare LF",
        "bare CR in a value",
        "NUL in a value",
        "NUL in a name",
        "line folded by a space",
        "line folded by a tab",
        "first header line begins with a space",
        "space before the colon of Host",
        "tab before a colon",
        "empty name",
        "no colon",
        "a name that is no token",
        "two spaces in the request line",
        "tabs in the request line",
        "no version",
        "nothing but a method",
    ],
)
def test_a_malformed_request_gets_400(room, broken):
    good = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    good += f"Sec-WebSocket-Key: {SAMPLE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    data = (
        broken.replace(b"{path}", room.path.encode())
        .replace(b"{host}", f"127.0.0.1:{room.port}".encode())
        .replace(b"{good}", good.encode())
        .replace(b"{rest}", good.partition("\r\n")[2].encode())
        .replace(b"{key}", SAMPLE_KEY.encode())
    )
    refuse(room, data, 400)


CLIENT_HELLO = bytes.fromhex(
    "16030100c8010000c40303" + "5a" * 32 + "20" + "a5" * 32 + "0006130113021303" + "0100007500"
) + bytes(range(0, 120))


@pytest.mark.parametrize(
    "garbage",
    [
        CLIENT_HELLO,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x00" * 64,
        b"\xff" * 64,
        b"\r\n" * 50 + b"x\r\n",
    ],
    ids=["TLS ClientHello", "HTTP/2 preface", "SSH", "NULs", "all ones", "empty lines"],
)
def test_what_is_not_http_is_refused_and_closed(start_wsd, garbage):
    daemon = start_wsd('[server]\nhandshake_timeout = "1s"')
    check_refusal(exchange(daemon.port, garbage), (400, 408, 505))
    daemon.connect().expect_echo()


@pytest.mark.parametrize("length", ["-1", "x", "5x", "99999999999999999999", "5, 6", "+5"])
def test_a_malformed_content_length_gets_400(room, headers, length):
    refuse(room, request([*headers, ("Content-Length", length)], room.path), (400, 413))


def test_a_body_with_the_handshake_is_refused_or_passed_over(room, headers):
    wire = room.daemon.wire()
    wire.send(request([*headers, ("Content-Length", "5")], room.path) + b"\x81\x85abc" + frame(TEXT, "after"))
    response = wire.read_response()
    if response.status == 101:
        assert wire.read(7) == b"\x81\x05after"
    else:
        check_refusal(response, (400, 413))
        wire.expect_end()


def test_a_chunked_body_with_the_handshake_is_refused(room, headers):
    chunked = request([*headers, ("Transfer-Encoding", "chunked")], room.path) + b"0\r\n\r\n"
    refuse(room, chunked, (400, 411, 413, 501))


def test_a_content_length_of_nothing_is_accepted(room, headers):
    upgrade(room, request([*headers, ("Content-Length", "0")], room.path))


def test_a_refused_client_that_still_sends_reads_the_refusal(room, headers):
    data = request(changed(headers, host=None), room.path) + RANDOM.randbytes(100_000)
    refuse(room, data, 400)


def test_a_refusal_may_come_byte_by_byte(room, headers):
    refuse(room, request(changed(headers, sec_websocket_key="short"), room.path), 400, by_byte=True)


def test_each_refusal_is_counted_in_a_log_line_with_its_reason(start_wsd):
    daemon = start_wsd()
    headers = changed(handshake_headers("x"), origin="https://elsewhere.example")
    check_refusal(exchange(daemon.port, request(headers)), 403)
    daemon.wait_for_log("origin")


def test_many_refusals_do_not_flood_the_log(start_wsd):
    daemon = start_wsd()
    headers = changed(handshake_headers("x"), origin="https://elsewhere.example")
    for _ in range(500):
        check_refusal(exchange(daemon.port, request(headers)), 403)
    assert daemon.log().lower().count("origin") < 100


def test_every_address_configured_is_served(start_wsd):
    daemon = start_wsd('[server]\nlisten = ["127.0.0.1:@PORT@", "127.0.0.2:@PORT@", "[::1]:@PORT@"]')
    for host in ["127.0.0.1", "127.0.0.2", "::1"]:
        daemon.connect(host=host).expect_echo()


def test_the_any_address_of_ipv6_serves_ipv4_too(start_wsd):
    daemon = start_wsd('[server]\nlisten = ["[::]:@PORT@"]')
    for host in ["127.0.0.1", "::1"]:
        daemon.connect(host=host).expect_echo()


def test_two_requests_on_one_connection_do_not_confuse_it(room, headers):
    with Wire(room.port) as wire:
        wire.send(request([("Host", "x")], "/") + request(headers, room.path))
        response = wire.read_response()
        assert response.status == 200
        if (response.header("Connection") or "").lower() == "close":
            wire.expect_end(reset_allowed=True)
        else:
            check_upgrade(wire.read_response(), SAMPLE_KEY)
