"""What clients may and may not send in records of TLS once the handshake is done, as tlsfuzzer tries it, which is not packaged.

Each conversation ends with the alert of RFC 8446 and RFC 5246, or goes on. Whatever it does, others are served meanwhile, and
in the end memory and descriptors are as before.
"""

import shutil
import struct
import tempfile
import time
from pathlib import Path

import pytest

from conftest import finish
from rawtls import (
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MAXIMUM, TLS12, TLS13, TLSLite, alert_of, key_update, message, record,
)  # fmt: skip
from rawws import PING, PONG, TEXT, ConnectionEnded, RawWebSocket, fragments, frame
from securedaemon import SecureDaemon
from seeded import RANDOM
from waiting import wait_until

MEBIBYTE = 1 << 20
# The records without data that wsd takes in a row, and the changes of keys that were hardly used.
MOST_EMPTY = 200
MOST_HASTY = 200
# Nobody answers this, and it is in no record but one.
UNASKED = frame(PONG, "unasked")


@pytest.fixture(scope="module")
def shared():
    """A daemon that the conversations share, and one who listens to all of them."""
    directory = Path(tempfile.mkdtemp(prefix="wsd-"))
    config = {"server": {"max_connections_per_ip": 0}, "websocket": {"ping_interval": "0s"}}
    daemon = SecureDaemon(directory / "daemon", config)
    other = daemon.connect("/chat")
    # What the first handshakes and records take once.
    for version in (TLS12, TLS13):
        with RawWebSocket(daemon.port, tls=TLSLite(version)) as client:
            client.expect_echo()
    before = daemon.resident_bytes, daemon.descriptor_count
    yield daemon, other
    try:
        wait_until(lambda: daemon.descriptor_count <= before[1], "the descriptors are given back")
        assert daemon.resident_bytes - before[0] < 16 * MEBIBYTE
    finally:
        failure = finish(daemon)
        shutil.rmtree(directory)
    if failure:
        pytest.fail(failure, pytrace=False)


@pytest.fixture
def connect(shared):
    """Connects to the daemon with a version of TLS; who was connected before is served as ever."""
    daemon, other = shared
    clients = []

    def connect(version=TLS13, **options):
        clients.append(RawWebSocket(daemon.port, tls=TLSLite(version, **options)))
        return clients[-1]

    yield connect
    assert daemon.is_alive()
    other.send_frame(PING, "still there")
    while (got := other.receive_frame()).opcode != PONG:
        pass
    assert got.payload == b"still there"
    for client in clients:
        client.socket.raw.close()


def expect(client, outcome):
    """The conversation goes on (`True`), or ends with this alert, one of these, or none (`None`)."""
    if outcome is True:
        client.expect_alive()
        return
    outcomes = outcome if isinstance(outcome, set) else {outcome}
    client.socket.settimeout(30)
    got = alert_of(lambda: client.socket.read(min=1))
    assert got in outcomes, f"{got}, not {outcomes}"
    # After an alert nothing comes, and the stream ends.
    try:
        assert not client.socket.raw.recv(1)
    except ConnectionResetError:
        pass


def application(client, content=UNASKED, **options):
    return client.socket.seal(APPLICATION_DATA, content, **options)


# Records. Each conversation is a function of a client that sends something.


def put(*parts):
    """Sends records that are made of (type, content) or of options of `seal`."""

    def send(client):
        for part in parts:
            type, content, options = (*part, {})[:3]
            client.socket.put(client.socket.seal(type, content, **options))

    return send


def plainly(*records):
    """Sends bytes as they are."""
    return lambda client: client.socket.put(*records)


def whole_message(client):
    """A message that fills three records, one of them to the brim."""
    text = frame(TEXT, "x" * (2 * MAXIMUM))
    for start in (0, MAXIMUM, 2 * MAXIMUM):
        client.socket.put(client.socket.seal(APPLICATION_DATA, text[start : start + MAXIMUM]))
    client.expect_message(TEXT, "x" * (2 * MAXIMUM))


def byte_by_byte(client):
    client.socket.put_by_byte(application(client, frame(TEXT, "slowly")), application(client, b""))
    client.expect_message(TEXT, "slowly")


def byte_a_record(client):
    for byte in frame(TEXT, "in pieces"):
        client.socket.put(application(client, bytes([byte])))
    client.expect_message(TEXT, "in pieces")


def many_in_a_segment(client):
    texts = [str(number) for number in range(500)]
    client.socket.put(*(application(client, frame(TEXT, text)) for text in texts))
    for text in texts:
        client.expect_message(TEXT, text)


def empty_between_data(client):
    for _ in range(3):
        client.socket.put(*(application(client, b"") for _ in range(MOST_EMPTY)), application(client))


def too_many_empty(client):
    client.socket.put(*(application(client, b"") for _ in range(MOST_EMPTY + 1)))


def flipped(place):
    """A record with a bit flipped at one place of its body, from the front or from the end."""

    def send(client):
        sealed = bytearray(application(client, UNASKED * 4))
        sealed[5 + place if place >= 0 else place] ^= 0x10
        client.socket.put(sealed)

    return send


def sent_twice(client):
    sealed = application(client)
    client.socket.put(sealed, sealed)


def out_of_order(client):
    first, second = application(client), application(client)
    client.socket.put(second, first)


def left_out(client):
    application(client)
    client.socket.put(application(client))


def torn(client):
    client.socket.put(application(client)[:-3])
    client.socket.raw.shutdown(1)


RECORDS_13 = {
    "a message in three records": (whole_message, True),
    "a byte at a time": (byte_by_byte, True),
    "a byte in each record": (byte_a_record, True),
    "five hundred records at once": (many_in_a_segment, True),
    "no data": (put((APPLICATION_DATA, b"")), True),
    "no data often, with data between": (empty_between_data, True),
    "no data too often": (too_many_empty, "unexpected_message"),
    "no data but padding": (put((APPLICATION_DATA, b"", {"padding": 500})), True),
    "a little padding": (put((APPLICATION_DATA, UNASKED, {"padding": 1})), True),
    "all the padding there may be": (put((APPLICATION_DATA, UNASKED, {"padding": MAXIMUM - len(UNASKED)})), True),
    "a byte of padding more": (put((APPLICATION_DATA, UNASKED, {"padding": MAXIMUM - len(UNASKED) + 1})), "record_overflow"),
    "a byte of content more": (put((APPLICATION_DATA, bytes(MAXIMUM) + b"\1")), "record_overflow"),
    "only zeros": (put((0, b"", {"inner": bytes(100)})), "unexpected_message"),
    "as many zeros as there may be": (put((0, b"", {"inner": bytes(MAXIMUM + 1)})), "unexpected_message"),
    "a single zero": (put((0, b"", {"inner": b"\0"})), "unexpected_message"),
    "not even a type": (put((0, b"", {"inner": b""})), "unexpected_message"),
    "an unknown type within": (put((99, b"x")), "unexpected_message"),
    "the type of heartbeats within": (put((24, b"\1\0\1x" + bytes(16))), "unexpected_message"),
    "the largest type within": (put((255, b"x")), "unexpected_message"),
    "a change of ciphers within": (put((CHANGE_CIPHER_SPEC, b"\1")), "unexpected_message"),
    "a change of ciphers": (plainly(record(CHANGE_CIPHER_SPEC, b"\1")), "unexpected_message"),
    "another version in the header": (put((APPLICATION_DATA, UNASKED, {"version": (3, 1)})), True),
    "a body that is longer than any": (plainly(record(APPLICATION_DATA, b"", announce=MAXIMUM + 257)), "record_overflow"),
    "the longest body, of noise": (plainly(record(APPLICATION_DATA, bytes(MAXIMUM + 17))), "bad_record_mac"),
    "no body": (plainly(record(APPLICATION_DATA, b"")), "bad_record_mac"),
    "a body that is shorter than a tag": (plainly(record(APPLICATION_DATA, bytes(15))), "bad_record_mac"),
    "a body that is only a tag, of noise": (plainly(record(APPLICATION_DATA, bytes(16))), "bad_record_mac"),
    "a handshake record that is not sealed": (plainly(record(HANDSHAKE, key_update(0))), "unexpected_message"),
    "an alert that is not sealed": (plainly(record(ALERT, b"\1\0")), "unexpected_message"),
    "a record of no known type": (plainly(record(0x80, bytes(40))), "unexpected_message"),
    "a record twice": (sent_twice, "bad_record_mac"),
    "two records in the wrong order": (out_of_order, "bad_record_mac"),
    "a record left out": (left_out, "bad_record_mac"),
    "the end within a record": (torn, "close_notify"),
} | {f"a bit flipped at {place} of the body": (flipped(place), "bad_record_mac") for place in (0, 7, 8, 20, -17, -16, -1)}  # fmt: skip

RECORDS_12 = {
    name: RECORDS_13[name]
    for name in (
        "a message in three records", "a byte at a time", "a byte in each record", "five hundred records at once", "no data",
        "no data often, with data between", "no data too often", "a byte of content more", "a body that is longer than any",
        "no body", "a body that is shorter than a tag", "a body that is only a tag, of noise", "a record twice",
        "two records in the wrong order", "a record left out", "the end within a record",
        *(name for name in RECORDS_13 if "flipped" in name),
    )
} | {
    "an unknown type": (put((99, b"x")), "unexpected_message"),
    "the type of heartbeats": (put((24, b"\1\0\1x" + bytes(16))), "unexpected_message"),
    "another version in the header": (plainly(record(APPLICATION_DATA, bytes(40), (3, 1))), "protocol_version"),
    "a sealed change of ciphers": (put((CHANGE_CIPHER_SPEC, b"\1")), "unexpected_message"),
    "a change of ciphers": (plainly(record(CHANGE_CIPHER_SPEC, b"\1")), {"bad_record_mac", "unexpected_message"}),
    "an alert that is not sealed": (plainly(record(ALERT, b"\1\0")), "bad_record_mac"),
}  # fmt: skip


# Alerts.


def alert(*values):
    return (ALERT, bytes(values))


ALERTS_13 = {
    "the end": (put(alert(1, 0)), "close_notify"),
    "the end, said to be fatal": (put(alert(2, 0)), "close_notify"),
    "the end, and data behind it": (put(alert(1, 0), (APPLICATION_DATA, frame(TEXT, "too late"))), "close_notify"),
    "a cancel, which has no effect": (put(alert(1, 90)), True),
    "cancels without end": (put(*[alert(1, 90)] * (MOST_EMPTY + 1)), "unexpected_message"),
    "a fatal alert": (put(alert(2, 40)), None),
    "a warning, which is fatal": (put(alert(1, 100)), None),
    "an unknown alert": (put(alert(1, 213)), None),
    "an unknown level": (put(alert(7, 40)), None),
    "an alert without anything": (put(alert()), "unexpected_message"),
    "an alert without anything but padding": (put((ALERT, b"", {"padding": 40})), "unexpected_message"),
    "half an alert": (put(alert(1), alert(0)), {"decode_error", "unexpected_message"}),
    "two alerts in a record": (put(alert(1, 90, 1, 0)), {"decode_error", "unexpected_message"}),
    "an alert with a byte more": (put(alert(2, 40, 0)), {"decode_error", "unexpected_message"}),
    "a very long alert": (put((ALERT, bytes([1, 90]) * 8_000)), {"decode_error", "unexpected_message"}),
}

ALERTS_12 = {
    "the end": (put(alert(1, 0)), "close_notify"),
    "warnings": (put(*[alert(1, 100)] * 20), True),
    "warnings without end": (put(*[alert(1, 100)] * (MOST_EMPTY + 1)), "unexpected_message"),
    "a fatal alert": (put(alert(2, 40)), None),
    "an alert without anything": (put(alert()), "decode_error"),
    "half an alert": (put(alert(1), alert(0)), "decode_error"),
    "two alerts in a record": (put(alert(1, 100, 1, 0)), "decode_error"),
}

# Messages of a handshake.


def new_keys(value=0, times=1, data=b""):
    """New keys, that are used for what follows."""

    def send(client):
        for _ in range(times):
            client.socket.put(client.socket.seal(HANDSHAKE, key_update(value)))
            client.socket.next_write_keys()
            if data:
                client.socket.put(application(client, data))

    return send


def new_keys_in_pieces(client):
    for byte in key_update(1):
        client.socket.put(client.socket.seal(HANDSHAKE, bytes([byte])))
    client.socket.next_write_keys()


def new_keys_in_pieces_a_byte_at_a_time(client):
    update = key_update(0)
    client.socket.put_by_byte(client.socket.seal(HANDSHAKE, update[:2]), client.socket.seal(HANDSHAKE, update[2:]))
    client.socket.next_write_keys()


def new_keys_between_the_records_of_a_message(client):
    text = frame(TEXT, "under two keys")
    client.socket.put(application(client, text[:9]))
    new_keys(1)(client)
    client.socket.put(application(client, text[9:]))
    client.expect_message(TEXT, "under two keys")


def new_keys_not_used(client):
    client.socket.put(client.socket.seal(HANDSHAKE, key_update(0)), application(client))


def new_keys_while_nothing_is_read(client):
    """Each asks for an answer, which the server owes once."""
    flood = []
    for _ in range(MOST_HASTY):
        flood.append(client.socket.seal(HANDSHAKE, key_update(1)))
        client.socket.next_write_keys()
        flood.append(application(client))
    client.socket.put(*flood)


def new_keys_often_enough_used(client):
    """As many as one likes, if each has been worth its price."""
    for _ in range(MOST_HASTY + 20):
        client.socket.put(*(application(client) for _ in range(16)))
        new_keys()(client)


def data_within_new_keys(client):
    client.socket.put(client.socket.seal(HANDSHAKE, key_update(0)[:3]), application(client))


def alert_within_new_keys(client):
    client.socket.put(client.socket.seal(HANDSHAKE, key_update(0)[:3]), client.socket.seal(ALERT, b"\1\x5a"))


MESSAGES_13 = {
    "new keys": (new_keys(), True),
    "new keys, and new ones of the server": (new_keys(1), True),
    "new keys a hundred times": (new_keys(1, times=100), True),
    "new keys in pieces": (new_keys_in_pieces, True),
    "new keys in pieces, a byte at a time": (new_keys_in_pieces_a_byte_at_a_time, True),
    "new keys within a message": (new_keys_between_the_records_of_a_message, True),
    "new keys while nothing is read": (new_keys_while_nothing_is_read, True),
    "new keys often, and used": (new_keys_often_enough_used, True),
    "new keys without end": (new_keys(times=MOST_HASTY + 1), "unexpected_message"),
    "new keys without end, and data": (new_keys(times=MOST_HASTY + 1, data=UNASKED), "unexpected_message"),
    "new keys that are not used": (new_keys_not_used, "bad_record_mac"),
    "new keys of another kind": (put((HANDSHAKE, key_update(2))), "illegal_parameter"),
    "new keys of the largest kind": (put((HANDSHAKE, key_update(255))), "illegal_parameter"),
    "new keys of no kind": (put((HANDSHAKE, message(24, b""))), "decode_error"),
    "new keys of two bytes": (put((HANDSHAKE, message(24, b"\0\0"))), "decode_error"),
    "new keys of sixteen million bytes": (put((HANDSHAKE, b"\x18\xff\xff\xff")), "decode_error"),
    "new keys twice in a record": (put((HANDSHAKE, key_update(0) * 2)), "unexpected_message"),
    "new keys and another byte": (put((HANDSHAKE, key_update(0) + b"\0")), "unexpected_message"),
    "data within new keys": (data_within_new_keys, "unexpected_message"),
    "an alert within new keys": (alert_within_new_keys, "unexpected_message"),
    "a message without anything": (put((HANDSHAKE, b"")), "unexpected_message"),
    "a message without anything within new keys": (
        put((HANDSHAKE, key_update(0)[:3]), (HANDSHAKE, b"")), "unexpected_message",
    ),
} | {
    f"a message of type {number}": (put((HANDSHAKE, message(number, bytes(40)))), "unexpected_message")
    for number in (0, 1, 2, 3, 4, 5, 8, 11, 13, 15, 16, 20, 21, 25, 254, 255)
}  # fmt: skip

MESSAGES_12 = {
    "a hello to negotiate anew": (put((HANDSHAKE, message(1, bytes(40)))), "no_renegotiation"),
    "half a hello": (put((HANDSHAKE, message(1, bytes(40))[:9])), "no_renegotiation"),
    "new keys": (put((HANDSHAKE, key_update(0))), "unexpected_message"),
    "a message without anything": (put((HANDSHAKE, b"")), {"unexpected_message", "decode_error"}),
} | {
    f"a message of type {number}": (put((HANDSHAKE, message(number, bytes(40)))), "unexpected_message")
    for number in (0, 2, 4, 11, 12, 14, 16, 20, 255)
}


def conversations(*tables):
    rows = {name: row for table in tables for name, row in table.items()}
    return pytest.mark.parametrize("send, outcome", rows.values(), ids=rows.keys())


@conversations(RECORDS_13, ALERTS_13, MESSAGES_13)
def test_tls_13(connect, send, outcome):
    client = connect(TLS13)
    try:
        send(client)
    except (BrokenPipeError, ConnectionResetError):
        # The server may hang up before it has got everything.
        assert outcome is not True
    expect(client, outcome)


@conversations(RECORDS_12, ALERTS_12, MESSAGES_12)
def test_tls_12(connect, send, outcome):
    client = connect(TLS12)
    try:
        send(client)
    except (BrokenPipeError, ConnectionResetError):
        assert outcome is not True
    expect(client, outcome)


@pytest.mark.parametrize("cipher", ["aes128gcm", "aes256gcm"])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_other_ciphers(connect, version, cipher):
    """Their tags and nonces stand elsewhere."""
    for send, outcome in ((byte_a_record, True), (flipped(0), "bad_record_mac"), (flipped(-1), "bad_record_mac")):
        client = connect(version, ciphers=[cipher])
        send(client)
        expect(client, outcome)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_messages_cut_into_records_and_segments_at_random(connect, version):
    client = connect(version)
    texts = [RANDOM.randbytes(RANDOM.randrange(400)).hex() for _ in range(60)]
    stream = b"".join(b"".join(fragments(TEXT, text.encode(), RANDOM.randrange(1, 300))) for text in texts)
    records = []
    while stream:
        size = RANDOM.randrange(0, 200)
        options = {"padding": RANDOM.choice([0, 0, RANDOM.randrange(300)])} if version == TLS13 else {}
        records.append(client.socket.seal(APPLICATION_DATA, stream[:size], **options))
        stream = stream[size:]
        if version == TLS13 and RANDOM.random() < 0.1:
            records.append(client.socket.seal(HANDSHAKE, key_update(RANDOM.randrange(2))))
            client.socket.next_write_keys()
    wire = b"".join(records)
    while wire:
        size = RANDOM.choice([1, 5, 6, RANDOM.randrange(1, 3_000)])
        client.socket.put(wire[:size])
        wire = wire[size:]
    for text in texts:
        client.expect_message(TEXT, text)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_stream_may_be_left_at_any_byte_of_a_record(connect, shared, version):
    for size in range(0, len(UNASKED) + 30):
        client = connect(version)
        client.socket.put(application(client)[:size])
        if size % 2:
            client.socket.raw.setsockopt(1, 13, struct.pack("ii", 1, 0))
        client.socket.raw.close()
    shared[0].wait_for_connections(1)


def test_new_keys_behind_the_end_are_not_answered(connect):
    client = connect(TLS13)
    client.send_close(1000)
    # Not by tlslite-ng, which would answer the end.
    while client.socket.raw.recv(65_536):
        pass
    # The server has shut down its side, and waits for the client to do so; if it sent anything, there would be a reset.
    for _ in range(20):
        client.socket.put(client.socket.seal(HANDSHAKE, key_update(1)))
        client.socket.next_write_keys()
        time.sleep(0.02)
    assert client.socket.raw.recv(1) == b""


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_close_is_one_of_both_protocols(connect, version):
    client = connect(version)
    client.send_close(1000)
    assert client.receive_close() == (1000, "")
    with pytest.raises(ConnectionEnded):
        client.read(1)
