"""A way for a browser here to a port in a machine, which has a network of its own."""

import asyncio
import os
import threading

from .machine import Machine, kill, wait_for

SOCKET = "/tmp/passage"

# In the machine: a Unix socket, which is seen from outside as a file, leads to the port.
INSIDE = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def passed(reader, writer):
    back, forth = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

async def main():
    async with await asyncio.start_unix_server(passed, sys.argv[1]) as server:
        await server.serve_forever()

asyncio.run(main())
"""


class Passage:
    """Passes connections to a loopback port here on to a port in a machine."""

    def __init__(self, machine: Machine, port: int):
        self._inside = machine.popen("python3", "-c", INSIDE, SOCKET, str(port))
        path = machine.path(SOCKET)
        wait_for(path.exists, "the passage is open")
        # A socket's path has 107 bytes at most, and by way of the descriptor it has few.
        self._directory = os.open(path.parent, os.O_PATH)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._passed, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _passed(self, reader, writer):
        back, forth = await asyncio.open_unix_connection(f"/proc/self/fd/{self._directory}/passage")

        async def copy(source, target):
            try:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            finally:
                target.close()

        await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        kill(self._inside)
        os.close(self._directory)
