"""All attacks at once, each in a thread that comes again whenever the hub has closed it. Run by soak.py.

`python attackers.py PORT WIDE NARROW KIND...`: the two tokens grant everything and nothing.
"""

import contextlib
import itertools
import json
import os
import random
import socket
import sys
import threading
import time

from attacks import KEY, OFFER, asking, deflated_frame, escaped, home, text_frame
from hostile_cost import bits_repeated, heads, minimal_dynamic_block
from rawws import BINARY, PING, RSV1, ClosedByServer, ConnectionEnded, RawWebSocket, Wire, frame

ENDS = (OSError, AssertionError, ConnectionEnded, ClosedByServer, ValueError)


class Attacker:
    """The base of all attacks: the hub's port, the tokens, and the attacker's own number."""

    def __init__(self, port, wide, narrow, number):
        self.port, self.wide, self.narrow, self.number = port, wide, narrow, number
        self.random = random.Random(number)
        self.count = itertools.count()

    def connect(self, path="/chat", token=None, **options):
        headers = [("Authorization", f"Bearer {token or self.wide}")]
        client = RawWebSocket(self.port, path, headers=headers, source="127.0.0.2", timeout=10, **options)
        if path == "/chat":
            client.receive_text()
        return client

    def push(self, client, data, *, reads=True, seconds=5.0):
        """Sends the bytes again and again for some seconds, and reads what comes, or not."""
        client.socket.setblocking(False)
        view, end = memoryview(data), time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                view = view[client.socket.send(view) :] or memoryview(data)
            with contextlib.suppress(BlockingIOError):
                while reads:
                    if not client.socket.recv(1 << 18):
                        return
            # An attacker has a machine of its own; this one is to leave the hub some of it.
            time.sleep(0.002)


def escaped_names(attacker):
    name = '{"type":"ping","id":1,"%s":0}' % ("\\u0041" * 174_000)
    chat = '{"type":"chat","data":0,"channel":%s}' % escaped("x" * 250)
    client = attacker.connect(offer=OFFER)
    attacker.push(client, deflated_frame(name) + deflated_frame(chat) * 20)


def quiet_channels(attacker):
    client = attacker.connect()
    for _ in range(200):
        channel = f"quiet:{attacker.random.randrange(10**9)}"
        for kind in ("chat", "chat", "chat", "join", "chat", "presence", "leave"):
            client.send_text(asking(kind, channel=channel, id=1, **({"data": 0} if kind == "chat" else {})))
    client.close()


def withdrawn_grants(attacker):
    client = attacker.connect()
    joins = [text_frame(asking("join", channel=f"granted:{next(attacker.count)}", id=1)) for _ in range(100)]
    place = attacker.random.randrange(100)
    refresh = text_frame(asking("refresh", token=attacker.narrow, id="r"))
    errors = text_frame(asking("leave", channel="nowhere")) * 59
    client.send(errors + b"".join(joins[:place]) + refresh + b"".join(joins[place:]))
    with contextlib.suppress(TimeoutError):
        client.socket.settimeout(0.5)
        while True:
            client.receive_text()


def long_answers(attacker, reads):
    client = attacker.connect(receive_buffer=None if reads else 4096)
    room = f"room:{attacker.random.randrange(4)}"
    client.send_text(asking("join", channel=room, id=1))
    epoch = json.loads(client.receive_text()).get("epoch", "")
    data = text_frame(asking("chat", channel=room, data="x" * 2000))
    for kind, members in (("history", {"limit": 1000}), ("presence", {}), ("join", {"since": {"epoch": epoch, "seq": 0}})):
        data += text_frame(asking(kind, channel=room, id=1, **members)) * 20
    attacker.push(client, data, reads=reads)


def mailboxes(attacker):
    wide = attacker.random.randrange(9, 15)
    subscriber = attacker.connect("/ws", offer=f"{OFFER}; server_max_window_bits={wide}")
    reader = threading.Thread(target=discard, args=(subscriber,), daemon=True)
    reader.start()
    publisher = attacker.connect("/ws", offer=OFFER)
    attacker.push(publisher, deflated_frame("well deflating, " * 16_000) * 4)
    subscriber.close()


def discard(client):
    with contextlib.suppress(*ENDS):
        while client.socket.recv(1 << 18):
            pass


def many_names(attacker):
    client = attacker.connect()
    for _ in range(20):
        names = (f"name:{attacker.number}.{next(attacker.count)}" for _ in range(5000))
        client.send(b"".join(text_frame(asking("chat", channel=name, data=0)) for name in names))
        time.sleep(0.1)


def unfinished(attacker):
    clients = []
    with contextlib.suppress(*ENDS):
        for _ in range(100):
            clients.append(attacker.connect("/ws"))
            clients[-1].send(frame(BINARY, bytes(1_000_000), fin=False, key=KEY))
    time.sleep(3)
    for client in clients:
        client.close()


def open_handshakes(attacker):
    wires = []
    with contextlib.suppress(*ENDS):
        for _ in range(200):
            wires.append(Wire(attacker.port, source="127.0.0.2"))
            wires[-1].send(b"GET /ws HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 15_000)
    time.sleep(3)
    for wire in wires:
        wire.close()


def slow_consumers(attacker):
    """Something waits for the one, and the other has long answers beside its short ones."""
    room = next(name for name in (f"room:{attacker.random.randrange(99)}" for _ in range(99)) if home(name) == 0)
    stuck, reader = attacker.connect(receive_buffer=4096), attacker.connect()
    for client in (stuck, reader):
        client.send_text(asking("join", channel=room, id=1))
    reader.send(text_frame(asking("chat", channel=room, data="x" * 2000)) * 100)
    page, one = (text_frame(asking("history", channel=room, id=2, limit=limit)) for limit in (100, 1))
    stuck.socket.setblocking(False)
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            stuck.socket.send(one * 2)
        attacker.push(reader, page, seconds=0.05)


def small_frames(attacker):
    client = attacker.connect("/ws", receive_buffer=4096)
    attacker.push(client, frame(PING, b"x" * 125, key=KEY) * 1000, reads=False)


def empty_blocks(attacker):
    payload = bits_repeated(minimal_dynamic_block(), 200_000)
    attacker.push(attacker.connect("/ws", offer=OFFER), frame(BINARY, payload, rsv=RSV1, key=KEY))


def large_heads(attacker):
    data = heads()["head: smallest fields"]
    for _ in range(50):
        with Wire(attacker.port, source="127.0.0.2") as wire:
            wire.send(data)
            wire.read_response()


def cut_off(attacker):
    for _ in range(50):
        client = attacker.connect()
        client.send_text(asking("join", channel="room:1"))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()


KINDS = {
    "escaped_names": escaped_names,
    "quiet_channels": quiet_channels,
    "withdrawn_grants": withdrawn_grants,
    "long_answers": lambda attacker: long_answers(attacker, reads=True),
    "unread_answers": lambda attacker: long_answers(attacker, reads=False),
    "mailboxes": mailboxes,
    "many_names": many_names,
    "unfinished": unfinished,
    "open_handshakes": open_handshakes,
    "slow_consumers": slow_consumers,
    "small_frames": small_frames,
    "empty_blocks": empty_blocks,
    "large_heads": large_heads,
    "cut_off": cut_off,
}


def again_and_again(attack, attacker, rounds):
    while True:
        with contextlib.suppress(*ENDS):
            attack(attacker)
        rounds[0] += 1
        # An attacker whom the hub refuses at once does not come a thousand times a second here: it is one processor's work
        # to be many, and the hub is to have the other.
        time.sleep(0.05)


def main():
    port, wide, narrow, *kinds = sys.argv[1:]
    os.nice(10)
    counts = {}
    for number, kind in enumerate(kinds):
        counts[f"{kind}.{number}"] = [0]
        attacker = Attacker(int(port), wide, narrow, number + os.getpid())
        arguments = (KINDS[kind], attacker, counts[f"{kind}.{number}"])
        threading.Thread(target=again_and_again, args=arguments, daemon=True).start()
    sys.stdin.readline()
    print(json.dumps({kind: count for kind, [count] in counts.items()}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
