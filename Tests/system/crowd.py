"""A crowd of WebSocket clients in one thread, cheap enough to have thousands, and for each to check every byte it gets.

All of them are in one channel, so what each receives after its handshake is a prefix of one and the same stream: the
server's frames, one behind the other. A member keeps its place in that stream and whatever did not belong to it.
"""

import os
import selectors
import socket
import struct
import time

from rawws import SAMPLE_ACCEPT, SAMPLE_KEY, handshake_headers, narrow, request
from waiting import DEADLINE


class Member:
    """One client of a crowd."""

    __slots__ = ("socket", "head", "position", "rest", "has_ended")

    def __init__(self, connection):
        self.socket = connection
        self.head = b""
        # How much of the stream has come, and what came instead of its next byte, up to the end.
        self.position = 0
        self.rest = b""
        self.has_ended = False

    def reset(self):
        """Ends the connection by a TCP reset, unless it is closed already."""
        if self.socket.fileno() < 0:
            return
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Crowd:
    """`count` clients that connect all at once, and whose handshakes have succeeded when the constructor returns."""

    def __init__(self, port, count, *, target="/ws", receive_buffer=None):
        self._selector = selectors.DefaultSelector()
        self._stream = bytearray()
        self.members = []
        handshake = request(handshake_headers(f"127.0.0.1:{port}", SAMPLE_KEY), target)
        try:
            for _ in range(count):
                connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                self.members.append(Member(connection))
                if receive_buffer is not None:
                    narrow(connection, receive_buffer)
                connection.connect_ex(("127.0.0.1", port))
                self._selector.register(connection, selectors.EVENT_WRITE, self.members[-1])
            self._wait(self._shake_hands(handshake), "the crowd is connected")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Resets every connection, so that no port of theirs is kept in TIME_WAIT."""
        for member in self.members:
            member.reset()
        self._selector.close()

    def expect(self, data):
        """Says how the stream goes on."""
        self._stream += data

    def read(self):
        """Reads until every member has all of the stream."""
        self._wait(self._read_stream(len(self._stream)), "the crowd has read it all")

    def read_to_end(self):
        """Reads until the server has ended every connection."""
        self._wait(self._read_stream(None), "the crowd has read to the end")

    @staticmethod
    def _wait(steps, what):
        """Takes steps until none is left, or nothing has happened for too long; each says how many members are left."""
        last, left = time.monotonic(), None
        for count in steps:
            if count != left:
                last, left = time.monotonic(), count
            elif time.monotonic() > last + DEADLINE:
                raise AssertionError(f"{count} members left, still waiting until {what}")

    def _shake_hands(self, handshake):
        left = len(self.members)
        while left:
            for key, events in self._selector.select(1):
                member = key.data
                if events & selectors.EVENT_WRITE:
                    assert member.socket.send(handshake) == len(handshake)
                    self._selector.modify(member.socket, selectors.EVENT_READ, member)
                    continue
                # One byte more than the head would be one of the stream.
                while not member.head.endswith(b"\r\n\r\n"):
                    piece = self._take_head(member.socket)
                    if piece is None:
                        break
                    member.head += piece
                else:
                    assert member.head.startswith(b"HTTP/1.1 101 "), member.head
                    assert f"Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n".encode() in member.head, member.head
                    left -= 1
                    self._selector.unregister(member.socket)
            yield left

    @staticmethod
    def _take_head(connection):
        """Takes the rest of the response's head, or as much of it as has come; None where nothing has."""
        try:
            seen = connection.recv(4096, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        assert seen, "the server ended the connection instead of answering the handshake"
        end = seen.find(b"\r\n\r\n")
        return connection.recv(len(seen) if end < 0 else end + 4)

    def _read_stream(self, end):
        """Reads from members up to the position `end` of the stream, or to the end of their connections."""
        reading = [member for member in self.members if not member.has_ended]
        for member in reading:
            self._selector.register(member.socket, selectors.EVENT_READ, member)
        left = len(reading)
        try:
            while left:
                for key, _ in self._selector.select(1):
                    member = key.data
                    self._take(member)
                    if member.has_ended:
                        assert end is None, f"the server ended a connection after {member.position} bytes"
                    elif end is None or member.position < end:
                        continue
                    left -= 1
                    self._selector.unregister(member.socket)
                yield left
        finally:
            for key in list(self._selector.get_map().values()):
                self._selector.unregister(key.fileobj)

    def _take(self, member):
        try:
            chunk = member.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            member.has_ended = True
        elif not member.rest and self._stream.startswith(chunk, member.position):
            member.position += len(chunk)
        else:
            if not member.rest:
                expected = bytes(self._stream[member.position : member.position + len(chunk)])
                right = len(os.path.commonprefix([expected, chunk]))
                member.position += right
                chunk = chunk[right:]
            member.rest += chunk
