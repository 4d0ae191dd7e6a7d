"""A TLS client whose records, alerts and messages are whatever a test says, over tlslite-ng, which is Python throughout.

`TLSLite` stands where a context of the module ssl does, so the raw WebSocket client speaks through it:
`RawWebSocket(port, tls=TLSLite((3, 4)))`; its `socket` is then a `TamperedConnection`.
"""

import socket

from tlslite.constants import AlertDescription, ContentType, HandshakeType
from tlslite.errors import TLSAbruptCloseError, TLSRemoteAlert
from tlslite.handshakesettings import HandshakeSettings
from tlslite.messages import ClientHello
from tlslite.tlsconnection import TLSConnection

TLS12, TLS13 = (3, 3), (3, 4)
MAXIMUM = 1 << 14

APPLICATION_DATA = ContentType.application_data
ALERT = ContentType.alert
HANDSHAKE = ContentType.handshake
CHANGE_CIPHER_SPEC = ContentType.change_cipher_spec


def record(type, body, version=TLS12, announce=None):
    """A record as it is on the wire, with the length of its body or one that it does not have."""
    return bytes([type, *version]) + (len(body) if announce is None else announce).to_bytes(2, "big") + bytes(body)


def message(type, body):
    """A message of a handshake."""
    return bytes([type]) + len(body).to_bytes(3, "big") + bytes(body)


def key_update(value):
    return message(HandshakeType.key_update, bytes([value]))


class Cutter:
    """A socket that sends what it is told to by a function of the bytes: pieces, each in a segment of its own."""

    def __init__(self, plain, cut):
        self._plain = plain
        self._cut = cut

    def send(self, data):
        for piece in self._cut(bytes(data)):
            self._plain.sendall(piece)
        return len(data)

    def sendall(self, data):
        self.send(data)

    def __getattr__(self, name):
        return getattr(self._plain, name)


class TamperedConnection(TLSConnection):
    """A connection as tlslite-ng has it, and the means to send on it what that would not."""

    change_hello = None
    change_message = None

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        if isinstance(msg, ClientHello) and self.change_hello:
            # The second one, if the server asks for that, is as it should be.
            change, self.change_hello = self.change_hello, None
            msg = change(msg) or msg
        elif self.change_message:
            msg = self.change_message(msg) or msg
        yield from super()._sendMsg(msg, randomizeFirstBlock, update_hashes)

    @property
    def raw(self):
        """The socket below."""
        return self._recordLayer.sock.socket

    def seal(self, type, content, *, padding=0, inner=None, version=TLS12):
        """The next record of this side; in TLS 1.3 with padding, or with any plaintext instead of content, type and padding."""
        if self.version == TLS12:
            outer, plain = type, bytearray(content)
            assert version == TLS12
        else:
            outer = APPLICATION_DATA
            plain = bytearray(bytes(content) + bytes([type]) + bytes(padding) if inner is None else inner)
        below = self._recordLayer._recordSocket
        usual, below.version = below.version, version
        try:
            sealed = self._recordLayer._encryptThenSeal(plain, outer)
        finally:
            below.version = usual
        return record(outer, sealed, version)

    def put(self, *records):
        """Sends bytes as they are."""
        self.raw.sendall(b"".join(records))

    def put_by_byte(self, *records):
        for byte in b"".join(records):
            self.raw.sendall(bytes([byte]))

    def next_write_keys(self):
        """Goes on to the keys that follow a KeyUpdate of this side."""
        session = self.session
        session.cl_app_secret, session.sr_app_secret = self._recordLayer.calcTLS1_3KeyUpdate_reciever(
            session.cipherSuite, session.cl_app_secret, session.sr_app_secret
        )


class TLSLite:
    """What a `TamperedConnection` goes by: a version, or several of which the hello names all, and who may change what is sent.

    With `record_size` no record has more bytes than that.
    """

    def __init__(self, *versions, cut=None, change_hello=None, change_message=None, session=None, ciphers=None,
        record_size=None, **settings,
    ):  # fmt: skip
        self.settings = HandshakeSettings()
        self.settings.minVersion, self.settings.maxVersion = min(versions), max(versions)
        self.settings.versions = sorted(versions, reverse=True)
        # A small hello, as OpenSSL sends it; the groups are those that the server has.
        self.settings.keyShares = ["x25519"]
        self.settings.eccCurves = ["x25519", "secp256r1"]
        self.settings.dhGroups = []
        self.settings.usePaddingExtension = False
        # Its other ciphers are slower still.
        self.settings.cipherNames = ciphers or ["chacha20-poly1305"]
        for name, value in settings.items():
            assert hasattr(self.settings, name)
            setattr(self.settings, name, value)
        self.cut, self.change_hello, self.change_message, self.session = cut, change_hello, change_message, session
        self.record_size = record_size

    def wrap_socket(self, plain, server_hostname=None):
        connection = TamperedConnection(Cutter(plain, self.cut) if self.cut else plain)
        # A test may look at what comes behind an alert.
        connection.closeSocket = False
        if self.record_size:
            connection.recordSize = self.record_size
        connection.change_hello, connection.change_message = self.change_hello, self.change_message
        connection.handshakeClientCert(
            settings=self.settings, serverName=server_hostname or "localhost", alpn=[bytearray(b"http/1.1")], session=self.session
        )
        return connection


def alert_of(action):
    """The name of the alert with which the server ends what this does; None if it ends without one.

    Bytes that come before it are passed over. A server that has not ended is a test that does not end in time.
    """
    try:
        while action():
            pass
    except TLSRemoteAlert as alert:
        assert alert.level == 2, f"{alert} is a warning"
        return AlertDescription.toRepr(alert.description)
    except (TLSAbruptCloseError, ConnectionError, socket.timeout) as error:
        assert not isinstance(error, socket.timeout), "the server neither ends the connection nor goes on"
        return None
    return "close_notify"
