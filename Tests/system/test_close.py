"""The closing handshake: RFC 6455 sections 5.5.1, 7 and 7.4."""

import pytest

from rawws import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame
from waiting import wait_until

VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3003, 3008, 3999, 4000, 4999]
INVALID = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.fixture
def client(room):
    return room.connect()


@pytest.mark.parametrize("code", VALID)
def test_a_close_is_answered_with_its_code_and_the_server_ends_the_stream(client, code):
    assert client.close_properly(code) == code


def test_a_close_without_a_code_is_answered(client):
    client.send_close()
    code, _ = client.receive_close()
    assert code in (None, 1000)
    client.expect_end()


@pytest.mark.parametrize("reason", ["bye", "x" * 123, "bis später €", ""])
def test_a_close_may_have_a_reason_of_up_to_123_bytes(client, reason):
    client.send_close(1000, reason)
    assert client.receive_close()[0] == 1000
    client.expect_end()


@pytest.mark.parametrize("code", INVALID)
def test_a_close_with_a_code_that_may_not_be_sent_closes_with_1002(client, code):
    client.send_close(code)
    client.expect_failure(1002)


def test_a_close_of_one_byte_closes_with_1002(client):
    client.send_frame(CLOSE, b"\x03")
    client.expect_failure(1002)


@pytest.mark.parametrize("reason", [b"\xff", b"\xed\xa0\x80", b"cut \xe2\x82", b"\xc0\x80"])
def test_a_close_whose_reason_is_not_utf8_is_an_error(client, reason):
    client.send_frame(CLOSE, close_payload(1000, reason))
    code, why = client.receive_close()
    assert code in (1002, 1007) and why
    client.expect_end(reset_allowed=True)


def test_a_close_may_come_byte_by_byte(client):
    client.send_by_byte(frame(CLOSE, close_payload(1000, "slowly")))
    assert client.receive_close()[0] == 1000
    client.expect_end()


def test_a_close_inside_a_fragmented_message_is_answered(client):
    client.send_frame(TEXT, "never finished", fin=False)
    assert client.close_properly() == 1000


def test_nothing_after_a_close_is_heeded(room):
    bystander, client = room.connect(), room.connect()
    client.send(
        frame(TEXT, "before")
        + frame(CLOSE, close_payload(1000))
        + frame(TEXT, "after")
        + frame(PING, "after")
        + frame(BINARY, b"", rsv=7)
    )
    assert client.receive_close()[0] == 1000
    client.expect_end(reset_allowed=True)
    bystander.expect_message(TEXT, "before")
    bystander.expect_echo()


def test_a_second_close_is_not_answered(client):
    client.send(frame(CLOSE, close_payload(1000)) * 2)
    assert client.receive_close()[0] == 1000
    client.expect_end(reset_allowed=True)


def test_one_who_closed_gets_no_more_messages(room):
    bystander, client = room.connect(), room.connect()
    client.send_close(1000)
    assert client.receive_close()[0] == 1000
    bystander.expect_echo("after the close")
    client.expect_end()


def test_messages_in_flight_are_delivered_before_the_answer(room):
    sender, client = room.connect(), room.connect()
    for number in range(50):
        sender.send_text(f"message {number}")
    for number in range(50):
        sender.expect_message(TEXT, f"message {number}")
    client.expect_message(TEXT, "message 0")
    client.send_close(1000)
    for number in range(1, 50):
        client.expect_message(TEXT, f"message {number}")
    assert client.receive_close()[0] == 1000
    client.expect_end()


def test_a_closed_connection_is_gone_from_the_channel_and_the_list(daemon):
    one, other = daemon.connect(), daemon.connect()
    daemon.wait_for_connections(2)
    assert one.close_properly() == 1000
    daemon.wait_for_connections(1)
    other.expect_echo()


def test_a_peer_that_never_answers_a_close_is_dropped_after_the_close_timeout(start_wsd):
    daemon = start_wsd('[websocket]\nclose_timeout = "300ms"')
    client = daemon.connect()
    daemon.wait_for_connections(1)
    kicked = daemon.wsctl("kick", "--all", "--code", "4001", "--reason", "out")
    assert kicked.returncode == 0, kicked.stderr
    assert client.receive_close() == (4001, "out")
    client.expect_end()
    daemon.wait_for_connections(0)


def test_a_peer_that_keeps_talking_instead_of_answering_a_close_is_dropped_too(start_wsd):
    daemon = start_wsd('[websocket]\nclose_timeout = "300ms"')
    client = daemon.connect()
    client.send_frame(TEXT, "abc", rsv=4)
    assert client.receive_close()[0] == 1002

    def is_cut_off():
        try:
            client.send_text("and another thing")
            return False
        except ConnectionError:  # a time-out, which is an OSError as well, is no end
            return True

    wait_until(is_cut_off, "the server cuts the talker off")


def test_a_peer_that_only_shuts_down_its_side_is_let_go(room):
    bystander, client = room.connect(), room.connect()
    client.send_text("one last thing")
    client.half_close()
    client.receive_to_end()
    bystander.expect_message(TEXT, "one last thing")
    bystander.expect_echo()


def test_a_peer_that_vanishes_in_a_message_takes_nobody_along(room):
    bystander, client = room.connect(), room.connect()
    client.send_frame(TEXT, "begun", fin=False)
    client.send(frame(CONTINUATION, "x" * 1000)[:500])
    client.reset()
    bystander.expect_echo()


OFFENCES = {
    "a byte too many": frame(BINARY, bytes((1 << 20) + 1)),
    "a byte too many in fragments": frame(BINARY, bytes(1 << 20), fin=False) + frame(CONTINUATION, b"x"),
    "much too much": frame(BINARY, bytes(3 << 20)),
    "no UTF-8": frame(TEXT, b"\xff" * (900 << 10)),
    "a reserved bit": frame(TEXT, "x" * 1000, rsv=4),
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_a_peer_that_was_closed_and_leaves_is_gone_then(start_wsd, offence):
    """And not after the close timeout: its place, and what it holds, are somebody else's."""
    daemon = start_wsd('[websocket]\nclose_timeout = "10m"')
    code = {"no UTF-8": 1007, "a reserved bit": 1002}.get(offence, 1009)
    for _ in range(20):
        client = daemon.connect()
        client.send(OFFENCES[offence])
        client.expect_failure(code)
        client.close()
    daemon.wait_for_connections(0)


def test_one_who_sends_too_much_still_reads_why(room):
    client = room.connect()
    try:
        client.send_binary(bytes(3 << 20))
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the stream was reset before the reason could be read")
    client.expect_failure(1009)
