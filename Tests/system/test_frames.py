"""Frames and messages: RFC 6455 sections 5, 6 and 8.1."""

import random

import pytest

from rawws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame

MAX_MESSAGE = 1 << 20  # websocket.max_message_size by default
SIZES = [0, 1, 2, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200_000, MAX_MESSAGE - 1, MAX_MESSAGE]


@pytest.fixture
def client(room):
    return room.connect()


# 5.2, 5.6: whole messages of every length form.


@pytest.mark.parametrize("size", SIZES)
def test_a_text_message_comes_back_as_it_went(client, size):
    text = ("aé€😀" * (size // 10 + 1)).encode()[:size].decode(errors="ignore")
    text += "." * (size - len(text.encode()))
    client.send_text(text)
    client.expect_message(TEXT, text)


@pytest.mark.parametrize("size", SIZES)
def test_a_binary_message_comes_back_as_it_went(client, size):
    data = random.Random(size).randbytes(size)
    client.send_binary(data)
    client.expect_message(BINARY, data)


def test_a_hundred_messages_in_one_segment_come_back_in_order(client):
    client.send(b"".join(frame(TEXT, f"message {number}") for number in range(100)))
    for number in range(100):
        client.expect_message(TEXT, f"message {number}")


def test_every_masking_key_is_undone(client):
    for key in [bytes(4), b"\xff\xff\xff\xff", b"\x00\x01\x80\xff", b"\x12\x00\x00\x00"]:
        for size in range(1, 40):
            data = bytes(range(size))
            client.send_frame(BINARY, data, key=key)
            client.expect_message(BINARY, data)


def test_a_length_in_more_bytes_than_needed_is_refused_or_read_right(room):
    # A client MUST use the shortest form (5.2); a server may hold it to that.
    for length_bytes in (2, 8):
        client = room.connect()
        client.send_frame(TEXT, "abc", length_bytes=length_bytes)
        got = client.receive_frame()
        if got.opcode == CLOSE:
            assert got.payload[:2] == close_payload(1002)
        else:
            assert (got.opcode, got.payload) == (TEXT, b"abc")


# 5.4: fragmentation.


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize(
    "parts",
    [
        [b"", b""],
        [b"", b"abc"],
        [b"abc", b""],
        [b"", b"", b"", b"x", b"", b""],
        [b"a", b"b", b"c", b"d"],
        [b"x" * 125, b"y" * 126, b"z" * 65536],
        [b"q"] * 500,
        [b"h" * (MAX_MESSAGE // 2)] * 2,
    ],
    ids=lambda parts: f"{len(parts)} of {len(parts[0])}",
)
def test_a_fragmented_message_comes_back_whole(client, opcode, parts):
    for index, part in enumerate(parts):
        client.send_frame(CONTINUATION if index else opcode, part, fin=index == len(parts) - 1)
    client.expect_message(opcode, b"".join(parts))
    client.expect_echo()


def test_a_character_may_be_split_between_fragments(client):
    text = "aé€😀z"
    data = text.encode()
    for cut in range(len(data) + 1):
        client.send_frame(TEXT, data[:cut], fin=False)
        client.send_frame(CONTINUATION, data[cut:])
        client.expect_message(TEXT, text)


def test_control_frames_between_fragments_are_answered_at_once(client):
    client.send_frame(TEXT, "one ", fin=False)
    client.send_frame(PING, "between")
    got = client.receive_frame()
    assert (got.opcode, got.payload) == (PONG, b"between")
    client.send_frame(PONG, "unasked")
    client.send_frame(CONTINUATION, "two ", fin=False)
    client.send_frame(PING, "again")
    got = client.receive_frame()
    assert (got.opcode, got.payload) == (PONG, b"again")
    client.send_frame(CONTINUATION, "three")
    client.expect_message(TEXT, "one two three")


def test_a_fragmented_message_does_not_hold_up_others(room):
    slow, quick = room.connect(), room.connect()
    slow.send_frame(TEXT, "begun", fin=False)
    quick.expect_echo("meanwhile")
    slow.expect_message(TEXT, "meanwhile")
    slow.send_frame(CONTINUATION, " and done")
    slow.expect_message(TEXT, "begun and done")
    quick.expect_message(TEXT, "begun and done")


# 5.5.2, 5.5.3: ping and pong.


@pytest.mark.parametrize("size", [0, 1, 2, 5, 124, 125])
def test_a_ping_is_answered_with_its_payload(client, size):
    payload = bytes(reversed(range(size)))
    client.send_frame(PING, payload)
    got = client.receive_frame()
    assert (got.opcode, got.payload, got.fin) == (PONG, payload, True)


@pytest.mark.parametrize("payload", [b"", b"nobody asked", b"x" * 125])
def test_an_unasked_pong_is_passed_over(client, payload):
    client.send_frame(PONG, payload)
    client.expect_echo()


def test_control_frames_are_not_relayed(room):
    one, other = room.connect(), room.connect()
    one.send_frame(PING, "for the server")
    one.send_frame(PONG, "for the server")
    one.send_text("for all")
    other_frame = other.receive_frame()
    assert (other_frame.opcode, other_frame.payload) == (TEXT, b"for all")


# 5.1, 5.2, 5.4, 5.5: what fails the connection with 1002.

PROTOCOL_ERRORS = {
    "text without mask": frame(TEXT, "abc", masked=False),
    "empty text without mask": frame(TEXT, "", masked=False),
    "ping without mask": frame(PING, "abc", masked=False),
    "close without mask": frame(CLOSE, close_payload(1000), masked=False),
    "control frame of 126 bytes": frame(PING, b"x" * 126),
    "control frame of 65536 bytes announced": frame(PONG, b"", announce=65536),
    "close of 126 bytes": frame(CLOSE, close_payload(1000, b"x" * 124)),
    "ping in fragments": frame(PING, "abc", fin=False),
    "pong in fragments": frame(PONG, "", fin=False),
    "close in fragments": frame(CLOSE, close_payload(1000), fin=False),
    "continuation of nothing": frame(CONTINUATION, "abc"),
    "unfinished continuation of nothing": frame(CONTINUATION, "abc", fin=False),
    "continuation after a whole message": frame(TEXT, "") + frame(CONTINUATION, "x"),
    "text inside a message": frame(TEXT, "a", fin=False) + frame(TEXT, "b"),
    "binary inside a message": frame(TEXT, "a", fin=False) + frame(BINARY, b"b"),
    "binary begins inside a binary": frame(BINARY, b"a", fin=False) + frame(BINARY, b"b", fin=False),
    "a second message inside a continuation": frame(BINARY, b"a", fin=False)
    + frame(CONTINUATION, b"b", fin=False)
    + frame(TEXT, "c"),
    "top bit of a 64-bit length": frame(BINARY, b"", announce=1 << 63),
    "all bits of a 64-bit length": frame(BINARY, b"", announce=(1 << 64) - 1),
}
PROTOCOL_ERRORS |= {f"reserved bits {rsv:03b} on text": frame(TEXT, "abc", rsv=rsv) for rsv in range(1, 8)}
PROTOCOL_ERRORS |= {f"reserved bits {rsv:03b} on ping": frame(PING, "abc", rsv=rsv) for rsv in (1, 2, 4)}
PROTOCOL_ERRORS |= {
    f"reserved bit {rsv:03b} on a continuation": frame(TEXT, "a", fin=False) + frame(CONTINUATION, "b", rsv=rsv)
    for rsv in (1, 2, 4)
}
PROTOCOL_ERRORS |= {
    f"reserved opcode {opcode:#x}": frame(opcode, "abc") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_protocol_error_closes_with_1002_and_a_reason(room, data):
    bystander, client = room.connect(), room.connect()
    client.send(data)
    client.expect_failure(1002)
    bystander.expect_alive()


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_protocol_error_is_found_byte_by_byte_too(room, data):
    client = room.connect()
    try:
        client.send_by_byte(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    client.expect_failure(1002)


def test_messages_before_a_protocol_error_are_still_delivered(room):
    bystander, client = room.connect(), room.connect()
    client.send(frame(TEXT, "last words") + frame(TEXT, "x", rsv=1) + frame(TEXT, "too late"))
    client.expect_failure(1002)
    bystander.expect_message(TEXT, "last words")
    bystander.expect_echo()


# 8.1: text is UTF-8, found wrong as early as can be.

NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "0xFF": b"abc\xff",
    "0xFE": b"\xfe",
    "overlong NUL": b"\xc0\x80",
    "overlong slash, 2 bytes": b"\xc0\xaf",
    "overlong slash, 3 bytes": b"\xe0\x80\xaf",
    "overlong slash, 4 bytes": b"\xf0\x80\x80\xaf",
    "overlong, the highest in 2 bytes": b"\xc1\xbf",
    "overlong, the highest in 3 bytes": b"\xe0\x9f\xbf",
    "overlong, the highest in 4 bytes": b"\xf0\x8f\xbf\xbf",
    "first high surrogate": b"\xed\xa0\x80",
    "last low surrogate": b"\xed\xbf\xbf",
    "a surrogate pair": b"\xed\xa0\x80\xed\xb0\x80",
    "U+110000": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "a sequence broken by ASCII": b"\xe2\x82a",
    "a sequence broken by a new one": b"\xe2\xe2\x82\xac",
    "wrong after 10,000 right bytes": b"k" * 10_000 + b"\xce\xba\xe1\xbd\xb9\xff",
    "wrong at a vector's edge": b"v" * 31 + b"\xc3\x28" + b"v" * 31,
}
CUT_OFF = {"2 of 3 bytes": b"abc\xe2\x82", "1 of 2 bytes": b"\xc3", "3 of 4 bytes": b"\xf0\x9f\x98"}


@pytest.mark.parametrize("data", (NOT_UTF8 | CUT_OFF).values(), ids=(NOT_UTF8 | CUT_OFF).keys())
def test_text_that_is_not_utf8_closes_with_1007(room, data):
    bystander, client = room.connect(), room.connect()
    client.send_frame(TEXT, data)
    client.expect_failure(1007)
    bystander.expect_echo()


@pytest.mark.parametrize("data", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_a_fragment_that_is_not_utf8_closes_before_the_message_is_complete(room, data):
    client = room.connect()
    client.send_frame(TEXT, data, fin=False)
    client.expect_failure(1007)


SHORT = {name: data for name, data in NOT_UTF8.items() if len(data) <= 1000}


@pytest.mark.parametrize("data", SHORT.values(), ids=SHORT.keys())
def test_text_in_fragments_of_one_byte_closes_as_soon_as_it_is_wrong(room, data):
    client = room.connect()
    for index in range(len(data)):
        client.send_frame(CONTINUATION if index else TEXT, data[index : index + 1], fin=False)
    client.expect_failure(1007)


@pytest.mark.parametrize("data", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_text_that_is_wrong_closes_before_its_frame_is_complete(room, data):
    client = room.connect()
    whole = frame(TEXT, data + b"the rest that never comes" * 40)
    head = len(whole) - 25 * 40
    client.send(whole[:head])
    client.expect_failure(1007)


@pytest.mark.parametrize("data", CUT_OFF.values(), ids=CUT_OFF.keys())
def test_a_character_cut_off_by_the_end_of_a_fragmented_message_closes_with_1007(room, data):
    client = room.connect()
    client.send_frame(TEXT, data, fin=False)
    client.send_frame(PING, "nothing is wrong yet")
    assert client.receive_frame().opcode == PONG
    client.send_frame(CONTINUATION, b"")
    client.expect_failure(1007)


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "\x7f\x80",
        "\u07ff\u0800",
        "\ud7ff\ue000",
        "\uffff\U00010000",
        "\U0010ffff",
        "\ufdd0\ufffe",
        "κόσμε",
        "\ufeff",
    ],
    ids=ascii,
)
def test_every_edge_of_unicode_is_text(client, text):
    client.send_text(text)
    client.expect_message(TEXT, text)


@pytest.mark.parametrize("data", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_a_binary_message_may_hold_anything(client, data):
    client.send_binary(data)
    client.expect_message(BINARY, data)


# 10.4: the limit of a message.


@pytest.mark.parametrize("announced", [MAX_MESSAGE + 1, 1 << 31, 1 << 32, (1 << 62) + 5, (1 << 63) - 1])
def test_too_big_a_message_closes_with_1009_as_soon_as_it_is_announced(room, announced):
    client = room.connect()
    client.send_frame(BINARY, b"", announce=announced)
    client.expect_failure(1009)


def test_fragments_that_together_are_too_big_close_with_1009_as_soon_as_announced(room):
    client = room.connect()
    client.send_frame(BINARY, bytes(MAX_MESSAGE - 10), fin=False)
    client.send_frame(CONTINUATION, b"", announce=11, fin=False)
    client.expect_failure(1009)


def test_an_endless_stream_of_fragments_closes_with_1009(room):
    client = room.connect()
    try:
        client.send_frame(TEXT, b"", fin=False)
        for _ in range(40):
            client.send_frame(CONTINUATION, b"a" * 65536, fin=False)
    except (BrokenPipeError, ConnectionResetError):
        pass
    client.expect_failure(1009)


def test_the_limit_is_the_one_configured(start_wsd):
    daemon = start_wsd('[websocket]\nmax_message_size = "1KiB"')
    client = daemon.connect()
    client.send_binary(bytes(1024))
    client.expect_message(BINARY, bytes(1024))
    client.send_binary(bytes(1025))
    client.expect_failure(1009)


def test_many_messages_near_the_limit_are_no_single_big_one(client):
    for number in range(5):
        data = bytes([number]) * (MAX_MESSAGE - number)
        client.send_binary(data)
        client.expect_message(BINARY, data)


# Whatever the network does to the segments.

CONVERSATION = [
    (frame(TEXT, "short"), (TEXT, b"short")),
    (frame(TEXT, ""), (TEXT, b"")),
    (frame(BINARY, bytes(range(256))), (BINARY, bytes(range(256)))),
    (frame(PING, "p" * 125), (PONG, b"p" * 125)),
    (frame(PONG, "ignored"), None),
    (
        frame(TEXT, "é€", fin=False) + frame(PING, "in") + frame(CONTINUATION, "😀"),
        (PONG, b"in"),
        (TEXT, "é€😀".encode()),
    ),
    (frame(BINARY, b"z" * 700), (BINARY, b"z" * 700)),
]


def check_conversation(client, times=1):
    """All answers came: pongs in their order and messages in theirs (a message may have the longer way)."""
    answers = [answer for _, *answers in CONVERSATION * times for answer in answers if answer is not None]
    frames = [client.receive_frame() for _ in answers]
    for is_pong in (True, False):
        wanted = [answer for answer in answers if (answer[0] == PONG) == is_pong]
        assert [(got.opcode, got.payload) for got in frames if (got.opcode == PONG) == is_pong] == wanted


def test_every_frame_may_come_byte_by_byte(client):
    for data, *_ in CONVERSATION:
        client.send_by_byte(data)
    check_conversation(client)


def test_all_frames_may_come_in_one_segment(client):
    client.send(b"".join(data for data, *_ in CONVERSATION))
    check_conversation(client)


@pytest.mark.parametrize("seed", range(10))
def test_frames_may_be_cut_anywhere(client, seed):
    choice = random.Random(seed)
    data = b"".join(data for data, *_ in CONVERSATION) * 5
    while data:
        size = choice.choice([1, 2, 3, 7, 13, 64, 200])
        client.send(data[:size])
        data = data[size:]
    check_conversation(client, times=5)


def test_the_head_of_a_large_frame_may_be_cut_anywhere(client):
    payload = bytes(range(256)) * 257
    whole = frame(BINARY, payload)
    client.send_by_byte(whole[:20])
    client.send(whole[20:])
    client.expect_message(BINARY, payload)
