"""The cost of hostile input: nanoseconds of the hub's processor time for each byte, by kind, the dearest first.

By hand: `WSD_BIN_DIR=DIR python hostile_cost.py [WORD]...`, with words of the kinds to measure.
"""

import json
import sys
import tempfile
import threading
import time
import zlib

from attacks import ENDPOINTS, FORGIVING, KEY, OFFER, escaped, processor_nanoseconds
from rawws import BINARY, CONTINUATION, PING, PONG, RSV1, TEXT, TAIL, Wire, deflate, frame, handshake_headers, request
from wsdaemon import Daemon

SIZE = 1 << 20
HEAD = 16 << 10
CONFIGURATION = FORGIVING + '[server]\ntrusted_proxies = ["127.0.0.0/8"]\n' + ENDPOINTS


def fill(before, piece, after, size=SIZE):
    """A text of at most so many bytes whose middle repeats a piece."""
    count = (size - len(before.encode()) - len(after.encode())) // len(piece.encode())
    return before + piece * count + after


def json_kinds():
    """Texts for a json endpoint, by name."""
    ping = '{"type":"ping","id":1,"'
    combining = "\u0301"
    return {
        "(accepted) ping with a plain member of 1 MiB": fill(ping + 'x":"', "A", '"}'),
        "escaped member name": fill(ping + "\\u0041", "A", '":0}'),
        "escaped member name, \\u0041": fill(ping, "\\u0041", '":0}'),
        "escaped member name, \\n": fill(ping, "\\n", '":0}'),
        "members without a name": fill('{"type":"ping","id":1', ',"":0', "}"),
        "members with a short plain name": fill('{"type":"ping","id":1', ',"a":0', "}"),
        "members of four letters": fill('{"type":"ping","id":1', ',"typo":0', "}"),
        "members with a short escaped name": fill('{"type":"ping","id":1', ',"\\n":0', "}"),
        "members named t\\u0079pe": fill('{"id":1', ',"\\u0074ype":0', "}"),
        "the same member again and again": fill('{"type":"ping","id":1', ',"id":1', "}"),
        "unknown type, plain": fill('{"id":1,"type":"', "A", '"}'),
        "unknown type, escaped": fill('{"id":1,"type":"', "\\u0041", '"}'),
        "unknown type, one escape": fill('{"id":1,"type":"\\u0041', "A", '"}'),
        "unknown type, one grapheme": fill('{"id":1,"type":"e', combining, '"}'),
        "unknown type, flags": fill('{"id":1,"type":"', "\U0001f1e6", '"}'),
        "id, plain": fill('{"type":"ping","id":"', "A", '"}'),
        "id, escaped": fill('{"type":"ping","id":"', "\\u0041", '"}'),
        "id, one escape": fill('{"type":"ping","id":"\\u0041', "A", '"}'),
        "id, surrogate pairs": fill('{"type":"ping","id":"', "\\ud83d\\ude00", '"}'),
        "id, digits": fill('{"type":"ping","id":', "1", "}"),
        "id, an object": fill('{"type":"ping","id":[', "0,", "0]}"),
        "channel, plain": fill('{"type":"join","id":1,"channel":"', "A", '"}'),
        "channel, escaped": fill('{"type":"join","id":1,"channel":"', "\\u0041", '"}'),
        "channel, one escape": fill('{"type":"join","id":1,"channel":"\\u0041', "A", '"}'),
        "channel, newlines": fill('{"type":"join","id":1,"channel":"', "\\n", '"}'),
        "channel, not ASCII": fill('{"type":"join","id":1,"channel":"', "é", '"}'),
        "since, escaped names": fill('{"type":"join","id":1,"channel":"c","since":{', '"\\n":0,', '"":0}}'),
        "since, one escaped name": fill('{"type":"join","id":1,"channel":"c","since":{"', "\\u0041", '":0}}'),
        "since, names": fill('{"type":"join","id":1,"channel":"c","since":{', '"":0,', '"":0}}'),
        "since, one escape in a name": fill('{"type":"join","id":1,"channel":"c","since":{"\\u0041', "A", '":0}}'),
        "since, epoch with one escape": fill(
            '{"type":"join","id":1,"channel":"d","since":{"seq":1,"epoch":"\\u0041', "A", '"}}'),
        "since, escaped epoch": fill('{"type":"join","id":1,"channel":"d","since":{"seq":1,"epoch":"', "\\u0041", '"}}'),
        "limit, digits": fill('{"type":"history","id":1,"channel":"c","limit":', "1", "}"),
        "token, one escape": fill('{"type":"refresh","id":1,"token":"\\u0041', "A", '"}'),
        "token, escaped": fill('{"type":"refresh","id":1,"token":"', "\\u0041", '"}'),
        "nested arrays": fill('{"type":"ping","id":1,"x":[', "[" * 60 + "]" * 60 + ",", "0]}"),
        "nested objects": fill('{"type":"ping","id":1,"x":[', '{"":' * 60 + "0" + "}" * 60 + ",", "0]}"),
        "array of numbers": fill('{"type":"ping","id":1,"x":[', "0,", "0]}"),
        "array of literals": fill('{"type":"ping","id":1,"x":[', "null,", "0]}"),
        "array of empty strings": fill('{"type":"ping","id":1,"x":[', '"",', "0]}"),
        "one long number": fill('{"type":"ping","id":1,"x":', "1", "}"),
        "white space": fill('{"type":"ping","id":1', " ", "}"),
        "white space between members": fill('{"type":"ping","id":1', ' ,\n"" : 0', "}"),
        "escapes in a value": fill('{"type":"ping","id":1,"x":"', "\\n", '"}'),
        "hexadecimal escapes in a value": fill('{"type":"ping","id":1,"x":"', "\\u0041", '"}'),
        "an array, no object": fill("[", "0,", "0]"),
        "no JSON, known at the end": fill('{"type":"ping","id":1,"x":"', "A", '"'),
        "text of three-byte characters": fill('{"type":"ping","id":1,"x":"', "€", '"}'),
        "text of four-byte characters": fill('{"type":"ping","id":1,"x":"', "😀", '"}'),
    }


def small_requests():
    """Short texts that are refused each, sent in one stream."""
    letters = "".join(chr(97 + number % 26) for number in range(250))
    return {
        "(many) not JSON": "x",
        "(many) unknown type": '{"type":"x"}',
        "(many) missing type": "{}",
        "(many) leave of a channel it is not in": '{"type":"leave","channel":"nowhere"}',
        "(many) presence without it": '{"type":"presence","id":1,"channel":"nowhere"}',
        "(many) leave, escaped name, in no channel": '{"type":"leave","channel":%s}' % escaped(letters),
    }


def bad_deflate():
    """Payloads for a compressed message, by name: what they inflate to is nothing, or too much."""
    dynamic = minimal_dynamic_block()
    return {
        "deflate: last blocks": b"\x03\x00" * (SIZE // 2),
        "deflate: empty stored blocks": b"\x00\x00\x00\xff\xff" * (SIZE // 5),
        "deflate: empty fixed blocks": bits_repeated([(0, 1), (1, 2), (0, 7)], SIZE),
        "deflate: empty dynamic blocks": bits_repeated(dynamic, SIZE),
        "deflate: a bomb of 1 GiB": deflate(bytes(64 << 20)),
        "deflate: a bomb of 1 MiB, allowed": deflate(bytes(SIZE)),
    }


def minimal_dynamic_block():
    """A dynamic Huffman block (RFC 1951, section 3.2.7) that says nothing: (value, bits) each."""
    # Code lengths by the alphabet 18, 1, 2 and their codes: 258 literal codes with 256 and one other of length 1.
    block = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    lengths = {18: 1, 1: 1}
    block += [(lengths.get(symbol, 0), 3) for symbol in order[:18]]
    # Codes of one bit, in the order of the symbols: 1 is 0, 18 is 1.
    block += [(0, 1), (1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 1), (0, 1)]
    # Literal 0 and 256 have a bit each: 256 is 1.
    return block + [(1, 1)]


def bits_repeated(pieces, size):
    """The pieces, least significant bit first, again and again, then the stored block that ends a flush."""
    value, count = 0, 0
    for number, width in pieces:
        value |= number << count
        count += width
    unit, units = value, 8
    period = b"".join([sum(unit << (count * index) for index in range(units)).to_bytes(count, "little")])
    data = period * (size // len(period))
    # The empty stored block of a flush begins in the next byte, since eight pieces end with one; its length is left away.
    return data + b"\x00"


def check_blocks():
    for name, payload in bad_deflate().items():
        if "bomb" not in name and "last" not in name:
            assert zlib.decompressobj(-15).decompress(payload + TAIL) == b"", name


def heads():
    """Requests of 16 KiB, by name; each is answered and the connection ended."""
    def head(before, piece, after="\r\n\r\n", target="/ws", **fields):
        proper = [f"{name}: {value}" for name, value in handshake_headers("x")]
        start = f"GET {target} HTTP/1.1\r\n" + "\r\n".join(proper) + "\r\n" + before
        return fill(start, piece, after, HEAD - 8).encode("latin-1", "surrogateescape")

    def line(target_start, piece):
        end = " HTTP/1.1\r\n" + "\r\n".join(f"{n}: {v}" for n, v in handshake_headers("x")) + "\r\nOrigin: null\r\n\r\n"
        return fill(f"GET {target_start}", piece, end, HEAD - 8).encode()

    def utf8(text):
        return text.encode().decode("latin-1")

    return {
        "head: one field": head("Origin: null\r\nX: ", "a"),
        "head: smallest fields": head("Origin: null\r\n", "a:\r\n", "\r\n"),
        "head: fields of one letter": head("Origin: null\r\n", "a:b\r\n", "\r\n"),
        "head: Origin": head("Origin: ", "a"),
        "head: Origin http://a": head("Origin: http://", "a"),
        "head: Origin ://": head("Origin: a", ":/"),
        "head: Origin, one grapheme": head("Origin: e", utf8("\u0301")),
        "head: Origin, flags": head("Origin: ", utf8("\U0001f1e6")),
        "head: Origin, no UTF-8": head("Origin: ", "\xff"),
        "head: Connection list": head("Origin: null\r\nConnection: ", "a,"),
        "head: Connection commas": head("Origin: null\r\nConnection: ", ","),
        "head: Upgrade list": head("Origin: null\r\nUpgrade: ", "a,"),
        "head: extensions, commas": head("Origin: null\r\nSec-WebSocket-Extensions: ", ","),
        "head: cookies": head("Origin: null\r\nCookie: ", "a=b;"),
        "head: X-Forwarded-For": head("Origin: null\r\nX-Forwarded-For: ", "127.0.0.1,", "127.0.0.1\r\n\r\n"),
        "head: query of &": line("/ws?", "&"),
        "head: query of a=b": line("/ws?", "a=b&"),
        "head: path": line("/", "a"),
        "head: path of %41": line("/", "%41"),
        "head: a page with If-None-Match": head("If-None-Match: ", "a,", target="/"),
        "head: bad target": line("*", "a"),
        "head: too large": b"GET /ws HTTP/1.1\r\nX: " + b"a" * (HEAD * 2),
        "head: no HTTP": b"GET / HTTP/1.1\r\n" + b"\x00" * (HEAD - 40) + b"\r\n\r\n",
    }


def accepted_heads():
    """Proper requests of 16 KiB that get 101, by name; what is in them is looked at on the way."""
    def head(before, piece, after="\r\n\r\n"):
        proper = [f"{name}: {value}" for name, value in handshake_headers("x")]
        start = "GET /ws HTTP/1.1\r\n" + "\r\n".join(proper) + "\r\n" + before
        return fill(start, piece, after, HEAD - 8).encode("latin-1")

    extensions = "Sec-WebSocket-Extensions: "
    return {
        "101: one field": head("X: ", "a"),
        "101: extensions, commas": head(extensions, ","),
        "101: extensions, unknown": head(extensions, "a,"),
        "101: extensions, semicolons": head(extensions + "permessage-deflate", ";"),
        "101: extensions, declined offers": head(extensions, "permessage-deflate;x,"),
        "101: extensions, repeated parameters": head(
            extensions, "permessage-deflate;server_max_window_bits=8;server_max_window_bits=8,"),
        "101: extensions, quotes": head(extensions + "permessage-deflate;x=", '"'),
        "101: extensions, an open quote": head(extensions + '"', ","),
        "101: extensions, names": head(extensions, "p"),
        "101: X-Forwarded-For": head("X-Forwarded-For: ", "127.0.0.1,", "127.0.0.1\r\n\r\n"),
        "101: X-Forwarded-For, commas": head("X-Forwarded-For: ", ",", "127.0.0.1\r\n\r\n"),
        "101: cookies": head("Cookie: ", "a=b;"),
        "101: User-Agent": head("User-Agent: ", "a"),
        "101: User-Agent, not ASCII": head("User-Agent: ", "\xcc\x81"),
    }


class Meter:
    """Measures one kind of input at a time."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.rows = []

    def note(self, name, nanoseconds, sent, inflated=None, messages=1):
        per_byte = nanoseconds / (inflated or sent)
        self.rows.append((per_byte, name, nanoseconds / messages / 1e6, sent // messages, nanoseconds / sent, messages))
        print(f"{per_byte:9.1f} ns/B  {name}", file=sys.stderr, flush=True)

    def json(self, name, texts, messages, *, is_deflated=False, sent=None, path="/chat"):
        """Sends frames to a json endpoint and waits until a ping behind them is answered."""
        client = self.daemon.connect(path, offer=OFFER if is_deflated else None, timeout=120)
        client.receive_text()
        data = texts + frame(TEXT, '{"type":"ping","id":"the end"}')
        before = processor_nanoseconds(self.daemon)
        # Who reads no answers is not heard.
        sender = threading.Thread(target=client.send, args=(data,), daemon=True)
        sender.start()
        while '"id":"the end"' not in client.receive_text():
            pass
        sender.join()
        self.note(name, processor_nanoseconds(self.daemon) - before, len(texts), sent, messages)
        client.close()

    def frames(self, name, data, messages, *, path="/ws", offer=None, inflated=None):
        """Sends bytes to a relay endpoint and waits for a pong behind them, or for the end."""
        client = self.daemon.connect(path, offer=offer, timeout=120)
        before = processor_nanoseconds(self.daemon)
        try:
            client.send(data)
            client.send_frame(PING, b"the end")
            while True:
                got = client.receive_frame()
                if got.opcode == PONG and got.payload == b"the end":
                    break
        except Exception as end:
            print(f"{name}: {str(end)[:80]}", file=sys.stderr)
        self.note(name, processor_nanoseconds(self.daemon) - before, len(data), inflated, messages)
        client.close()

    def head(self, name, data, count=20, status=None):
        before = processor_nanoseconds(self.daemon)
        for _ in range(count):
            with Wire(self.daemon.port) as wire:
                wire.send(data)
                try:
                    response = wire.read_response()
                except OSError:
                    continue
                if status is not None:
                    assert response.status == status, (name, response)
        time.sleep(0.05)
        self.note(f"{name} -> {response.status}", processor_nanoseconds(self.daemon) - before, len(data) * count,
                  messages=count)


def measure(daemon, words):
    meter = Meter(daemon)

    def wanted(name):
        return not words or any(word.lower() in name.lower() for word in words)

    for name, text in json_kinds().items():
        if wanted(name):
            meter.json(name, frame(TEXT, text, key=KEY), 1)
    for name, text in small_requests().items():
        if wanted(name):
            meter.json(name, frame(TEXT, text, key=KEY) * 20000, 20000)
    if wanted("escaped names of channels it is in"):
        for escapes in (1, 255):
            escaped_names(meter, escapes)
    if wanted("binary to json"):
        meter.json("binary to json", frame(BINARY, bytes(SIZE), key=KEY), 1)
    for name, payload in bad_deflate().items():
        if wanted(name):
            inflated = SIZE if "bomb" in name else None
            meter.frames(name, frame(BINARY, payload, rsv=RSV1, key=KEY), 1, offer=OFFER, inflated=inflated)
    for name, data, messages in frame_kinds():
        if wanted(name):
            meter.frames(name, data, messages)
    for name, data in heads().items():
        if wanted(name):
            meter.head(name, data)
    for name, data in accepted_heads().items():
        if wanted(name):
            meter.head(name, data, status=101)
    return meter.rows


def frame_kinds():
    yield "frames: empty pings", frame(PING, b"", key=KEY) * 100_000, 100_000
    yield "frames: full pings", frame(PING, b"x" * 125, key=KEY) * 10_000, 10_000
    yield "frames: empty pongs", frame(PONG, b"", key=KEY) * 100_000, 100_000
    first = frame(BINARY, b"", fin=False, key=KEY)
    yield "frames: empty fragments", first + frame(CONTINUATION, b"", fin=False, key=KEY) * 100_000, 100_000
    yield "frames: fragments of one byte", first + frame(CONTINUATION, b"x", fin=False, key=KEY) * 100_000, 100_000
    yield "frames: a binary message of 1 MiB", frame(BINARY, bytes(SIZE), key=KEY), 1
    yield "frames: a text of 1 MiB, bad at its end", frame(TEXT, b"a" * (SIZE - 1) + b"\xff", key=KEY), 1


def escaped_names(meter, escapes):
    """Chats into the last of 128 channels, whose name is written with escapes: it is compared with all of them."""
    names = [f"{number:03d}" + "x" * 252 for number in range(128)]
    client = meter.daemon.connect("/chat", timeout=120)
    client.receive_text()
    for name in names:
        client.send_text(json.dumps({"type": "join", "channel": name, "id": 1}))
    for _ in names:
        client.receive_text()
    name = escaped(names[-1][:escapes])[:-1] + names[-1][escapes:] + '"'
    text = '{"type":"chat","data":0,"channel":%s}' % name
    data = frame(TEXT, text, key=KEY) * 200
    before = processor_nanoseconds(meter.daemon)
    client.send(data)
    client.send_text('{"type":"ping","id":"the end"}')
    while '"id":"the end"' not in client.receive_text():
        pass
    meter.note(f"(200) escaped names of channels it is in, {escapes} escapes",
               processor_nanoseconds(meter.daemon) - before, len(data), messages=200)
    client.close()


def main():
    check_blocks()
    with tempfile.TemporaryDirectory(prefix="wsd-") as directory:
        daemon = Daemon(directory, CONFIGURATION, workers=1)
        try:
            rows = measure(daemon, sys.argv[1:])
        finally:
            daemon.kill()
    print("| ns per byte | ns per byte on the wire | ms each | bytes each | what |\n| --- | --- | --- | --- | --- |")
    for per_byte, name, each, size, wire, _ in sorted(rows, reverse=True):
        print(f"| {per_byte:.1f} | {wire:.1f} | {each:.3f} | {size} | {name} |")


if __name__ == "__main__":
    main()
