"""No key and nonce seal two records: python nonce_soak.py [--minutes M] [--seed S]

wss clients of both versions talk, in small messages and in long ones that a socket takes in parts; others are slow readers, ask
for new keys all the time, or come, say a little and go; and the daemon is restarted with other numbers of workers. Every key and
nonce that OpenSSL is set to for sealing is written down by noncelog.c, in all processes, and must be there once.
"""

import argparse
import array
import collections
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from certificates import Certificate, client_context
from fdstore import ServiceManager
from rawtls import HANDSHAKE, TLS13, TLSLite, key_update
from rawws import RawWebSocket
from restartcrowd import Crowd
from wsdaemon import merged

GROUPS = 8
CONFIG = merged(Crowd.config(GROUPS), {
    "queue": {"policy": "drop-oldest"},
    "limits": {"messages_per_second": 0},
    "server": {"max_connections_per_ip": 0},
    "endpoint": [*Crowd.config(GROUPS)["endpoint"], {"path": "/own", "protocol": "relay", "channel": "own"}],
})  # fmt: skip


def compiled(directory):
    library = directory / "noncelog.so"
    source = Path(__file__).parent / "noncelog.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Guests:
    """Threads of clients that come again whenever they are closed."""

    def __init__(self, port, seed):
        self.port, self.is_over, self.done = port, threading.Event(), collections.Counter()
        kinds = [self.ask_for_keys, self.read_slowly, self.read_slowly, self.come_and_go]
        self._threads = [
            threading.Thread(target=self._repeat, args=(kind, random.Random(f"{seed} {number}")), daemon=True)
            for number, kind in enumerate(kinds)
        ]
        for thread in self._threads:
            thread.start()

    def _repeat(self, kind, chance):
        while not self.is_over.is_set():
            try:
                kind(chance)
                self.done[kind.__name__] += 1
            except Exception as error:
                self.done[f"{kind.__name__}: {type(error).__name__}"] += 1
                time.sleep(0.1)

    def ask_for_keys(self, chance):
        """Has the server change its keys, with messages in between."""
        client = RawWebSocket(self.port, target="/own", tls=TLSLite(TLS13))
        for _ in range(chance.randrange(50, 150)):
            if self.is_over.is_set():
                break
            # A client that does so some 200 times is closed.
            client.socket.put(client.socket.seal(HANDSHAKE, key_update(1)))
            client.socket.next_write_keys()
            for _ in range(chance.randrange(30)):
                client.send_text("x" * chance.randrange(100))
                client.receive()
        client.socket.close()

    def read_slowly(self, chance):
        client = RawWebSocket(self.port, target="/relay/2", tls=client_context(), receive_buffer=8192)
        end = time.monotonic() + chance.uniform(5, 30)
        while time.monotonic() < end and not self.is_over.is_set():
            if not client.socket.recv(chance.randrange(1, 20_000)):
                raise EOFError
            time.sleep(chance.uniform(0, 0.1))
        client.socket.close()

    def come_and_go(self, chance):
        client = RawWebSocket(self.port, target="/relay/4", tls=client_context())
        for _ in range(chance.randrange(10)):
            client.receive()
        client.socket.close()
        time.sleep(chance.uniform(0, 1))

    def end(self):
        self.is_over.set()
        for thread in self._threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="wsd-nonces-") as name:
        directory = Path(name)
        log = directory / "nonces"
        env = {"LD_PRELOAD": str(compiled(directory)), "NONCE_LOG": str(log)}
        manager = ServiceManager(directory, certificate=Certificate(directory, "certificate"))
        try:
            manager.start(CONFIG, env=env)
            crowd = Crowd(manager.port, groups=GROUPS, pause=0.4, long=100_000, tls_port=manager.tls_port)
            guests = Guests(manager.tls_port, options.seed)
            end, restarts = time.monotonic() + options.minutes * 60, 0
            while time.monotonic() < end:
                time.sleep(chance.uniform(2, 20))
                crowd.assert_sound()
                manager.restart(CONFIG, workers=chance.randrange(1, 5), env=env)
                restarts += 1
                if restarts % 20 == 0:
                    print(f"{restarts} restarts, {os.stat(log).st_size // 8:,} records", flush=True)
            guests.end()
            crowd.finish()
        finally:
            manager.close()
        sealed = array.array("Q", log.read_bytes())
        doubles = [entry for entry, count in collections.Counter(sealed).items() if count > 1]
        print(f"{len(sealed):,} records, {restarts} restarts, {crowd.said():,} messages, guests {dict(guests.done)}")
        print(f"{len(doubles)} keys and nonces were used twice")
        # Each message goes to five, most of them by TLS: far fewer records mean that they are not seen here.
        if doubles or len(sealed) < crowd.said():
            sys.exit(1)


if __name__ == "__main__":
    main()
