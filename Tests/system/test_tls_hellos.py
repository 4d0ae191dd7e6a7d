"""Handshakes of TLS as tlsfuzzer tries them: hellos of every shape, messages in the wrong place, and ends at every byte."""

import os
import ssl

import pytest
from tlslite.constants import CipherSuite, ExtensionType, GroupName
from tlslite.errors import TLSLocalAlert
from tlslite.extensions import ClientKeyShareExtension, SupportedGroupsExtension, TLSExtension
from tlslite.handshakehashes import HandshakeHashes
from tlslite.handshakehelpers import HandshakeHelpers
from tlslite.messages import ChangeCipherSpec, ClientHello, Finished, Message

from certificates import client_context
from rawtls import (
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, TLS12, TLS13, TLSLite, alert_of, message, record,
)  # fmt: skip
from rawws import RawWebSocket, Wire
from seeded import RANDOM
from test_tls_records import connect, shared  # noqa: F401
from waiting import wait_until

BOTH = (TLS12, TLS13)


def outcome_of(port, *versions, **options):
    """True if a handshake succeeds and messages go; else the server's alert, or None."""
    clients = []

    def connect():
        clients.append(RawWebSocket(port, tls=TLSLite(*versions, **options)))
        clients[-1].expect_alive()

    try:
        alert = alert_of(connect)
        return True if clients else alert
    finally:
        for client in clients:
            client.socket.raw.close()


def extension(number, data=b""):
    return TLSExtension(extType=number).create(bytearray(data))


def adding(*extensions):
    """Extensions that are put in front of the others: the last one may have to be the last."""

    def change(hello):
        hello.extensions[:0] = extensions

    return change


def without(*numbers):
    def change(hello):
        hello.extensions[:] = [each for each in hello.extensions if each.extType not in numbers]

    return change


def setting(**values):
    def change(hello):
        for name, value in values.items():
            setattr(hello, name, value)

    return change


class Bytes(ClientHello):
    """A hello that is these bytes."""

    def __init__(self, hello, data):
        super().__init__()
        self.__dict__.update(hello.__dict__)
        self.data = bytearray(data)

    def write(self):
        return self.data


def rewritten(function):
    """The body of the hello as a function makes it of what it was, with its own length in front."""
    return lambda hello: Bytes(hello, message(1, function(bytes(hello.write()[4:]))))


def groups(names, shares):
    """The groups of key exchange that a client has, and those it sends shares for: of unknown ones, any 32 bytes."""

    def change(hello):
        known = {each.group: each for each in hello.getExtension(ExtensionType.key_share).client_shares}
        unknown = type(next(iter(known.values())))
        for place, each in enumerate(hello.extensions):
            if each.extType == ExtensionType.supported_groups:
                hello.extensions[place] = SupportedGroupsExtension().create(names)
            if each.extType == ExtensionType.key_share:
                entries = [known.get(group) or unknown().create(group, bytearray(32)) for group in shares]
                hello.extensions[place] = ClientKeyShareExtension().create(entries)

    return change


HELLOS = {
    "as it should be": (None, True),
    "a thousand unknown extensions": (adding(*(extension(0x4000 + number, b"x") for number in range(1_000))), True),
    "unknown extensions of all sizes": (adding(*(extension(0x5000 + size, bytes(size)) for size in range(0, 160))), True),
    "values that stand for the unknown": (adding(extension(0x0A0A), extension(0xFAFA, b"\0")), True),
    "eight thousand bytes of padding": (adding(extension(21, bytes(8_000))), True),
    "more padding than a record has room for": (adding(extension(21, bytes(20_000))), True),
    # The rest of it, which nobody reads, may make the end a reset.
    "more padding than is kept before a handshake": (adding(extension(21, bytes(40_000))), {None, "illegal_parameter"}),
    "an extension twice": (adding(extension(16, b"\0\x09\x08http/1.1")), {"illegal_parameter", "decode_error"}),
    "an unknown extension twice": (adding(extension(0x4000), extension(0x4000)), {True, "illegal_parameter"}),
    "unknown suites before ours": (lambda hello: hello.cipher_suites.__setitem__(slice(0, 0), range(0xE000, 0xE400)), True),
    "only unknown suites": (setting(cipher_suites=list(range(0xE000, 0xE040))), "handshake_failure"),
    "no suites": (setting(cipher_suites=[]), {"decode_error", "illegal_parameter", "handshake_failure"}),
    "a newer version of the message": (setting(client_version=(3, 9)), True),
    "a compression": (setting(compression_methods=[0, 1]), {"illegal_parameter", "decode_error", True}),
    "only a compression": (setting(compression_methods=[1]), {"illegal_parameter", "decode_error"}),
    "no method of compression": (setting(compression_methods=[]), {"illegal_parameter", "decode_error"}),
    "a session id that is too long": (setting(session_id=bytearray(33)), {"decode_error", "illegal_parameter"}),
    "a session id of one byte": (setting(session_id=bytearray(1)), True),
    "a byte behind it": (rewritten(lambda body: body + b"\0"), "decode_error"),
    "a byte too few": (rewritten(lambda body: body[:-1]), "decode_error"),
    "only its head": (rewritten(lambda body: body[:34]), "decode_error"),
    "nothing": (rewritten(lambda body: b""), "decode_error"),
    "another message": (lambda hello: Bytes(hello, message(2, bytes(hello.write()[4:]))), "unexpected_message"),
    "two of them": (lambda hello: Bytes(hello, hello.write() * 2), "unexpected_message"),
    "a name that is none": (adding(extension(0, b"\0\0")), {"illegal_parameter", "decode_error"}),
    "a name with a zero": (lambda hello: named(hello, b"local\0host"), {"unrecognized_name", "decode_error"}),
    "a very long name": (lambda hello: named(hello, b"a" * 5_000), {"unrecognized_name", "decode_error", True}),
}  # fmt: skip

HELLOS_13 = {
    "an older version of the message": (setting(client_version=(3, 1)), True),
    "a group that must be asked for": (groups([0x6000, GroupName.secp256r1, GroupName.x25519], [0x6000]), True),
    "unknown groups before ours": (groups([0x6000, 0x0A0A, GroupName.x25519], [0x6000, GroupName.x25519]), True),
    "only unknown groups": (groups([0x6000, 0x6001], [0x6000]), "handshake_failure"),
    "no shares": (groups([GroupName.x25519], []), True),
    "a share of the wrong size": (
        lambda hello: setattr(hello.getExtension(ExtensionType.key_share).client_shares[0], "key_exchange", bytearray(31)),
        {"illegal_parameter", "decode_error"},
    ),
    "a share of zeros": (
        lambda hello: setattr(hello.getExtension(ExtensionType.key_share).client_shares[0], "key_exchange", bytearray(32)),
        {"illegal_parameter", "decode_error", "internal_error"},
    ),
    "a share without its group": (groups([GroupName.secp256r1], [GroupName.x25519]), {"illegal_parameter", "handshake_failure"}),
    "no shares at all": (without(ExtensionType.key_share), {"missing_extension", "handshake_failure"}),
    "no groups at all": (without(ExtensionType.supported_groups), {"missing_extension", "handshake_failure"}),
    "no signatures": (without(ExtensionType.signature_algorithms), {"missing_extension", "handshake_failure"}),
    "only versions that nobody has": (
        lambda hello: setattr(hello.getExtension(ExtensionType.supported_versions), "versions", [(3, 9), (7, 7)]),
        "protocol_version",
    ),
    "versions that nobody has before ours": (
        lambda hello: hello.getExtension(ExtensionType.supported_versions).versions.insert(0, (7, 7)), True,
    ),
    "a cookie that nobody gave": (adding(extension(44, b"\0\4abcd")), {True, "illegal_parameter", "unsupported_extension"}),
}

HELLOS_12 = {
    "no groups": (without(ExtensionType.supported_groups), {True, "handshake_failure"}),
    "no extension but names": (setting(extensions=[]), {True, "handshake_failure"}),
    "the end of secure renegotiation": (adding(extension(0xFF01, b"\1x")), {"handshake_failure", "illegal_parameter"}),
    "a version of before": (setting(client_version=(3, 2)), "protocol_version"),
    # Its alerts have no other name for it.
    "the oldest version": (setting(client_version=(3, 0)), "handshake_failure"),
    "no version at all": (setting(client_version=(0, 0)), "protocol_version"),
    "a fallback that is none": (
        lambda hello: hello.cipher_suites.append(CipherSuite.TLS_FALLBACK_SCSV), "inappropriate_fallback",
    ),
}


def named(hello, name):
    without(ExtensionType.server_name)(hello)
    names = b"\0" + len(name).to_bytes(2, "big") + name
    adding(extension(ExtensionType.server_name, len(names).to_bytes(2, "big") + names))(hello)


def with_names(table):
    return pytest.mark.parametrize("change, expected", table.values(), ids=table.keys())


def check(outcome, expected):
    assert outcome in (expected if isinstance(expected, set) else {expected})


def port_of(shared):  # noqa: F811
    return shared[0].port


@with_names(HELLOS | HELLOS_13)
def test_hellos_of_tls_13(connect, shared, change, expected):  # noqa: F811
    check(outcome_of(port_of(shared), TLS13, change_hello=change), expected)


@with_names(HELLOS | HELLOS_12)
def test_hellos_of_tls_12(connect, shared, change, expected):  # noqa: F811
    check(outcome_of(port_of(shared), TLS12, change_hello=change), expected)


# However it is cut.


def as_records(size, between=b""):
    """What is sent in records of so many bytes, with something between them; what is sealed stays as it is."""

    def cut(data):
        pieces = []
        while data:
            body = data[5 : 5 + int.from_bytes(data[3:5], "big")]
            if data[0] == HANDSHAKE:
                parts = [body[start : start + size] for start in range(0, len(body), size)]
                pieces.append(between.join(record(HANDSHAKE, part, (3, 1)) for part in parts))
            else:
                pieces.append(data[: 5 + len(body)])
            data = data[5 + len(body) :]
        return pieces

    return cut


def first_only(cut, ends=False):
    """Only the hello; what else is sent by TLS 1.2 in handshake records is sealed. If that `ends` the connection, the alert
    would be lost if anything else were sent."""
    seen = []

    def cut_first(data):
        if seen:
            return [] if ends else [data]
        seen.append(data)
        return cut(data)

    return cut_first


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 64, 255])
@pytest.mark.parametrize("version", BOTH)
def test_a_hello_in_many_records(connect, shared, version, size):  # noqa: F811
    assert outcome_of(port_of(shared), version, cut=first_only(as_records(size))) is True


@pytest.mark.parametrize("size", [1, 9, 15])
@pytest.mark.parametrize("version", BOTH)
def test_every_message_in_many_records(connect, shared, version, size):  # noqa: F811
    """The last one too, which is sealed: in TLS 1.2 its records have the numbers before those of the data."""
    assert outcome_of(port_of(shared), version, record_size=size) is True


@pytest.mark.parametrize("version", BOTH)
def test_a_handshake_in_single_bytes(connect, shared, version):  # noqa: F811
    assert outcome_of(port_of(shared), version, cut=lambda data: [data[at : at + 1] for at in range(len(data))]) is True


WITHIN = {
    "an empty record": (record(HANDSHAKE, b""), {"unexpected_message", "decode_error", True}),
    "a warning": (record(ALERT, b"\1\x5a"), {"unexpected_message", True}),
    "a fatal alert": (record(ALERT, b"\2\x28"), {None, "unexpected_message"}),
    "data": (record(APPLICATION_DATA, b"data"), {"unexpected_message"}),
    "a change of ciphers": (record(CHANGE_CIPHER_SPEC, b"\1"), {"unexpected_message"}),
    "a record of no known type": (record(99, b"x"), {"unexpected_message"}),
    "a record that is too long": (record(HANDSHAKE, bytes(100), announce=20_000), {"record_overflow"}),
}


@pytest.mark.parametrize("between, expected", WITHIN.values(), ids=WITHIN.keys())
@pytest.mark.parametrize("version", BOTH)
def test_other_records_within_a_hello(connect, shared, version, between, expected):  # noqa: F811
    check(outcome_of(port_of(shared), version, cut=first_only(as_records(60, between))), expected)


def behind_the_hello(*records, ends):
    """Sends these in the segment of the hello, at its end."""
    return first_only(lambda data: [data + b"".join(records)], ends)


BEHIND_13 = {
    "a change of ciphers": ([record(CHANGE_CIPHER_SPEC, b"\1")], {True}),
    "another change of ciphers": ([record(CHANGE_CIPHER_SPEC, b"\2")], {"unexpected_message", "illegal_parameter"}),
    "a long change of ciphers": ([record(CHANGE_CIPHER_SPEC, b"\1\1")], {"unexpected_message", "illegal_parameter", "decode_error"}),
    "an empty change of ciphers": ([record(CHANGE_CIPHER_SPEC, b"")], {"unexpected_message", "illegal_parameter", "decode_error"}),
    "a thousand changes of ciphers": ([record(CHANGE_CIPHER_SPEC, b"\1")] * 1_000, {"unexpected_message"}),
    "an unsealed message": ([record(HANDSHAKE, message(20, bytes(32)))], {"unexpected_message", "bad_record_mac"}),
    "noise that claims to be sealed": ([record(APPLICATION_DATA, bytes(60))], {"bad_record_mac"}),
    "a warning": ([record(ALERT, b"\1\x5a")], {True}),
    "warnings without end": ([record(ALERT, b"\1\x5a")] * 500, {"unexpected_message"}),
    "the end": ([record(ALERT, b"\1\0")], {None, "close_notify"}),
}


@pytest.mark.parametrize("records, expected", BEHIND_13.values(), ids=BEHIND_13.keys())
def test_what_comes_behind_a_hello_of_tls_13(connect, shared, records, expected):  # noqa: F811
    check(outcome_of(port_of(shared), TLS13, cut=behind_the_hello(*records, ends=True not in expected)), expected)


BEHIND_12 = {
    "a change of ciphers": ([record(CHANGE_CIPHER_SPEC, b"\1")], {"unexpected_message"}),
    "data": ([record(APPLICATION_DATA, b"early")], {"unexpected_message"}),
    "another hello": ([record(HANDSHAKE, message(1, bytes(60)))], {"unexpected_message"}),
    "warnings without end": ([record(ALERT, b"\1\x5a")] * 500, {"unexpected_message"}),
}


@pytest.mark.parametrize("records, expected", BEHIND_12.values(), ids=BEHIND_12.keys())
def test_what_comes_behind_a_hello_of_tls_12(connect, shared, records, expected):  # noqa: F811
    check(outcome_of(port_of(shared), TLS12, cut=behind_the_hello(*records, ends=True not in expected)), expected)


@pytest.mark.parametrize("first", [b"\x80\x2e\x01\x00\x02", b"\x15\x03\x01\x00\x02\x01\x00", b"\x14\x03\x03\x00\x01\x01", bytes(64)])
def test_what_is_no_hello_is_answered_in_plain_http(connect, shared, first):  # noqa: F811
    with Wire(port_of(shared)) as wire:
        wire.send(first)
        assert wire.read_response().status == 400
        wire.expect_end()


# Keys that don't fit.


def spoilt_finished(sent):
    if isinstance(sent, Finished):
        sent.verify_data[0] ^= 1


def short_finished(sent):
    if isinstance(sent, Finished):
        del sent.verify_data[-1]


def no_change_of_ciphers(sent):
    """TLS 1.2 says when its keys are used; a handshake message of no bytes says nothing."""
    return Message(ALERT, bytearray(b"\1\x5a")) if isinstance(sent, ChangeCipherSpec) else None


@pytest.mark.parametrize(
    "change, expected",
    [
        (spoilt_finished, {"decrypt_error"}),
        (short_finished, {"decrypt_error", "decode_error"}),
        (no_change_of_ciphers, {"unexpected_message", "bad_record_mac"}),
    ],
    ids=["another sum", "a sum that is too short", "no change of ciphers"],
)
@pytest.mark.parametrize("version", BOTH)
def test_messages_of_the_end_of_a_handshake(connect, shared, version, change, expected):  # noqa: F811
    if version == TLS13 and change is no_change_of_ciphers:
        # It is there for those in between only.
        expected = {True, "unexpected_message"}
    check(outcome_of(port_of(shared), version, change_message=change), expected)


def test_a_downgrade_shows(connect, shared):  # noqa: F811
    """Somebody in between who hides that the client has TLS 1.3: the server's random number tells it (RFC 8446, 4.1.3)."""
    with pytest.raises(TLSLocalAlert, match="illegal_parameter"):
        outcome_of(port_of(shared), TLS12, TLS13, change_hello=without(ExtensionType.supported_versions))


# Tickets and data that comes too early.


def session_of(port, version):
    client = RawWebSocket(port, tls=TLSLite(version))
    client.expect_alive()
    connection = client.socket
    connection.session.tickets = connection.tickets
    client.close_properly()
    assert connection.tickets or connection.session.tls_1_0_tickets
    return connection.session


def bound_anew(change, session):
    """Makes the binder of a hello anew that goes by the rest of it, which is changed."""

    def change_hello(hello):
        change(hello)
        HandshakeHelpers.update_binders(hello, HandshakeHashes(), [], session.tickets, session.resumptionMasterSecret)

    return change_hello


@pytest.mark.parametrize("is_accepted", [True, False], ids=["with a ticket", "without one"])
@pytest.mark.parametrize("size, expected", [(0, True), (100, True), (12_000, True), (200_000, {"unexpected_message", "bad_record_mac"})])
def test_early_data_is_passed_over_up_to_a_limit(connect, shared, is_accepted, size, expected):  # noqa: F811
    """wsd gives out no tickets for it, so whoever sends it is told that it was not taken."""
    port = port_of(shared)
    session = session_of(port, TLS13) if is_accepted else None
    change = adding(extension(42))
    noise = [record(APPLICATION_DATA, RANDOM.randbytes(min(4_000, size - at))) for at in range(0, size, 4_000)]
    outcome = outcome_of(
        port, TLS13, session=session, change_hello=bound_anew(change, session) if session else change,
        cut=behind_the_hello(record(CHANGE_CIPHER_SPEC, b"\1"), *noise, ends=expected is not True),
    )  # fmt: skip
    check(outcome, expected)


def test_a_ticket_that_is_not_ours_means_a_whole_handshake(connect, shared):  # noqa: F811
    port = port_of(shared)
    session = session_of(port, TLS13)
    session.tickets[0].ticket[20] ^= 1
    assert outcome_of(port, TLS13, session=session) is True


def test_a_binder_that_does_not_fit_is_refused(connect, shared):  # noqa: F811
    port = port_of(shared)
    session = session_of(port, TLS13)

    def change(hello):
        hello.extensions[-1].binders[0][0] ^= 1

    check(outcome_of(port, TLS13, session=session, change_hello=change), {"decrypt_error", "illegal_parameter"})


# Ends.


def flights(port, version):
    """The bytes that a client of OpenSSL sends in a handshake and a request, as long as their keys are other ones."""
    sent = []
    with Talk(port, version) as talk:
        talk.go_on(None, sent.append)
    return len(b"".join(sent))


class Talk:
    """A client of OpenSSL that hands over what it sends."""

    def __init__(self, port, version):
        self.wire = Wire(port)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context(version).wrap_bio(self.incoming, self.outgoing)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def go_on(self, limit, note):
        """Goes on to the end of the handshake, or until so many bytes are sent."""
        left = limit
        while True:
            try:
                self.tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            data = self.outgoing.read()[:left]
            note(data)
            self.wire.send(data)
            if left is not None:
                left -= len(data)
            if is_done or left == 0:
                return
            self.incoming.write(self.wire.socket.recv(65_536))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_may_be_left_at_any_byte(connect, shared, version):  # noqa: F811
    daemon, port = shared[0], port_of(shared)
    for size in range(1, flights(port, version) + 1):
        with Talk(port, version) as talk:
            talk.go_on(size, lambda data: None)
            if size % 3 == 0:
                talk.wire.reset()
            elif size % 3 == 1:
                talk.wire.half_close()
    # Only the one who listens is left, and no handshake is.
    daemon.wait_for_connections(1)
    wait_until(lambda: daemon.descriptor_count < os.cpu_count() * 50, "the descriptors are given back")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_bit_flipped_anywhere_in_a_handshake_harms_nobody(connect, shared, version):  # noqa: F811
    port = port_of(shared)
    for place in range(0, flights(port, version), 3):
        with Talk(port, version) as talk:
            position = 0

            def flip(data, place=place):
                nonlocal position
                changed = bytearray(data)
                if position <= place < position + len(data):
                    changed[place - position] ^= 1 << RANDOM.randrange(8)
                position += len(data)
                talk.wire.socket.sendall(changed)

            talk.wire.send = lambda data: None
            talk.wire.socket.settimeout(0.05)
            try:
                talk.go_on(None, flip)
            except (ssl.SSLError, TimeoutError, ConnectionError):
                continue
