"""Two honest clients in a process of their own, who send a ping each 10 ms, whether the last one was answered or not.

One sends WebSocket pings, the other `{"type":"ping"}`. What stalls the hub for two seconds is so seen in two hundred
latencies, not in one. Run by `attacks.HonestPings`: each line on stdin ends a phase, and is answered with the latencies of
both in it, as JSON, in milliseconds. A ping that waits still counts as old as it is.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections import deque

from rawws import PING, PONG, RawWebSocket

INTERVAL = 0.010


class Honest:
    """One client and its pings."""

    def __init__(self, port, path, is_json):
        self.socket = RawWebSocket(port, path)
        self.is_json = is_json
        if is_json:
            assert '"welcome"' in self.socket.receive_text()
        self.socket.socket.setblocking(False)
        self.waiting = deque()
        self.latencies = []
        self.number = 0

    def ping(self, now):
        self.number += 1
        self.waiting.append(now)
        try:
            if self.is_json:
                self.socket.send_text('{"type":"ping","id":%d}' % self.number)
            else:
                self.socket.send_frame(PING, b"%d" % self.number)
        except BlockingIOError:
            raise AssertionError("an honest client's few bytes are not read") from None

    def read(self):
        """Takes what has come. Answers come in the order of the pings."""
        with contextlib.suppress(BlockingIOError):
            self.socket._fill()
        now = time.monotonic()
        buffered = self.socket.buffered
        while len(buffered) >= 2 and len(buffered) >= 2 + buffered[1]:
            frame = self.socket.receive_frame()
            if frame.opcode == PONG or b'"ack"' in frame.payload:
                self.latencies.append(now - self.waiting.popleft())
            else:
                assert frame.opcode == PING, f"an honest client got {frame}"

    def take_latencies(self, now):
        taken = self.latencies + [now - sent for sent in self.waiting]
        self.latencies = []
        return [round(latency * 1000, 2) for latency in taken]


def main():
    port, path, json_path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with contextlib.suppress(PermissionError):
        # What is measured is the hub's time, not how long this process waits for a processor that others keep busy.
        os.nice(-15)
    clients = [Honest(port, path, False), Honest(port, json_path, True)]
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        wait = max(0, due - time.monotonic())
        readable, _, _ = select.select([sys.stdin, *(client.socket.socket for client in clients)], [], [], wait)
        for client in clients:
            if client.socket.socket in readable:
                client.read()
        now = time.monotonic()
        if now >= due:
            for client in clients:
                client.ping(now)
            due = max(due + INTERVAL, now)
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            print(json.dumps([client.take_latencies(time.monotonic()) for client in clients]), flush=True)


if __name__ == "__main__":
    main()
