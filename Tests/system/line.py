"""A way between a node and its Redis that can be disturbed: a TCP proxy on a loopback port."""

import selectors
import socket
import threading

from ports import free_port
from waiting import DEADLINE

TO_SERVER, TO_NODE = "to server", "to node"


class Line:
    """Passes bytes between its own port and another, as long as nobody holds them back."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pairs = {}
        self._held = set()
        self._is_refusing = False
        self._orders = []
        self._done = threading.Semaphore(0)
        self._waker, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    # What a test does to it.

    def hold(self, *directions):
        """Passes no more bytes in these directions, both by default; the connections stay."""
        self._do(lambda: self._held.update(directions or (TO_SERVER, TO_NODE)))

    def release(self):
        """Passes everything again, also what was held."""

        def release():
            self._held.clear()
            self._is_refusing = False
            for end in self._pairs:
                if end not in self._selector.get_map():
                    self._selector.register(end, selectors.EVENT_READ)

        self._do(release)

    def cut(self, refuse=False):
        """Ends all connections, and lets nobody connect until the release if told so."""

        def cut():
            self._is_refusing = refuse
            for end in list(self._pairs):
                self._close(end)

        self._do(cut)

    def close(self):
        self._is_over = True
        self._waker.send(b"x")
        self._thread.join(DEADLINE)

    def _do(self, order):
        self._orders.append(order)
        self._waker.send(b"x")
        assert self._done.acquire(timeout=DEADLINE)

    # Its thread.

    def _run(self):
        while not self._is_over:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    self._woken.recv(1)
                    while self._orders:
                        self._orders.pop(0)()
                        self._done.release()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._pairs:
                    self._pump(key.fileobj)
        for end in list(self._pairs):
            self._close(end)
        for each in (self._listener, self._waker, self._woken):
            each.close()
        self._selector.close()

    def _accept(self):
        node, _ = self._listener.accept()
        try:
            if self._is_refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.target), timeout=DEADLINE)
        except OSError:
            return node.close()
        for end, other, direction in ((node, server, TO_SERVER), (server, node, TO_NODE)):
            # What one side sends waits in the kernel while the other takes nothing: nothing is kept here.
            end.settimeout(DEADLINE)
            self._pairs[end] = other, direction
            self._selector.register(end, selectors.EVENT_READ)

    def _pump(self, end):
        """Passes on what has come from one end."""
        other, direction = self._pairs.get(end, (None, None))
        if other is None:
            return
        if direction in self._held:
            return self._selector.unregister(end)
        try:
            data = end.recv(1 << 18)
            if data:
                return other.sendall(data)
        except OSError:
            pass
        self._close(end)

    def _close(self, end):
        for each in (end, self._pairs[end][0]) if end in self._pairs else ():
            if each in self._selector.get_map():
                self._selector.unregister(each)
            del self._pairs[each]
            each.close()
