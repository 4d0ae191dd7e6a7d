"""permessage-deflate, RFC 7692: its negotiation, its frames, what it may cost, and what each of a channel hears."""

import itertools
import json
import random
import struct
import zlib
from pathlib import Path

import pytest

from rawws import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    ProtocolViolation,
    close_payload,
    deflate,
    fragments,
    frame,
    inflate,
)
from test_frames import CUT_OFF, MAX_MESSAGE, NOT_UTF8

OFFER = "permessage-deflate; client_max_window_bits"  # what browsers offer
NO_TAKEOVER = {"server_no_context_takeover": True, "client_no_context_takeover": True}
WINDOWS = range(8, 16)

# What a daemon may grow by for messages within max_message_size, some at the same time.
SLACK = 16 << 20


def agreed(bits=None):
    """The server's answer to a client that limits the window, or doesn't."""
    return NO_TAKEOVER | ({} if bits is None else {"server_max_window_bits": bits})


@pytest.fixture
def client(room):
    return room.connect(offer=OFFER)


def check_compressed_echo(client, text="compressed " * 100):
    """A compressed message comes back, compressed if that was negotiated."""
    client.send_compressed(TEXT, text)
    client.expect_message(TEXT, text)


def send_what_may_be_cut_off(client, data):
    try:
        client.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


# 5, 7.1: the negotiation.


def test_every_combination_of_valid_parameters_is_agreed_to(room):
    for order, server_takeover, client_takeover, server_bits, client_bits in itertools.product(
        (1, -1),
        ("", "; server_no_context_takeover"),
        ("", "; client_no_context_takeover"),
        (None, *WINDOWS),
        ("", "; client_max_window_bits", *(f"; client_max_window_bits={bits}" for bits in WINDOWS)),
    ):
        server_window = "" if server_bits is None else f"; server_max_window_bits={server_bits}"
        parameters = [server_takeover, client_takeover, server_window, client_bits][::order]
        client = room.connect(offer="permessage-deflate" + "".join(parameters))
        assert client.deflate == agreed(server_bits), parameters
        client.close()


ACCEPTED = {
    "a quoted value": ('permessage-deflate; server_max_window_bits="10"', 10),
    "a quoted value with a quoted pair": (r'permessage-deflate; server_max_window_bits="1\0"', 10),
    "two quoted values": ('permessage-deflate; client_max_window_bits="15"; server_max_window_bits="8"', 8),
    "no white space": ("permessage-deflate;server_max_window_bits=9;client_max_window_bits", 9),
    "much white space": (" \tpermessage-deflate \t;  server_max_window_bits=9  ;\tclient_max_window_bits\t ", 9),
    "an extension before it": ("x-other; a=1; b, permessage-deflate; server_max_window_bits=11", 11),
    "an extension behind it": ("permessage-deflate; server_max_window_bits=11, x-other; server_max_window_bits=9", 11),
    "quoted separators before it": (r'x; a="b, c; d=\"e"; f, permessage-deflate; server_max_window_bits=12', 12),
    "the first of two": ("permessage-deflate; server_max_window_bits=12, permessage-deflate", 12),
    "the first of two, without a limit": ("permessage-deflate, permessage-deflate; server_max_window_bits=12", None),
    "empty elements around it": (", ,permessage-deflate,,", None),
}


@pytest.mark.parametrize("offer, bits", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_offer_is_agreed_to_however_it_is_written(room, offer, bits):
    client = room.connect(offer=offer)
    assert client.deflate == agreed(bits)
    check_compressed_echo(client)


INVALID = [
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=0",
    "server_max_window_bits=08",
    "server_max_window_bits=010",
    "server_max_window_bits=-8",
    "server_max_window_bits=+9",
    "server_max_window_bits=9.0",
    "server_max_window_bits=0x9",
    "server_max_window_bits=ten",
    "server_max_window_bits=4294967306",
    "server_max_window_bits=18446744073709551625",
    'server_max_window_bits=""',
    'server_max_window_bits="9 "',
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits=x",
    'client_max_window_bits=""',
    "server_no_context_takeover=1",
    "server_no_context_takeover=true",
    'server_no_context_takeover=""',
    "client_no_context_takeover=0",
    "client_no_context_takeover=client_no_context_takeover",
    "server_max_window_bits=9; server_max_window_bits=9",
    "client_max_window_bits; client_max_window_bits=9",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "max_window_bits=9",
    "server_max_window_bits_=9",
    "mem_level=8",
    "client_max_window_bits; x",
]


@pytest.mark.parametrize("parameters", INVALID)
def test_an_invalid_offer_is_declined_and_the_connection_is_a_plain_one(room, parameters):
    client = room.connect(offer=f"permessage-deflate; {parameters}")
    assert client.deflate is None
    client.expect_echo("plain " * 1000)
    client.send_compressed(TEXT, "not agreed on")
    client.expect_failure(1002)


@pytest.mark.parametrize("parameters", INVALID)
def test_an_invalid_offer_is_passed_over_for_the_next_one(room, parameters):
    offers = [parameters, "unknown", "server_max_window_bits=13", "server_max_window_bits=14"]
    client = room.connect(offer=", ".join(f"permessage-deflate; {each}" for each in offers))
    assert client.deflate == agreed(13)
    check_compressed_echo(client)


@pytest.mark.parametrize(
    "offer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate2",
        "permessage",
        "x-permessage-deflate; client_max_window_bits",
        "permessage-bzip2, permessage-snappy",
        'x-other; a="1, permessage-deflate"',
        'x-other; a="\\", permessage-deflate"',
    ],
)
def test_other_extensions_are_not_agreed_to(room, offer):
    client = room.connect(offer=offer)
    assert client.deflate is None
    client.expect_echo("plain " * 1000)


def test_a_name_in_another_case_fails_nothing(room):
    for offer in ("Permessage-Deflate", "permessage-deflate; Server_Max_Window_Bits=10"):
        client = room.connect(offer=offer)
        check_compressed_echo(client) if client.deflate is not None else client.expect_echo()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate; =10",
        "permessage-deflate; server_max_window_bits=",
        'permessage-deflate; server_max_window_bits="10',
        'permessage-deflate; server_max_window_bits=10"',
        "permessage-deflate; server_max_window_bits=1 0",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate/client_max_window_bits",
        "; permessage-deflate",
        "permessage-deflate; " * 50,
    ],
)
def test_an_offer_against_the_grammar_gets_no_compression(room, offer):
    client = room.connect(offer=offer)
    assert client.deflate is None
    client.expect_echo()


def test_several_header_lines_are_one_list(room):
    lines = ["x-other", "permessage-deflate; nonsense, x-more", "permessage-deflate; server_max_window_bits=9", OFFER]
    client = room.connect(headers=[("Sec-WebSocket-Extensions", line) for line in lines])
    assert client.deflate == agreed(9)
    check_compressed_echo(client)


def test_a_hundred_declined_offers_do_not_hide_the_right_one(room):
    client = room.connect(offer="permessage-deflate; x=1, " * 100 + OFFER)
    assert client.deflate == agreed()


def test_without_an_offer_nothing_is_compressed(room):
    client = room.connect()
    assert client.deflate is None
    client.expect_echo("a" * 100_000)


def test_without_compression_configured_no_offer_is_agreed_to(start_wsd):
    client = start_wsd("[websocket]\ncompression = false").connect(offer=OFFER)
    assert client.deflate is None
    client.expect_echo("a" * 100_000)
    client.send_compressed(TEXT, "not agreed on")
    client.expect_failure(1002)


# 7.2: messages to the server, in whatever way they are compressed.


def stored(data):
    """Blocks without compression (RFC 1951, section 3.2.4)."""
    parts = [data[start : start + 65535] for start in range(0, len(data), 65535)]
    return b"".join(b"\0" + struct.pack("<HH", len(part), len(part) ^ 0xFFFF) + part for part in parts)


def copied(distance):
    """A block of fixed codes (RFC 1951, section 3.2.6) with three bytes from so far back, 24,577 to 32,768."""
    bits = "0" "10" "0000001" "11101" + f"{distance - 24577:013b}"[::-1] + "0000000"
    return packed(bits + "000")


def packed(bits):
    """Bits as bytes, the first one lowest."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8][::-1], 2) for start in range(0, len(bits), 8))


def compressed(data, *, level=6, bits=15, memory=8, strategy=zlib.Z_DEFAULT_STRATEGY, flush=None, piece=1 << 30):
    """A message from zlib, with a flush behind each piece."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -bits, memory, strategy)
    parts = [data[start : start + piece] for start in range(0, len(data), piece)]
    payload = b"".join(deflater.compress(part) + (deflater.flush(flush) if flush else b"") for part in parts)
    return (payload + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


HELLO = b"Hello"
ENDED = bytes.fromhex("f3 48 cd c9 c9 07 00")  # with BFINAL
PROSE = "Καλημέρα κόσμε. Good morning, 😀 world! ".encode() * 60
NOISE = random.Random(7692).randbytes(32768)

MESSAGES = {
    "RFC 7.2.3.1, one block": (bytes.fromhex("f2 48 cd c9 c9 07 00"), HELLO),
    "RFC 7.2.3.3, no compression": (bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00"), HELLO),
    "RFC 7.2.3.4, a last block": (ENDED + b"\x00", HELLO),
    "RFC 7.2.3.5, two blocks": (bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), HELLO),
    "RFC 7.2.3.6, nothing": (b"\x00", b""),
    "nothing in a block of fixed codes": (bytes.fromhex("02 00"), b""),
    "nothing in a last block": (bytes.fromhex("03 00 00"), b""),
    "nothing in an empty stored block": (bytes.fromhex("00 00 00 ff ff 00"), b""),
    "nothing in a hundred blocks": (bytes.fromhex("00 00 00 ff ff") * 100 + b"\x00", b""),
    "two last blocks": (ENDED * 2 + b"\x00", HELLO * 2),
    "a last block before another": (ENDED + bytes.fromhex("f2 48 cd c9 c9 07 00"), HELLO * 2),
    "a stored last block": (bytes.fromhex("01 05 00 fa ff") + HELLO + b"\x00", HELLO),
    "stored blocks of one byte": (b"".join(stored(bytes([each])) for each in HELLO) + b"\x00", HELLO),
    "a full stored block and another": (stored(bytes(range(256)) * 300) + b"\x00", bytes(range(256)) * 300),
    "a reference over the whole window": (stored(NOISE) + copied(32768), NOISE + NOISE[:3]),
    "a reference out of a stored block": (stored(NOISE[:30000]) + copied(29999), NOISE[:30000] + NOISE[1:4]),
    "fixed codes": (compressed(PROSE, strategy=zlib.Z_FIXED), PROSE),
    "Huffman codes alone": (compressed(PROSE, strategy=zlib.Z_HUFFMAN_ONLY), PROSE),
    "run lengths alone": (compressed(b"a" * 5000 + PROSE, strategy=zlib.Z_RLE), b"a" * 5000 + PROSE),
    "many small blocks": (compressed(NOISE, memory=1), NOISE),
    "a flush behind every byte": (compressed(PROSE[:300], flush=zlib.Z_SYNC_FLUSH, piece=1), PROSE[:300]),
    "a full flush now and then": (compressed(PROSE, flush=zlib.Z_FULL_FLUSH, piece=500), PROSE),
    "zeros": (compressed(bytes(1_000_000)), bytes(1_000_000)),
}
MESSAGES |= {f"level {level}": (compressed(PROSE, level=level), PROSE) for level in range(10)}
MESSAGES |= {f"a window of {bits} bits": (compressed(NOISE + NOISE, bits=bits), NOISE + NOISE) for bits in range(9, 16)}

EACH_MESSAGE = pytest.mark.parametrize("payload, data", MESSAGES.values(), ids=MESSAGES.keys())


def opcode_for(data):
    try:
        data.decode()
        return TEXT
    except UnicodeDecodeError:
        return BINARY


@EACH_MESSAGE
def test_a_compressed_message_is_inflated(room, payload, data):
    plain, client = room.connect(), room.connect(offer=OFFER)
    for opcode in {opcode_for(data), BINARY}:
        client.send_frame(opcode, payload, rsv=RSV1)
        plain.expect_message(opcode, data)
        client.expect_message(opcode, data)
    client.expect_echo()


@EACH_MESSAGE
@pytest.mark.parametrize("size", [1, 2, 3, 1000], ids=lambda size: f"fragments of {size}")
def test_a_compressed_message_may_be_in_fragments(client, payload, data, size):
    if len(payload) > 1000 * size:
        size = len(payload) // 7
    opcode = opcode_for(data)
    client.send(b"".join(fragments(opcode, payload, size, rsv=RSV1)))
    client.expect_message(opcode, data)
    client.expect_echo()


def test_a_compressed_message_may_be_cut_anywhere(client):
    payload = deflate(PROSE)
    for cut in range(len(payload) + 1):
        client.send_frame(TEXT, payload[:cut], rsv=RSV1, fin=False)
        client.send_frame(CONTINUATION, payload[cut:])
        client.expect_message(TEXT, PROSE)


def test_a_compressed_message_may_come_byte_by_byte(client):
    client.send_by_byte(frame(TEXT, deflate(PROSE), rsv=RSV1))
    client.expect_message(TEXT, PROSE)


def test_control_frames_may_stand_between_compressed_fragments(client):
    first, *others = fragments(TEXT, deflate(PROSE), 20, rsv=RSV1)
    client.send(first)
    for number, each in enumerate(others):
        client.send_frame(PING, f"ping {number}")
        got = client.receive_frame()
        assert (got.opcode, got.payload) == (PONG, f"ping {number}".encode())
        client.send_frame(PONG, "unasked")
        client.send(each)
    client.expect_message(TEXT, PROSE)


def test_empty_fragments_may_stand_anywhere_in_a_compressed_message(client):
    payload = deflate(PROSE)
    client.send_frame(TEXT, rsv=RSV1, fin=False)
    for start in range(0, len(payload), 30):
        client.send_frame(CONTINUATION, payload[start : start + 30], fin=False)
        client.send_frame(CONTINUATION, fin=False)
    client.send_frame(CONTINUATION)
    client.expect_message(TEXT, PROSE)


def test_no_payload_at_all_is_an_empty_message_or_corrupt(room):
    client = room.connect(offer=OFFER)
    client.send_frame(TEXT, b"", rsv=RSV1)
    got = client.receive_frame()
    assert (got.opcode, got.payload) in [(TEXT, b""), (CLOSE, got.payload)]
    assert got.opcode == TEXT or got.payload[:2] == close_payload(1007)


def test_plain_messages_may_come_between_compressed_ones(client):
    for number in range(50):
        text = f"message {number} " * number
        if number % 3 == 0:
            client.send_text(text)
        elif number % 3 == 1:
            client.send_compressed(TEXT, text)
        else:
            client.send(b"".join(fragments(TEXT, text.encode(), 7, rsv=0)))
        client.expect_message(TEXT, text)


def test_a_message_may_have_another_opcode_than_the_one_before(client):
    for opcode in (TEXT, BINARY, BINARY, TEXT):
        client.send_compressed(opcode, PROSE)
        client.expect_message(opcode, PROSE)


# 5.1, 6, 7.2.3: what fails the connection with 1002.

MISPLACED = {
    "on a ping": frame(PING, "a", rsv=RSV1),
    "on an empty pong": frame(PONG, rsv=RSV1),
    "on a close": frame(CLOSE, close_payload(1000), rsv=RSV1),
    "on a ping inside a compressed message": frame(TEXT, b"\xf2", rsv=RSV1, fin=False) + frame(PING, rsv=RSV1),
    "on a continuation of a compressed message": frame(TEXT, b"\xf2\x48\xcd", rsv=RSV1, fin=False)
    + frame(CONTINUATION, b"\xc9\xc9\x07\x00", rsv=RSV1),
    "on a continuation of a plain message": frame(TEXT, "a", fin=False) + frame(CONTINUATION, b"\x00", rsv=RSV1),
    "on a continuation of nothing": frame(CONTINUATION, b"\x00", rsv=RSV1),
    "on a message inside another": frame(TEXT, "a", fin=False) + frame(TEXT, b"\x00", rsv=RSV1),
    "on a reserved opcode": frame(3, b"\x00", rsv=RSV1),
    "on a reserved control opcode": frame(11, b"\x00", rsv=RSV1),
    "with the second": frame(TEXT, b"\x00", rsv=0b110),
    "with the third": frame(TEXT, b"\x00", rsv=0b101),
    "with both": frame(BINARY, b"\x00", rsv=0b111),
    "absent, and the second set": frame(TEXT, b"\x00", rsv=0b010),
    "absent, and the third set": frame(TEXT, b"\x00", rsv=0b001),
}


@pytest.mark.parametrize("data", MISPLACED.values(), ids=MISPLACED.keys())
def test_the_compression_bit_in_the_wrong_place_closes_with_1002(room, data):
    bystander, client = room.connect(), room.connect(offer=OFFER)
    client.send(frame(TEXT, deflate("before"), rsv=RSV1) + data)
    client.expect_message(TEXT, "before")
    client.expect_failure(1002)
    bystander.expect_message(TEXT, "before")
    bystander.expect_echo()


# 7.2.2: what is no DEFLATE stream, or inflates to what is no text, fails the connection with 1007.

CORRUPT = {
    "a reserved type of block": b"\x06\x00",
    "a reserved type of last block": b"\x07\x00",
    "a stored block with a wrong length": b"\x00\x05\x00\x00\x00Hello\x00",
    "RFC 7.2.3.2, a reference to the message before": bytes.fromhex("f2 00 11 00 00"),
    "a reference to before the beginning": stored(NOISE[:32767]) + copied(32768),
    "a reference as the first thing": copied(24577),
    "a reserved distance code": packed("0" "10" "0000001" "11110" "0000000" "000"),
    "a reserved length code": packed("0" "10" "11000110" "00000" "0000000" "000"),
    "too many codes": b"\xfc\x00\x00\x00",
    "an impossible set of code lengths": b"\x04\x00\xfe\xff\x00",
    "random bytes": b"\xff" + NOISE[:1000],
    "text that is not compressed": b"Hello, world!",
    "with a header of zlib's": zlib.compress(PROSE),
    "cut off in a stored block": stored(NOISE[:1000])[:700],
    "cut off where the tail left away would be its data": stored(NOISE[:1000])[:-4],
    "cut off in the header of a stored block": stored(NOISE[:100]) + b"\x00\x05",
    "cut off in a code": deflate(NOISE[:1000].hex())[:-40],
    "cut off in its code tables": deflate(NOISE[:1000].hex())[:20],
    "right for long, then wrong": compressed(PROSE, flush=zlib.Z_SYNC_FLUSH) + b"\x00\x00\xff\xff\x07",
    "behind a last block": ENDED + b"\x07",
}


@pytest.mark.parametrize("payload", CORRUPT.values(), ids=CORRUPT.keys())
@pytest.mark.parametrize("size", [1 << 20, 7], ids=["whole", "in fragments"])
def test_what_cannot_be_inflated_closes_with_1007(room, payload, size):
    bystander, client = room.connect(), room.connect(offer=OFFER)
    client.send_frame(TEXT, deflate("Hello"), rsv=RSV1)
    client.expect_message(TEXT, "Hello")
    client.send(b"".join(fragments(BINARY, payload, size, rsv=RSV1)))
    client.expect_failure(1007)
    bystander.expect_message(TEXT, "Hello")
    bystander.expect_echo()


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_message_is_inflated_as_zlib_does_or_closes_with_1007(room, seed):
    choice = random.Random(seed)
    client = room.connect(offer=OFFER)
    for _ in range(100):
        data = choice.choice([PROSE, NOISE[:2000], NOISE[:500].hex()])
        payload = bytearray(deflate(data, level=choice.randrange(10)))
        for _ in range(choice.randrange(1, 4)):
            payload[choice.randrange(len(payload))] ^= 1 << choice.randrange(8)
        payload = bytes(payload[: choice.choice([len(payload), choice.randrange(1, len(payload))])])
        try:
            wanted = inflate(payload)
        except ProtocolViolation:
            wanted = None
        client.send_frame(BINARY, payload, rsv=RSV1)
        if wanted is not None:
            client.expect_message(BINARY, wanted)
            continue
        # A last block in the damage may end it where the reference wants another.
        got = client.receive_frame()
        if got.opcode == CLOSE:
            assert got.payload[:2] in (close_payload(1007), close_payload(1009))
            client.close()
            client = room.connect(offer=OFFER)
        else:
            assert payload_has_last_block(payload), f"{payload.hex()} was taken"


def payload_has_last_block(payload):
    inflater = zlib.decompressobj(-15)
    inflater.decompress(payload)
    return inflater.eof


BAD_TEXT = NOT_UTF8 | CUT_OFF


@pytest.mark.parametrize("data", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_inflated_text_that_is_not_utf8_closes_with_1007(room, data):
    bystander = room.connect()
    for payload in (deflate(data), deflate(data, level=0), compressed(data, flush=zlib.Z_SYNC_FLUSH, piece=1)):
        client = room.connect(offer=OFFER)
        client.send(b"".join(fragments(TEXT, payload, 50, rsv=RSV1)))
        client.expect_failure(1007)
        client.close()
    bystander.expect_echo()


@pytest.mark.parametrize("data", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_an_inflated_binary_message_may_hold_anything(client, data):
    client.send_compressed(BINARY, data)
    client.expect_message(BINARY, data)


def test_a_compressed_payload_that_happens_to_be_no_text_is_none_of_utf8s_business(client):
    # And one that is text, with a character cut by a fragment: only what it inflates to counts.
    payload = stored(b"\x41" * 0xC3) + b"\x00"
    client.send(b"".join(fragments(TEXT, payload, 1, rsv=RSV1)))
    client.expect_message(TEXT, "A" * 0xC3)


# 8, and RFC 6455, 10.4: what a compressed message may cost.


def peak_memory(daemon):
    """The most resident memory it ever had (proc(5), VmHWM), in bytes."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(daemon.pid)


@pytest.fixture
def thrifty(daemon):
    """A daemon whose memory is checked not to grow much from what an honest message of the largest size costs."""
    bystander, client = daemon.connect(), daemon.connect(offer=OFFER)
    client.send_compressed(BINARY, bytes(MAX_MESSAGE))
    for each in (bystander, client):
        each.expect_message(BINARY, bytes(MAX_MESSAGE))
    before = peak_memory(daemon)
    yield daemon
    bystander.expect_echo("still there")
    grown = peak_memory(daemon) - before
    assert grown < SLACK, f"{grown >> 20} MiB more than an honest message needs"


@pytest.fixture(scope="session")
def bomb():
    """1 GiB of zeros in about 1 MB."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = deflater.compress(bytes(32 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    payload = part * 32 + b"\x00"
    assert 900_000 < len(payload) < MAX_MESSAGE - 1000
    return payload


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [MAX_MESSAGE, 4096], ids=["in one frame", "in fragments"])
def test_a_message_that_would_inflate_to_a_gigabyte_closes_with_1009(thrifty, bomb, opcode, size):
    for _ in range(5):
        client = thrifty.connect(offer=OFFER)
        *most, last = fragments(opcode, bomb, size, rsv=RSV1)
        send_what_may_be_cut_off(client, b"".join(most))
        send_what_may_be_cut_off(client, last)
        client.expect_failure(1009)
        client.close()


def test_many_messages_that_would_inflate_to_a_gigabyte_at_once_close_with_1009(thrifty, bomb):
    # Only a hundredth of the bomb each, or the payloads themselves would count.
    small = bomb[: len(bomb) // 100]
    clients = [thrifty.connect(offer=OFFER) for _ in range(50)]
    for client in clients:
        client.send_frame(BINARY, small, rsv=RSV1)
    for client in clients:
        client.expect_failure(1009)


def test_an_endless_message_of_empty_blocks_costs_no_memory(thrifty):
    client = thrifty.connect(offer=OFFER)
    nothing = frame(CONTINUATION, bytes.fromhex("00 00 00 ff ff") * 13000, fin=False)
    client.send_frame(BINARY, b"", rsv=RSV1, fin=False)
    try:
        for _ in range(1000):
            client.send(nothing)
    except (BrokenPipeError, ConnectionResetError):
        client.expect_failure(1009)
        return
    client.send_frame(CONTINUATION, b"\x00")
    got = client.receive_frame()
    assert (got.opcode, got.payload[:2]) in [(BINARY, b""), (CLOSE, close_payload(1009))]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_the_limit_holds_for_what_a_message_inflates_to(room, opcode):
    client = room.connect(offer=OFFER)
    for data in (b"a" * MAX_MESSAGE, b"a" * (MAX_MESSAGE - 1)):
        client.send_compressed(opcode, data)
        client.expect_message(opcode, data)
    client.send_compressed(opcode, b"a" * (MAX_MESSAGE + 1))
    client.expect_failure(1009)


@pytest.mark.parametrize("announced", [4 * MAX_MESSAGE, 1 << 32, (1 << 63) - 1])
def test_too_big_a_compressed_frame_closes_with_1009_as_soon_as_it_is_announced(room, announced):
    client = room.connect(offer=OFFER)
    client.send_frame(BINARY, b"", rsv=RSV1, announce=announced)
    client.expect_failure(1009)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_message_at_the_limit_may_have_grown_by_its_compression(client, level):
    # Browsers compress everything, what cannot be compressed too: five more bytes for each stored block.
    data = random.Random(level).randbytes(MAX_MESSAGE)
    payload = deflate(data, level)
    assert len(payload) > MAX_MESSAGE
    client.send_frame(BINARY, payload, rsv=RSV1)
    client.expect_message(BINARY, data)


def test_a_small_limit_is_the_one_configured(start_wsd):
    daemon = start_wsd('[websocket]\nmax_message_size = "1KiB"')
    client = daemon.connect(offer=OFFER)
    for data in (bytes(1024), random.Random(1).randbytes(1024)):
        client.send_compressed(BINARY, data)
        client.expect_message(BINARY, data)
    client.send_compressed(BINARY, bytes(1025))
    client.expect_failure(1009)


# 7.2.1: messages from the server.


def next_compressed(client, data):
    """The size in which the data came, which must have been compressed."""
    got = client.receive_frame()
    assert got.opcode in (TEXT, BINARY) and got.fin
    assert got.compressed, f"{len(got.payload)} bytes came plain"
    assert client.inflate(got.payload) == data
    return len(got.payload)


def next_plain(client, data):
    got = client.receive_frame()
    assert got.opcode in (TEXT, BINARY) and got.fin
    assert not got.compressed, f"{len(data)} bytes came compressed to {len(got.payload)}"
    assert got.payload == data


def test_what_is_smaller_than_the_threshold_comes_plain(start_wsd):
    daemon = start_wsd('[websocket]\ncompression_threshold = "1KiB"')
    client = daemon.connect(offer=OFFER)
    for send in (client.send_frame, client.send_compressed):
        for size in (0, 1, 100, 1023):
            send(TEXT, b"a" * size)
            next_plain(client, b"a" * size)
        for size in (1024, 1025, 200_000):
            send(TEXT, b"a" * size)
            assert next_compressed(client, b"a" * size) < size / 10


def test_what_does_not_gain_comes_plain(start_wsd):
    daemon = start_wsd('[websocket]\ncompression_threshold = "16B"')
    client = daemon.connect(offer=OFFER)
    for size in (16, 17, 100, 1000, 70_000, MAX_MESSAGE):
        data = random.Random(size).randbytes(size)
        for send in (client.send_frame, client.send_compressed):
            send(BINARY, data)
            next_plain(client, data)


def prose(size, seed=0):
    """Something like JSON, which compresses as such things do."""
    choice = random.Random(seed)
    items = []
    # No item has fewer than 40 bytes.
    while len(items) * 40 < size:
        name = choice.choice(["Ada", "Grace", "Käthe"])
        tags = choice.sample(["red", "green", "blue", "κίτρινο"], 2)
        items.append(json.dumps({"id": choice.randrange(10**6), "name": name, "tags": tags}))
    return ",".join(items).encode()[:size].decode(errors="ignore").encode()


def test_the_level_is_the_one_configured(start_wsd):
    data = prose(100_000)
    sizes = {}
    for level in range(1, 10):
        client = start_wsd(f"[websocket]\ncompression_level = {level}").connect(offer=OFFER)
        client.send_frame(TEXT, data)
        sizes[level] = next_compressed(client, data)
    assert sizes[1] > sizes[6] > sizes[9], sizes


def repeating(period, size):
    """Text that repeats itself only so far back: a window shorter than that sees no repetition at all."""
    return (random.Random(period).randbytes(period // 2 + 1).hex()[:period] * (size // period + 1))[:size].encode()


# Periods and sizes: those around every window's size, and others.
REPEATING = [(period, max(2 * period + 500, 4000)) for period in (3, 100, 300, 700, 3000, 6000, 12_000, 20_000, 32_000)]
REPEATING += [((1 << bits) + more, 3 << bits) for bits in WINDOWS[:-1] for more in (-262, -1, 0, 1) if more + 256 >= 0]
REPEATING += [((1 << bits) - 20, (1 << bits) + more) for bits in WINDOWS for more in (0, 1, 100)]


@pytest.mark.parametrize("level", [1, 6, 9])
def test_no_reference_goes_further_back_than_the_window_agreed_on(start_wsd, level):
    """For each window a message that a larger one would compress better; the raw client holds the server to it."""
    daemon = start_wsd(f"[websocket]\ncompression_level = {level}\ncompression_threshold = 16", workers=2)
    sender = daemon.connect()
    clients = {bits: daemon.connect(offer=f"permessage-deflate; server_max_window_bits={bits}") for bits in WINDOWS}
    clients[None] = daemon.connect(offer=OFFER)
    for period, size in REPEATING:
        data = repeating(period, size)
        sender.send_frame(TEXT, data)
        for bits, client in clients.items():
            byte_count = next_compressed(client, data)
            # A hexadecimal digit takes half a byte, and a repetition in reach of the window less.
            if size > 2 * period and (bits is None or period + 300 < 1 << bits):
                assert byte_count < size / 2 * 0.75, f"a window of {bits} bits finds nothing {period} bytes back"


def test_messages_sent_together_keep_to_each_window_too(start_wsd):
    """Short ones among long ones: each fits into some windows as a whole, and others it does not."""
    daemon = start_wsd("[websocket]\ncompression_threshold = 16", workers=2)
    sender = daemon.connect()
    clients = {bits: daemon.connect(offer=f"permessage-deflate; server_max_window_bits={bits}") for bits in WINDOWS}
    sizes = [250, 400, 500, 900, 1900, 3800, 7600, 15_000, 30_000, 300, 5000]
    messages = [repeating(size - 20, size) for size in sizes]
    for _ in range(5):
        sender.send(b"".join(frame(TEXT, each) for each in messages))
        for client in clients.values():
            for each in messages:
                next_compressed(client, each)


def test_each_message_is_compressed_by_itself(start_wsd):
    daemon = start_wsd("[websocket]\ncompression_threshold = 16")
    client = daemon.connect(offer=OFFER)
    data = prose(2000)
    sizes = set()
    for _ in range(5):
        client.send_compressed(TEXT, data)
        sizes.add(next_compressed(client, data))
    assert len(sizes) == 1, f"the same message in {sizes} bytes"


def test_control_frames_from_the_server_are_never_compressed(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "100ms"\ncompression_threshold = 1')
    client = daemon.connect(offer=OFFER)
    client.send_frame(PING, "a" * 125)
    while (got := client.receive_frame()).opcode != PONG:
        assert got.opcode == PING
    assert got.payload == b"a" * 125
    while client.receive_frame().opcode != PING:
        pass
    assert client.close_properly() == 1000


# A channel whose subscribers have agreed to different things.

KINDS = [None, "permessage-deflate", OFFER, *(f"permessage-deflate; server_max_window_bits={bits}" for bits in WINDOWS)]


@pytest.fixture
def mixed(start_wsd):
    """A daemon with two workers, and four clients of every kind spread over them."""
    daemon = start_wsd("[websocket]\ncompression_threshold = 64", workers=2)
    clients = [daemon.connect(offer=kind) for kind in KINDS for _ in range(4)]
    daemon.wait_for_connections(len(clients))
    counts = json.loads(daemon.wsctl("status", "--json").stdout)["connectionsPerWorker"]
    assert min(counts) >= len(clients) // 4, f"{counts} connections on the workers"
    return daemon, clients


def test_all_hear_the_same_whatever_they_agreed_to(mixed):
    daemon, clients = mixed
    messages = [b"", b"a", prose(63), prose(64), prose(5000), NOISE, repeating(700, 10_000), prose(30_000)]
    for number, (sender, data) in enumerate(itertools.product(clients[::7], messages)):
        opcode = opcode_for(data)
        if sender.deflate is not None and number % 2:
            sender.send(b"".join(fragments(opcode, deflate(data), 1000, rsv=RSV1)))
        else:
            sender.send_frame(opcode, data)
        for client in clients:
            client.expect_message(opcode, data)


def test_a_large_message_reaches_all_whatever_they_agreed_to(mixed):
    daemon, clients = mixed
    # Small windows are checked byte by byte, which takes its time.
    quick = [client for client in clients if client.deflate is None or "server_max_window_bits" not in client.deflate]
    for client in clients:
        if client not in quick:
            client.close()
    daemon.wait_for_connections(len(quick))
    for data in (prose(MAX_MESSAGE), random.Random(3).randbytes(MAX_MESSAGE)):
        quick[-1].send_compressed(opcode_for(data), data)
        for client in quick:
            client.expect_message(opcode_for(data), data)


def test_all_hear_everything_in_one_order_whatever_they_agreed_to(mixed):
    daemon, clients = mixed
    senders = clients[::5]
    count = 40
    for number in range(count):
        for index, sender in enumerate(senders):
            data = f"{index}:{number} " + "x" * (number * 7 % 300)
            if sender.deflate is not None and (number + index) % 2:
                sender.send_compressed(TEXT, data)
            else:
                sender.send_text(data)
    lists = [[client.receive_text() for _ in range(count * len(senders))] for client in clients]
    for each in lists:
        assert each == lists[0]
    for index in range(len(senders)):
        own = [text.split(" ")[0] for text in lists[0] if text.startswith(f"{index}:")]
        assert own == [f"{index}:{number}" for number in range(count)]


def test_those_who_compress_get_it_compressed_and_the_others_plain(mixed):
    daemon, clients = mixed
    data = b"abc" * 10_000
    clients[0].send_frame(TEXT, data)
    for client in clients:
        next_plain(client, data) if client.deflate is None else next_compressed(client, data)


def test_what_the_administrator_says_reaches_all_whatever_they_agreed_to(mixed):
    daemon, clients = mixed
    text = "maintenance at noon " * 50
    assert daemon.wsctl("broadcast", text).returncode == 0
    for client in clients:
        client.expect_message(TEXT, text)


def test_clients_that_compress_may_come_and_go(start_wsd):
    daemon = start_wsd("[websocket]\ncompression_threshold = 64", workers=2)
    steady = [daemon.connect(), daemon.connect(offer=OFFER)]
    for number in range(200):
        passing = daemon.connect(offer=KINDS[number % len(KINDS)])
        data = f"message {number} " * 50
        sender = steady[number % 2]
        sender.send_compressed(TEXT, data) if sender.deflate is not None else sender.send_text(data)
        if number % 3:
            passing.expect_message(TEXT, data)
        passing.reset() if number % 2 else passing.close()
        for client in steady:
            client.expect_message(TEXT, data)
