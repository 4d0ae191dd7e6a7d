"""A WebSocket client that sends the very bytes it is told to, and takes from the server only what RFC 6455 allows.

Written from that RFC and RFC 7692 (permessage-deflate) for these tests: nothing in it repairs, hides or retries
anything.
"""

import base64
import hashlib
import socket
import struct
import zlib
from dataclasses import dataclass, field

from seeded import RANDOM
from waiting import DEADLINE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# What permessage-deflate sets on the first frame of a compressed message (RFC 7692, section 6).
RSV1 = 0b100

# What a compressed message lacks at its end (section 7.2.1), and an empty last block to show that there was an end.
TAIL = b"\x00\x00\xff\xff"
LAST_BLOCK = b"\x01\x00\x00\xff\xff"

# The key and the accept value of RFC 6455, section 1.3.
SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class ProtocolViolation(AssertionError):
    """The server sent what RFC 6455, RFC 7692 or RFC 9112 does not allow."""


class ConnectionEnded(Exception):
    """The server ended the stream where more bytes were expected."""


class ClosedByServer(Exception):
    """A close frame came where a message was expected."""

    def __init__(self, code, reason):
        super().__init__(f"closed with {code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass
class Frame:
    """One frame as the server sent it."""

    opcode: int
    payload: bytes
    fin: bool = True
    compressed: bool = False


@dataclass
class Response:
    """One HTTP response: header names keep their order, values are stripped."""

    status: int
    reason: str
    headers: list = field(default_factory=list)
    body: bytes = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise ProtocolViolation(f"{name} stands {len(values)} times")
        return values[0] if values else None


def accept_for(key):
    """The Sec-WebSocket-Accept value that answers a key (section 4.2.2)."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def new_key():
    return base64.b64encode(RANDOM.randbytes(16)).decode()


def handshake_headers(host, key=SAMPLE_KEY):
    """The headers of a proper opening handshake, in order, for a test to change."""
    return [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]


def changed(headers, **values):
    """The headers with some replaced, in their place: None removes one, a list repeats it. `_` stands for `-`."""
    values = {name.replace("_", "-").lower(): value for name, value in values.items()}
    result = []
    for name, value in headers:
        replacement = values.pop(name.lower(), value)
        if replacement is None:
            continue
        for one in replacement if isinstance(replacement, list) else [replacement]:
            result.append((name, one))
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                result.append((name, one))
    return result


def request(headers, target="/ws", method="GET", version="HTTP/1.1"):
    """The bytes of a request."""
    lines = [f"{method} {target} {version}"] + [f"{name}: {value}" for name, value in headers]
    return "".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n"


def frame(opcode, payload=b"", *, fin=True, rsv=0, masked=True, key=None, length_bytes=None, announce=None):
    """The bytes of a frame, right unless told otherwise.

    `rsv` is three bits, `length_bytes` forces a length field of 0, 2 or 8 bytes, and `announce` a length that the
    payload does not have.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload) if announce is None else announce
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if length_bytes == 0:
        head += bytes([mask_bit | length])
    elif length_bytes == 2:
        head += bytes([mask_bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    key = RANDOM.randbytes(4) if key is None else key
    return head + key + mask(payload, key)


def fragments(opcode, payload, size, rsv=0):
    """A message as frames of `size` bytes, the last one shorter; `rsv` is the first one's."""
    starts = range(0, len(payload), size) or [0]
    return [
        frame(
            CONTINUATION if start else opcode,
            payload[start : start + size],
            fin=start == starts[-1],
            rsv=0 if start else rsv,
        )
        for start in starts
    ]


def deflate(data, level=6, window_bits=15):
    """A message compressed by itself (RFC 7692, section 7.2.1)."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -window_bits)
    data = data.encode() if isinstance(data, str) else data
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflate(payload, window_bits=15):
    """A message that was compressed by itself, with references no further back than the window (section 7.2.2).

    zlib finds what lies beyond a small window as long as it is in the output of the same call, so each call gets room
    for one byte. A last block is allowed by section 7.2.3.4, but not here: most clients stop reading there.
    """
    inflater = zlib.decompressobj(-window_bits)
    room = 1 if window_bits < 15 else 0
    result = bytearray()
    try:
        for data in (payload, TAIL + LAST_BLOCK):
            length = len(result)
            for start in range(0, len(data), 4096):
                part = inflater.decompress(data[start : start + 4096], room)
                while part or inflater.unconsumed_tail:
                    result += part
                    part = inflater.decompress(inflater.unconsumed_tail, room)
    except zlib.error as error:
        raise ProtocolViolation(f"{error} in {len(payload)} bytes {payload[:60]!r}") from None
    if not inflater.eof or inflater.unused_data or len(result) > length:
        raise ProtocolViolation(f"{len(payload)} bytes {payload[:60]!r} do not end where their last block does")
    return bytes(result)


def mask(payload, key):
    """The payload masked, or unmasked, with the key (section 5.3)."""
    if not payload:
        return b""
    stream = key * (len(payload) // 4 + 1)
    size = len(payload)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason)


# The data of a TCP segment, in bytes: the least that every host takes (RFC 9293, section 3.7.1).
SMALL_SEGMENT = 536


def narrow(connection, byte_count, segment=SMALL_SEGMENT):
    """Gives a socket that is to be connected a small buffer for what it receives.

    Segments are smaller still: for a window that is a little smaller than a segment, the peer's kernel sends one in 200 ms, or
    in minutes, though the client reads as fast as it can. With `segment=None` they are as the kernel likes: then it takes from
    the server what it will take at once, and little by little nothing more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, byte_count)
    if segment is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)


class Wire:
    """A TCP connection with what was read and not yet used; inside TLS if there is a context, for a server's name."""

    def __init__(
        self, port, host="127.0.0.1", *, source=None, receive_buffer=None, segment=SMALL_SEGMENT,
        timeout=DEADLINE, tls=None, name=None,
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            narrow(self.socket, receive_buffer, segment)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket.connect((host, port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        except OSError:
            self.socket.close()
            raise
        self.host_header = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.buffered = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection by a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_by_byte(self, data):
        """Sends each byte in a segment of its own."""
        for index in range(len(data)):
            self.socket.sendall(data[index : index + 1])

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def _fill(self):
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionEnded(f"end of stream with {bytes(self.buffered[:80])!r} unused")
        self.buffered += chunk

    def read(self, count):
        """Exactly `count` bytes."""
        while len(self.buffered) < count:
            self._fill()
        data = bytes(self.buffered[:count])
        del self.buffered[:count]
        return data

    def read_through(self, end):
        """The bytes up to and including `end`."""
        while (position := self.buffered.find(end)) < 0:
            self._fill()
        return self.read(position + len(end))

    def expect_end(self, reset_allowed=False):
        """Reads to the end of the stream, which must come without another byte."""
        try:
            while not self.buffered:
                self._fill()
        except ConnectionEnded:
            return
        except ConnectionResetError:
            if reset_allowed:
                return
            raise
        raise ProtocolViolation(f"bytes after the end: {bytes(self.buffered[:80])!r}")

    def discard_to_end(self):
        """Reads bytes to the end of the stream, which may come anywhere."""
        try:
            while self.socket.recv(1 << 18):
                pass
        except ConnectionResetError:
            pass

    def read_response(self, body=True):
        """Reads one response strictly; its body has to come with a Content-Length."""
        head = self.read_through(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head[:-4].split("\r\n")
        parts = status_line.split(" ", 2)
        if len(parts) != 3 or parts[0] != "HTTP/1.1" or not (parts[1].isdigit() and len(parts[1]) == 3):
            raise ProtocolViolation(f"status line {status_line!r}")
        response = Response(int(parts[1]), parts[2])
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or "\n" in line:
                raise ProtocolViolation(f"header line {line!r}")
            response.headers.append((name, value.strip()))
        length = response.header("Content-Length")
        if body and length is not None:
            response.body = self.read(int(length))
        return response


class RawWebSocket(Wire):
    """An established connection, after a handshake that was checked.

    `offer` is the value of a Sec-WebSocket-Extensions header, and `deflate` the parameters of permessage-deflate that
    the server agreed to, or None.
    """

    def __init__(
        self, port, target="/ws", *, headers=(), replace=None, offer=None, host="127.0.0.1", pipelined=b"", **options
    ):
        super().__init__(port, host, **options)
        key = new_key()
        fields = changed(handshake_headers(self.host_header, key), **(replace or {})) + list(headers)
        if offer is not None:
            fields.append(("Sec-WebSocket-Extensions", offer))
        try:
            self.send(request(fields, target) + pipelined)
            self.response = self.read_response()
            check_upgrade(self.response, key)
            self.deflate = parse_agreement(self.response, fields)
        except BaseException:
            self.close()
            raise

    def send_frame(self, opcode, payload=b"", **options):
        self.send(frame(opcode, payload, **options))

    def send_text(self, text):
        self.send_frame(TEXT, text)

    def send_binary(self, data):
        self.send_frame(BINARY, data)

    def send_compressed(self, opcode, data, **options):
        self.send_frame(opcode, deflate(data), rsv=RSV1, **options)

    def send_close(self, code=None, reason=""):
        self.send_frame(CLOSE, b"" if code is None else close_payload(code, reason))

    def receive_frame(self):
        """The next frame as it came; any rule of section 5 that it breaks is an error."""
        first, second = self.read(2)
        opcode, fin, rsv = first & 0x0F, bool(first & 0x80), first >> 4 & 0b111
        compressed = rsv == RSV1 and self.deflate is not None and opcode in (TEXT, BINARY)
        if rsv and not compressed:
            raise ProtocolViolation(f"reserved bits {rsv:03b} on opcode {opcode:#x}, with {self.deflate} agreed on")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolViolation(f"reserved opcode {opcode:#x}")
        if second & 0x80:
            raise ProtocolViolation("a server must not mask")
        length = second & 0x7F
        if opcode >= CLOSE and (length > 125 or not fin):
            raise ProtocolViolation(f"control frame {opcode:#x}: length field {length}, fin {fin}")
        if length == 126:
            (length,) = struct.unpack("!H", self.read(2))
            if length < 126:
                raise ProtocolViolation(f"length {length} in 16 bits")
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read(8))
            if length < 65536 or length >> 63:
                raise ProtocolViolation(f"length {length} in 64 bits")
        return Frame(opcode, self.read(length), fin, compressed)

    def inflate(self, payload):
        """A compressed message's data, which kept to the window agreed on."""
        return inflate(payload, self.deflate.get("server_max_window_bits", 15))

    def receive(self):
        """The next message, as (opcode, bytes). Pings on the way are answered, pongs passed over."""
        opcode, compressed, parts = None, False, []
        while True:
            got = self.receive_frame()
            if got.opcode == PING:
                self.send_frame(PONG, got.payload)
            elif got.opcode == CLOSE:
                raise ClosedByServer(*parse_close(got.payload))
            elif got.opcode != PONG:
                if (got.opcode == CONTINUATION) != (opcode is not None):
                    raise ProtocolViolation("a message begins inside another, or a continuation without a message")
                if opcode is None:
                    opcode, compressed = got.opcode, got.compressed
                parts.append(got.payload)
                if got.fin:
                    data = b"".join(parts)
                    return opcode, self.inflate(data) if compressed else data

    def receive_text(self):
        opcode, data = self.receive()
        assert opcode == TEXT, f"a text message expected, not opcode {opcode}"
        return data.decode()

    def expect_message(self, opcode, payload):
        got = self.receive()
        wanted = (opcode, payload.encode() if isinstance(payload, str) else payload)
        if got != wanted:
            raise AssertionError(
                f"opcode {wanted[0]}, {len(wanted[1])} bytes {wanted[1][:60]!r} expected; "
                f"opcode {got[0]}, {len(got[1])} bytes {got[1][:60]!r} came"
            )

    def expect_echo(self, payload="still there"):
        """Shows that the connection is alive: what it says to the channel comes back to itself."""
        self.send_text(payload)
        self.expect_message(TEXT, payload)

    def expect_alive(self):
        """Shows that the connection is alive, past whatever came before."""
        marker = f"alive {new_key()}"
        self.send_text(marker)
        while self.receive() != (TEXT, marker.encode()):
            pass

    def receive_close(self):
        """Reads up to the close frame, past whatever else comes; (code, reason), the code None when there is none."""
        while True:
            got = self.receive_frame()
            if got.opcode == CLOSE:
                return parse_close(got.payload)

    def expect_failure(self, code):
        """The server fails the connection: a close frame with this code and a reason, then the end. The reason."""
        got, reason = self.receive_close()
        assert got == code, f"close code {code} expected, {got} ({reason}) came"
        assert reason, "a close must say why"
        try:
            self.send_close(code)
        except OSError:
            pass
        self.expect_end(reset_allowed=True)
        return reason

    def answer_close(self, code=1000):
        """Answers the server's close, and ends after the server has."""
        self.send_close(code)
        self.expect_end()
        self.close()

    def close_properly(self, code=1000):
        """The closing handshake begun here; returns the code that came back."""
        self.send_close(code)
        answer, _ = self.receive_close()
        self.expect_end()
        self.close()
        return answer

    def receive_to_end(self):
        """Reads frames to the end of the stream; what came."""
        frames = []
        while True:
            try:
                frames.append(self.receive_frame())
            except (ConnectionEnded, ConnectionResetError):
                if self.buffered:
                    raise ProtocolViolation(f"a torn frame at the end: {bytes(self.buffered[:80])!r}") from None
                return frames

    def receive_nothing(self, seconds):
        """Whether nothing at all came for a while."""
        if self.buffered:
            return False
        self.socket.settimeout(seconds)
        try:
            self._fill()
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE)


def parse_close(payload):
    """(code, reason) of a close frame that the server sent (sections 5.5.1 and 7.4)."""
    if not payload:
        return None, ""
    if len(payload) == 1:
        raise ProtocolViolation("a close frame of one byte")
    (code,) = struct.unpack("!H", payload[:2])
    if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
        raise ProtocolViolation(f"close code {code} on the wire")
    return code, payload[2:].decode("utf-8")


def parse_agreement(response, request_headers):
    """The parameters of permessage-deflate that a server agreed to, or None without the extension.

    It may agree to what was offered and to nothing else (RFC 6455, section 9.1; RFC 7692, section 7.1).
    """
    values = response.all("Sec-WebSocket-Extensions")
    if not values:
        return None
    offered = "".join(value for name, value in request_headers if name.lower() == "sec-websocket-extensions").lower()
    name, *parameters = [part.strip() for part in ", ".join(values).split(";")]
    if name.lower() != "permessage-deflate" or name.lower() not in offered:
        raise ProtocolViolation(f"extension {values} in answer to {offered!r}")
    agreed = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if name in agreed:
            raise ProtocolViolation(f"{name} stands twice in {values}")
        if name in ("server_no_context_takeover", "client_no_context_takeover") and not equals:
            agreed[name] = True
        elif name == "server_max_window_bits" or (name == "client_max_window_bits" and name in offered):
            if value not in [str(bits) for bits in range(8, 16)]:
                raise ProtocolViolation(f"parameter {parameter!r}")
            agreed[name] = int(value)
        else:
            raise ProtocolViolation(f"parameter {parameter!r} in answer to {offered!r}")
    return agreed


def check_upgrade(response, key):
    """A 101 as section 4.2.2 wants it."""
    assert response.status == 101, f"{response.status} {response.reason}: {response.body!r}"
    assert (response.header("Upgrade") or "").lower() == "websocket"
    assert "upgrade" in [token.strip().lower() for token in (response.header("Connection") or "").split(",")]
    assert response.header("Sec-WebSocket-Accept") == accept_for(key)


def exchange(port, data, *, by_byte=False, host="127.0.0.1", source=None):
    """Sends the bytes of a request that is to be refused; the refusal, after its stream has ended cleanly."""
    with Wire(port, host, source=source) as wire:
        wire.send_by_byte(data) if by_byte else wire.send(data)
        response = wire.read_response()
        assert response.status != 101, "this handshake was to be refused"
        wire.expect_end()
        return response


def check_refusal(response, status):
    """Checks the parts of every refusal: the status, `Connection: close` and one line of text for a person."""
    statuses = status if isinstance(status, tuple) else (status,)
    assert response.status in statuses, f"{response.status} {response.reason}, {response.body!r}; not {statuses}"
    assert response.reason, "a reason phrase"
    options = [token.strip().lower() for token in (response.header("Connection") or "").split(",")]
    assert "close" in options, f"Connection: {response.header('Connection')}"
    assert (response.header("Content-Type") or "").lower().startswith("text/plain")
    assert response.header("Content-Length") == str(len(response.body))
    text = response.body.decode("utf-8").rstrip("\n")
    assert text.strip() and "\n" not in text, f"one line that says why, not {text!r}"
    return response
