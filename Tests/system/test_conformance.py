"""The cases of the usual conformance suites that no other test here covers: RFC 6455 without extensions.

The hub sends every message to its sender too, so one client in a room of its own talks to an echo server.
"""

import itertools
import random

import pytest

from rawws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, fragments, frame

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def client(room):
    return room.connect()


# However the network cuts what is sent.


def at_once(client, frames):
    client.send(b"".join(frames))


def frame_by_frame(client, frames):
    for each in frames:
        client.send(each)


def byte_by_byte(client, frames):
    client.send_by_byte(b"".join(frames))


WAYS = [at_once, frame_by_frame, byte_by_byte]
in_every_way = pytest.mark.parametrize("deliver", WAYS, ids=lambda way: way.__name__.replace("_", " "))


def deliver_what_may_be_cut_off(deliver, client, frames):
    """Sends what makes the server hang up, which it may do before all of it is sent."""
    try:
        deliver(client, frames)
    except (BrokenPipeError, ConnectionResetError):
        pass


def check_answers(got, wanted):
    """The pongs came in their order and the messages in theirs: a message may have the longer way."""
    for is_pong in (True, False):
        assert [each for each in got if (each[0] == PONG) == is_pong] == [
            each for each in wanted if (each[0] == PONG) == is_pong
        ]


def expect_answers(client, wanted):
    got = [client.receive_frame() for _ in wanted]
    check_answers([(each.opcode, each.payload) for each in got], wanted)


def answers_up_to_close(client):
    """(opcode, payload) of all that came before the close frame, and its code."""
    answers = []
    while (got := client.receive_frame()).opcode != CLOSE:
        answers.append((got.opcode, got.payload))
    return answers, int.from_bytes(got.payload[:2], "big")


# 5.5.2, 5.5.3: ping and pong.

NOT_TEXT = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"

PINGS = {
    "a payload that is no text": ([frame(PING, NOT_TEXT)], [(PONG, NOT_TEXT)]),
    "the longest payload": ([frame(PING, b"\xfe" * 125)], [(PONG, b"\xfe" * 125)]),
    "behind an unasked pong": ([frame(PONG, "unasked"), frame(PING, "asked")], [(PONG, b"asked")]),
    "ten in order": ([frame(PING, f"ping {n}") for n in range(10)], [(PONG, b"ping %d" % n) for n in range(10)]),
    "around a message": (
        [frame(PING, "1"), frame(TEXT, "2"), frame(PING, "3")],
        [(PONG, b"1"), (TEXT, b"2"), (PONG, b"3")],
    ),
}


@in_every_way
@pytest.mark.parametrize("frames, answers", PINGS.values(), ids=PINGS.keys())
def test_pings_are_answered(client, frames, answers, deliver):
    deliver(client, frames)
    expect_answers(client, answers)
    client.expect_echo()


# 5.2: reserved bits and opcodes, behind a message and in front of what nobody shall answer any more.

RESERVED = {
    f"reserved bits {rsv:03b} on {name}": frame(opcode, payload, rsv=rsv)
    for rsv in range(1, 8)
    for name, opcode, payload in [
        ("an empty text", TEXT, b""),
        ("binary", BINARY, b"abc"),
        ("ping", PING, b"abc"),
        ("pong", PONG, b""),
        ("close", CLOSE, close_payload(1000)),
    ]
}
RESERVED |= {
    f"reserved opcode {opcode:#x} with {len(payload)} bytes": frame(opcode, payload)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for payload in (b"", b"abc", b"x" * 125)
}
RESERVED |= {
    f"reserved opcode {opcode:#x} inside a message": frame(TEXT, "a", fin=False) + frame(opcode, "b", fin=False)
    for opcode in (3, 7, 11, 15)
}


@in_every_way
@pytest.mark.parametrize("wrong", RESERVED.values(), ids=RESERVED.keys())
def test_reserved_bits_and_opcodes_close_behind_what_came_before(client, wrong, deliver):
    deliver_what_may_be_cut_off(deliver, client, [frame(TEXT, "before"), wrong, frame(PING, "after")])
    assert answers_up_to_close(client) == ([(TEXT, b"before")], 1002)
    client.expect_end(reset_allowed=True)


# 5.4: fragments and what stands between them.

FRAGMENTED = {
    "two fragments": ([frame(TEXT, "one", fin=False), frame(CONTINUATION, "two")], [(TEXT, b"onetwo")]),
    "a ping between": (
        [frame(TEXT, "one", fin=False), frame(PING, "p"), frame(CONTINUATION, "two")],
        [(PONG, b"p"), (TEXT, b"onetwo")],
    ),
    "five fragments with pings between them, twice": (
        [
            frame(TEXT, "1", fin=False),
            frame(CONTINUATION, "2", fin=False),
            frame(PING, "p"),
            frame(CONTINUATION, "3", fin=False),
            frame(CONTINUATION, "4", fin=False),
            frame(PING, "q"),
            frame(CONTINUATION, "5"),
        ]
        * 2,
        [(PONG, b"p"), (PONG, b"q"), (TEXT, b"12345")] * 2,
    ),
    "three empty fragments": (
        [frame(TEXT, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION)],
        [(TEXT, b"")],
    ),
    "a whole message behind a fragmented one": (
        [frame(BINARY, b"1", fin=False), frame(CONTINUATION, b"2"), frame(TEXT, "3")],
        [(BINARY, b"12"), (TEXT, b"3")],
    ),
}


@in_every_way
@pytest.mark.parametrize("frames, answers", FRAGMENTED.values(), ids=FRAGMENTED.keys())
def test_fragments_make_one_message(client, frames, answers, deliver):
    deliver(client, frames)
    expect_answers(client, answers)
    client.expect_echo()


MISFRAGMENTED = {
    "a ping in two fragments": ([frame(PING, "one", fin=False), frame(CONTINUATION, "two")], []),
    "a pong in two fragments": ([frame(PONG, "one", fin=False), frame(CONTINUATION, "two")], []),
    "a continuation of nothing": ([frame(CONTINUATION, "x"), frame(TEXT, "y")], []),
    "an unfinished continuation of nothing": ([frame(CONTINUATION, "x", fin=False), frame(TEXT, "y")], []),
    "a continuation behind the last fragment": (
        [
            frame(TEXT, "one", fin=False),
            frame(CONTINUATION, "two"),
            frame(CONTINUATION, "x", fin=False),
            frame(TEXT, "y"),
        ],
        [(TEXT, b"onetwo")],
    ),
    "a continuation behind a whole message": (
        [frame(TEXT, "whole"), frame(CONTINUATION, "x"), frame(TEXT, "y")],
        [(TEXT, b"whole")],
    ),
    "a message inside another": ([frame(TEXT, "one", fin=False), frame(TEXT, "x"), frame(TEXT, "y")], []),
    "a message inside another, behind a ping": (
        [frame(TEXT, "one", fin=False), frame(PING, "p"), frame(BINARY, "x", fin=False), frame(CONTINUATION, "y")],
        [(PONG, b"p")],
    ),
}


@in_every_way
@pytest.mark.parametrize("frames, answers", MISFRAGMENTED.values(), ids=MISFRAGMENTED.keys())
def test_misplaced_fragments_close_with_1002_behind_what_was_right(client, frames, answers, deliver):
    deliver_what_may_be_cut_off(deliver, client, frames)
    assert answers_up_to_close(client) == (answers, 1002)
    client.expect_end(reset_allowed=True)


# 8.1: text is UTF-8. Python's strict decoder is the reference.


def is_utf8(data):
    try:
        data.decode("utf-8", "strict")
        return True
    except UnicodeDecodeError:
        return False


# First bytes, and the edges of every range that the table in RFC 3629, section 4, has for a second one.
SECOND = [0x00, 0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
FIRST = {
    "80 to BF, continuations": range(0x80, 0xC0, 9),
    "C0 to DF, two bytes": [0xC0, 0xC1, 0xC2, 0xC3, 0xDE, 0xDF],
    "E0 to EF, three bytes": range(0xE0, 0xF0),
    "F0 to F7, four bytes": range(0xF0, 0xF8),
    "F8 to FF, none": range(0xF8, 0x100),
}


def sequences(first_bytes):
    """Sequences with these first bytes: alone, and followed by every second one and right and wrong rests."""
    rests = [b"", b"\x80", b"\xc0", b"\x80\xbf", b"\x80\x20", b"\xbf\x80\x80\xbf"]
    for first in first_bytes:
        yield bytes([first])
        yield from (bytes([first, second]) + rest for second, rest in itertools.product(SECOND, rests))


@pytest.mark.parametrize("first_bytes", FIRST.values(), ids=FIRST.keys())
def test_every_sequence_is_relayed_or_closes_with_1007_as_a_strict_decoder_says(room, first_bytes):
    client = room.connect()
    for data in sequences(first_bytes):
        client.send_frame(TEXT, data)
        if is_utf8(data):
            client.expect_message(TEXT, data)
        else:
            client.expect_failure(1007)
            client.close()
            client = room.connect()


def code_points():
    """The first and the last of every length, of the surrogates' neighbours and of every plane, and the specials."""
    edges = {0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFDD0, 0xFDEF, *range(0xFFF9, 0x10000)}
    return sorted(edges | {plane << 16 | low for plane in range(17) for low in (0, 0xFFFE, 0xFFFF)})


@pytest.mark.parametrize("point", code_points(), ids=lambda point: f"U+{point:04X}")
def test_noncharacters_and_specials_are_text_too(client, point):
    client.send_text(f"<{chr(point)}>")
    client.expect_message(TEXT, f"<{chr(point)}>")


TEXTS = {
    "Greek": "κόσμε",
    "a mixture": "Hello-µ@ßöäüàá-UTF-8!!",
    "all lengths": "$£€𐍈",
    "long": "Καλημέρα κόσμε, コンニチハ, 안녕하세요 😀 " * 40,
}


@in_every_way
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_may_be_cut_at_every_character_and_every_byte(client, text, deliver):
    by_character = [frame(CONTINUATION if n else TEXT, each, fin=False) for n, each in enumerate(text)]
    for frames in (
        [frame(TEXT, text)],
        [*by_character, frame(CONTINUATION)],
        fragments(TEXT, text.encode(), 1),
        [frame(TEXT, fin=False), frame(CONTINUATION, text, fin=False), frame(CONTINUATION)],
    ):
        deliver(client, frames)
        client.expect_message(TEXT, text)


def test_each_beginning_of_a_text_is_text_where_a_character_ends_and_nowhere_else(room):
    data = "$£€𐍈κόσμε".encode()
    for end in range(1, len(data) + 1):
        client = room.connect()
        client.send_frame(TEXT, data[:end])
        if is_utf8(data[:end]):
            client.expect_message(TEXT, data[:end])
        else:
            client.expect_failure(1007)
        client.close()


def test_wrong_text_between_right_fragments_closes_before_the_last_one_is_sent(room):
    for wrong in (b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf4\x90"):
        client = room.connect()
        client.send_frame(TEXT, "κόσμε", fin=False)
        client.send_frame(CONTINUATION, wrong, fin=False)
        client.expect_failure(1007)


# 5.5.1: the close in front of something and behind something.


def test_a_large_message_in_front_of_a_close_comes_back_whole(client):
    data = random.Random(7).randbytes(256 * KIB)
    client.send(frame(BINARY, data) + frame(CLOSE, close_payload(1000)) + frame(PING, "too late"))
    assert answers_up_to_close(client) == ([(BINARY, data)], 1000)
    client.expect_end(reset_allowed=True)


@in_every_way
def test_a_message_begun_before_a_close_cannot_be_finished_after_it(client, deliver):
    frames = [
        frame(TEXT, "one", fin=False),
        frame(CLOSE, close_payload(1000, "enough")),
        frame(CONTINUATION, "two"),
        frame(PING, "too late"),
    ]
    deliver_what_may_be_cut_off(deliver, client, frames)
    assert answers_up_to_close(client) == ([], 1000)
    client.expect_end(reset_allowed=True)


# Large messages, whole and in pieces.

OPCODES = pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])


@pytest.fixture
def roomy(start_wsd):
    """A client of a daemon that takes messages of up to 16 MiB."""
    return start_wsd('[websocket]\nmax_message_size = "16MiB"\n[queue]\nlimit = "64MiB"').connect()


def payload_of(opcode, size):
    """So many bytes, of which a lost or doubled piece would show; characters of all lengths if it is for text."""
    if opcode == BINARY:
        return random.Random(size).randbytes(size)
    text = "".join(f"{number:x}é€😀" for number in range(size // 10 + 1)).encode()[:size].decode(errors="ignore")
    return (text + "." * (size - len(text.encode()))).encode()


def named(size):
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


@OPCODES
@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB], ids=named)
def test_a_large_message_in_one_frame_comes_back_whole(roomy, opcode, size):
    data = payload_of(opcode, size)
    roomy.send_frame(opcode, data)
    roomy.expect_message(opcode, data)


PIECES = [(size, 64) for size in (64 * KIB, 256 * KIB, MIB)]
PIECES += [(64 * KIB, 1300), (16 * MIB, 1300)]
PIECES += [(4 * MIB, 1 << shift) for shift in range(8, 23, 2)] + [(16 * MIB, MIB), (16 * MIB, 16 * MIB - 1)]


@OPCODES
@pytest.mark.parametrize("size, piece", PIECES, ids=named)
def test_a_large_message_in_fragments_comes_back_whole(roomy, opcode, size, piece):
    data = payload_of(opcode, size)
    roomy.send(b"".join(fragments(opcode, data, piece)))
    roomy.expect_message(opcode, data)


@OPCODES
@pytest.mark.parametrize(
    "size, chop", [(64 * KIB, 997), (MIB, 64), (MIB, 128), (MIB, 256), (MIB, 512), (MIB, 1024), (MIB, 2048)], ids=named
)
def test_one_frame_may_come_in_any_number_of_segments(client, opcode, size, chop):
    data = payload_of(opcode, size)
    whole = frame(opcode, data)
    for start in range(0, len(whole), chop):
        client.send(whole[start : start + chop])
    client.expect_message(opcode, data)


@pytest.mark.parametrize("piece", [64 * KIB, MIB, 16 * MIB], ids=named)
def test_one_byte_beyond_a_large_limit_closes_with_1009(roomy, piece):
    *most, last = fragments(BINARY, bytes(16 * MIB + 1), piece)
    roomy.send(b"".join(most))
    deliver_what_may_be_cut_off(at_once, roomy, [last])
    roomy.expect_failure(1009)


@OPCODES
@pytest.mark.parametrize("size", [0, 16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB], ids=named)
def test_a_thousand_messages_go_to_and_fro(client, opcode, size):
    data = payload_of(opcode, max(size - 8, 0))
    for number in range(1000):
        numbered = b"%08d" % number + data if size else b""
        client.send_frame(opcode, numbered)
        client.expect_message(opcode, numbered)


@OPCODES
def test_a_thousand_messages_that_are_sent_without_waiting_come_back_in_order(client, opcode):
    messages = [payload_of(opcode, number) for number in range(1000)]
    at_once(client, [frame(opcode, each) for each in messages])
    for each in messages:
        client.expect_message(opcode, each)
