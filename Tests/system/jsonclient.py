"""A client of the json protocol, on the WebSocket of PyPI `websockets`."""

import itertools
import json
import socket

from websockets.sync.client import connect

from waiting import DEADLINE


class JSONClient:
    """One connection: `welcome` is the first message, `heard` what came while something else was waited for."""

    def __init__(self, port, path="/chat", **options):
        # It reads on while nobody listens, so that it can say goodbye in any case.
        limits = {"max_size": None, "max_queue": None, "open_timeout": DEADLINE, "ping_interval": None}
        self.socket = connect(f"ws://127.0.0.1:{port}{path}", legacy=True, **limits, **options)
        self.ids = itertools.count(1)
        self.heard = []
        self.welcome = self.receive()
        assert (self.welcome["type"], self.welcome["event"]) == ("system", "welcome")
        self.user = self.welcome["user"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self):
        """The next message on the wire."""
        return json.loads(self.socket.recv(timeout=DEADLINE))

    def next(self, kind=None):
        """The next message that answers nothing, or the next one of a type."""
        while True:
            for index, message in enumerate(self.heard):
                if kind in (None, message["type"]):
                    return self.heard.pop(index)
            self.heard.append(self.receive())

    def send(self, **request):
        self.socket.send(json.dumps(request))

    def ask(self, kind, **members):
        """Sends a request and returns its one answer; what comes meanwhile goes to `heard`."""
        request_id = next(self.ids)
        self.send(type=kind, id=request_id, **members)
        return self.answer(request_id)

    def answer(self, request_id):
        while True:
            message = self.receive()
            if message["type"] in ("ack", "error") and "id" in message:
                assert message["id"] == request_id, message
                return message
            self.heard.append(message)

    def ok(self, kind, **members):
        answer = self.ask(kind, **members)
        assert answer["type"] == "ack", answer
        return answer

    def refused(self, kind, **members):
        """The code of the error that a request is answered with."""
        answer = self.ask(kind, **members)
        assert answer["type"] == "error" and answer["message"], answer
        return answer["code"]

    def cut(self):
        """Ends the connection without a word."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
