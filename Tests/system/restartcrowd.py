"""Clients that talk all the time, and know exactly what they have to hear: for restarts that nobody must notice."""

import asyncio
import base64
import ctypes
import json
import random
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from certificates import client_context
from waiting import DEADLINE, wait_until

# Every so many messages, a client of the relay sends a long one in fragments, with pauses between them.
LONG_EVERY = 25
FRAGMENTS = 5


def enter(network):
    """Takes this thread into a network namespace (setns(2))."""
    if network is not None:
        with open(network) as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(namespace.fileno(), 0) == 0, f"setns: {ctypes.get_errno()}"


class Client:
    """One connection: it says numbered messages, and checks those that it hears."""

    def __init__(self, crowd, number, group, protocol, compressed, tls=None):
        self.crowd, self.number, self.group, self.protocol = crowd, number, group, protocol
        self.pause, self.long_every = crowd.manner(number, protocol)
        self.compressed = compressed
        self.tls = tls
        self.port = crowd.tls_port if tls else crowd.ports[number % len(crowd.ports)]
        self.said = 0
        self.acknowledged = 0
        # The last number heard of each member of the group.
        self.heard = {}
        self.seq = None
        self.last = time.monotonic()
        self.silence = 0.0
        self.faults = []

    async def open(self):
        connected = await asyncio.get_running_loop().run_in_executor(self.crowd.connecting, self.crowd.connected, self.port)
        secure = {"ssl": self.tls, "server_hostname": "localhost"} if self.tls else {}
        self.socket = await connect(
            f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/{self.protocol}/{self.group}", sock=connected,
            max_size=None, **secure,
            compression="deflate" if self.compressed else None, ping_interval=None, open_timeout=DEADLINE,
            close_timeout=DEADLINE)

    async def talk(self):
        """Says one message after the other."""
        await asyncio.sleep(random.uniform(0, self.pause))
        try:
            while not self.crowd.is_ending:
                number = self.said + 1
                message = f"{self.number} {number} {self.rest(number)}"
                if self.protocol == "json":
                    message = json.dumps({"type": "chat", "data": message, "id": number})
                await self.socket.send(self.parts(message) if self.is_long(number) else message)
                self.said = number
                await asyncio.sleep(self.pause)
        except ConnectionClosed as closed:
            self.faults.append(f"client {self.number} ({self.protocol}) was closed while it talked: {closed}")

    def is_long(self, number):
        return self.long_every > 0 and number % self.long_every == 0

    def rest(self, number):
        """What follows the numbers in a message."""
        return self.crowd.text if self.is_long(number) else "x" * (number % 40)

    async def parts(self, message):
        size = len(message) // FRAGMENTS + 1
        for start in range(0, len(message), size):
            yield message[start : start + size]
            await asyncio.sleep(self.pause / 2)

    async def listen(self):
        try:
            async for message in self.socket:
                now = time.monotonic()
                self.silence, self.last = max(self.silence, now - self.last), now
                self.take(message)
        except ConnectionClosed as closed:
            if not self.crowd.is_over:
                self.faults.append(f"client {self.number} ({self.protocol}) was closed: {closed}")
        else:
            if not self.crowd.is_over:
                self.faults.append(f"client {self.number} ({self.protocol}) was closed properly")

    def take(self, message):
        if self.protocol == "relay":
            self.note(message)
            return
        message = json.loads(message)
        kind = message["type"]
        if kind == "ack":
            self.acknowledged += 1
            if message["id"] != self.acknowledged:
                self.faults.append(f"client {self.number}: ack {message['id']} instead of {self.acknowledged}")
        elif kind == "chat":
            if self.seq is not None and message["seq"] != self.seq + 1:
                self.faults.append(f"client {self.number}: number {message['seq']} after {self.seq}")
            self.seq = message["seq"]
            self.note(message["data"])
        elif message.get("event") == "welcome":
            pass
        elif kind == "join":
            pass
        else:
            self.faults.append(f"client {self.number}: {message}")

    def note(self, text):
        sender, number, rest = text.split(" ", 2)
        sender, number = int(sender), int(number)
        last = self.heard.get(sender, 0)
        if number != last + 1:
            self.faults.append(f"client {self.number} ({self.protocol}) heard {number} after {last} of {sender}")
        self.heard[sender] = number
        if rest != self.crowd.clients[sender - self.crowd.first].rest(number):
            self.faults.append(f"client {self.number} ({self.protocol}) heard another text of {len(rest)} bytes as {number} of {sender}")


class Crowd:
    """Groups of clients, each group in a channel of its own, on a thread of their own."""

    def __init__(
        self, *ports, groups=8, size=5, pause=0.03, long=200_000, network=None, tls_port=None, first_group=0, leaders=None
    ):
        """The clients are spread over the ports, or two of three go to `tls_port`, with TLS 1.2 and 1.3. `long` is the size
        of long messages, and `network` the path of the network namespace in which the daemon is, unless it is this one.

        The groups have numbers from `first_group` on. With `leaders`, only the first clients of the first groups are
        different from the others, who say nothing long: each with a pause and a `LONG_EVERY` of its own.
        """
        self.first, self._leaders, self._size = first_group * size, leaders, size
        self.text = base64.b64encode(random.Random(long).randbytes(long))[:long].decode()
        self.tls_port = tls_port
        versions = (None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) if tls_port else (None,)
        contexts = [version and client_context(version) for version in versions]
        self.ports, self.pause = ports, pause
        self.connecting = ThreadPoolExecutor(1, initializer=enter, initargs=(network,))
        self.is_ending = self.is_over = False
        self.clients = []
        for group in range(first_group, first_group + groups):
            protocol = "json" if group % 2 else "relay"
            for _ in range(size):
                number = self.first + len(self.clients)
                self.clients.append(Client(self, number, group, protocol, compressed=number % 2 == 0, tls=contexts[number % len(contexts)]))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._run(self._open())
        self._talking = asyncio.run_coroutine_threadsafe(self._talk(), self.loop)

    def manner(self, number, protocol):
        """The pause between two messages of a client, and every how many messages it sends a long one; 0 for never."""
        if self._leaders is None:
            return self.pause, LONG_EVERY if protocol == "relay" else 0
        group, place = divmod(number - self.first, self._size)
        return self._leaders[group] if place == 0 and group < len(self._leaders) else (self.pause, 0)

    @staticmethod
    def config(groups=8):
        """The endpoints of the groups."""
        return {
            "endpoint": [
                {
                    "path": f"/{'json' if group % 2 else 'relay'}/{group}",
                    "protocol": "json" if group % 2 else "relay",
                    "channel": f"group-{group}",
                }
                for group in range(groups)
            ],
            "channels": {"group-*": {"history": 1000, "presence": True, "join_leave": True}},
        }

    @staticmethod
    def connected(port):
        """A connection to the daemon; a socket is of the network in which it was made."""
        return socket.create_connection(("127.0.0.1", port))

    def _run(self, coroutine, timeout=DEADLINE * 2):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    async def _open(self):
        for start in range(0, len(self.clients), 50):
            await asyncio.gather(*(client.open() for client in self.clients[start : start + 50]))
        self._listening = [asyncio.create_task(client.listen()) for client in self.clients]

    async def _talk(self):
        await asyncio.gather(*(client.talk() for client in self.clients))

    def wait_for_more(self, count=3):
        """Waits until every client has said some more."""
        before = [client.said for client in self.clients]
        wait_until(
            lambda: self.faults() or all(client.said >= said + count for client, said in zip(self.clients, before)),
            "everybody has said more", deadline=DEADLINE + 3 * count * self.pause)
        self.assert_sound()

    def faults(self):
        return [fault for client in self.clients for fault in client.faults]

    def assert_sound(self):
        assert not self.faults(), "\n".join(self.faults()[:20])

    def is_complete(self):
        groups = {}
        for client in self.clients:
            groups.setdefault(client.group, []).append(client)
        return all(
            client.heard.get(other.number, 0) == other.said
            for group in groups.values() for client in group for other in group
        )  # fmt: skip

    def forget_silence(self):
        for client in self.clients:
            client.silence, client.last = 0.0, time.monotonic()

    def said(self):
        return sum(client.said for client in self.clients)

    def longest_silence(self):
        return max((client.silence for client in self.clients if self._hears_often(client)), default=None)

    def _hears_often(self, client):
        """Whether somebody in the client's group talks so often that a silence means something."""
        leader = self.clients[(client.group * self._size) - self.first]
        return self._leaders is None or leader.pause < self.pause and not leader.long_every

    def finish(self):
        """Ends the talk, and checks that everybody has heard everything once and in order."""
        self.is_ending = True
        try:
            self._talking.result(DEADLINE * 2)
            wait_until(lambda: self.faults() or self.is_complete(), "everybody has heard everything")
            self.assert_sound()
        finally:
            self.is_over = True
            self._run(self._close())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()
            self.connecting.shutdown()

    async def _close(self):
        await asyncio.gather(*(client.socket.close() for client in self.clients), return_exceptions=True)
        await asyncio.gather(*self._listening, return_exceptions=True)
