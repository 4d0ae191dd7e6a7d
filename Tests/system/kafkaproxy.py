"""What stands before a stand-in for Kafka, so that it has TLS, users and, where asked, no mercy."""

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import ssl
import struct
import threading

from ports import free_port

# Keys of the protocol: https://kafka.apache.org/protocol
HANDSHAKE, VERSIONS, AUTHENTICATE = 17, 18, 36
REFUSED, NO_SUCH_MECHANISM = 58, 33


class KafkaProxy:
    """Passes on what clients and a broker on a loopback port say to each other, once a client has shown who it is.

    `authority` is a certificate authority (redisserver.Authority) if it speaks TLS. `users` are passwords, or tokens, by
    names; `mechanism` is the one that it lets in by. Both may be changed while it runs.
    """

    def __init__(self, broker_port, *, authority=None, users=None, mechanism="PLAIN"):
        self.broker_port, self.port = broker_port, free_port()
        self.users, self.mechanism = users, mechanism
        self._tls = None
        if authority:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(authority.certificate, authority.key)
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def servers(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        # An accept(2) that waits keeps a socket alive that is only closed.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        """Ends all connections."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, EOFError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            broker = socket.create_connection(("127.0.0.1", self.broker_port))
            with client, broker:
                self._open |= {client, broker}
                try:
                    if self.users is None or self._admit(client, broker):
                        answers = threading.Thread(target=self._pass_answers, args=(broker, client), daemon=True)
                        answers.start()
                        self._pass(client, broker)
                finally:
                    self._open -= {client, broker}
                    for connection in (client, broker):
                        with contextlib.suppress(OSError):
                            connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass(source, target):
        while data := source.recv(65536):
            target.sendall(data)

    def _pass_answers(self, broker, client):
        """The broker says in them where it listens: this is to be here."""
        host = b"127.0.0.1"
        ours, theirs = (host + struct.pack(">i", port) for port in (self.port, self.broker_port))
        with contextlib.suppress(OSError, EOFError):
            while True:
                send(client, frame(broker).replace(theirs, ours))

    def _admit(self, client, broker):
        """SASL: https://kafka.apache.org/protocol#sasl_handshake"""
        conversation = None
        while True:
            request = frame(client)
            key, _, correlation, name_size = struct.unpack_from(">hhih", request)
            body = request[10 + max(name_size, 0) :]
            if key == HANDSHAKE:
                asked = body[2:].decode()
                error = 0 if asked == self.mechanism else NO_SUCH_MECHANISM
                names = struct.pack(">ih", 1, len(self.mechanism)) + self.mechanism.encode()
                send(client, struct.pack(">ih", correlation, error) + names)
                conversation = getattr(self, "_" + asked.replace("-", "_").lower())() if not error else None
                if conversation:
                    next(conversation)
            elif key == AUTHENTICATE:
                answer = conversation.send(body[4:])
                error, text = (0, b"") if answer is not None else (REFUSED, b"Invalid username or password")
                told = struct.pack(">h", len(text)) + text if text else struct.pack(">h", -1)
                token = answer[1] if answer else b""
                send(client, struct.pack(">ih", correlation, error) + told + struct.pack(">i", len(token)) + token + bytes(8))
                if answer is None:
                    return False
                if answer[0]:
                    return True
            elif key != VERSIONS:
                return False
            else:
                # What it is able to do, which a client may ask before.
                send(broker, request)
                send(client, frame(broker))

    # The mechanisms: each takes what the client says, and yields whether that was all and what to answer; or None.

    def _plain(self):
        _, user, password = (yield).split(b"\0")
        yield (True, b"") if self.users.get(user.decode()) == password.decode() else None

    def _oauthbearer(self):
        said = yield
        tokens = [field[len(b"auth=Bearer ") :].decode() for field in said.split(b"\x01") if field.startswith(b"auth=Bearer ")]
        yield (True, b"") if tokens and tokens[0] in self.users.values() else None

    def _scram_sha_256(self):
        yield from self._scram("sha256")

    def _scram_sha_512(self):
        yield from self._scram("sha512")

    def _scram(self, algorithm):
        """RFC 5802."""

        def mac(key, text):
            return hmac.new(key, text, algorithm).digest()

        first = (yield)[len(b"n,,") :]
        fields = dict(part.split(b"=", 1) for part in first.split(b","))
        password = self.users.get(fields[b"n"].decode(), "nobody's")
        salt, rounds = os.urandom(16), 4096
        nonce = fields[b"r"] + base64.b64encode(os.urandom(12))
        challenge = b"r=" + nonce + b",s=" + base64.b64encode(salt) + b",i=%d" % rounds
        final = yield (False, challenge)
        without_proof, _, proof = final.partition(b",p=")
        salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, rounds)
        client_key = mac(salted, b"Client Key")
        text = first + b"," + challenge + b"," + without_proof
        signature = mac(hashlib.new(algorithm, client_key).digest(), text)
        wanted = bytes(a ^ b for a, b in zip(client_key, signature))
        if fields[b"n"].decode() not in self.users or not hmac.compare_digest(base64.b64decode(proof), wanted):
            yield None
        yield (True, b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), text)))


def frame(connection):
    """The next request or answer, without its length. Raises EOFError at the end."""
    [size] = struct.unpack(">i", exactly(connection, 4))
    return exactly(connection, size)


def send(connection, data):
    connection.sendall(struct.pack(">i", len(data)) + data)


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
