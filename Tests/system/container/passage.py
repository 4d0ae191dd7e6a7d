"""Ways for connections between a machine, which has a network of its own, and here."""

import asyncio
import os
import threading

from .machine import Machine, kill

# In the machine: a Unix socket, which is seen from outside as a file, leads to the port, or the port leads to it.
INSIDE = """
import asyncio, sys

way, path, port = sys.argv[1:]

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def passed(reader, writer):
    there = asyncio.open_connection("127.0.0.1", int(port)) if way == "in" else asyncio.open_unix_connection(path)
    back, forth = await there
    await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

async def main():
    server = asyncio.start_unix_server(passed, path) if way == "in" else asyncio.start_server(passed, "127.0.0.1", int(port))
    async with await server as server:
        print("open", flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


class _Way:
    """A program in the machine and a server here, with a Unix socket in the machine between them."""

    def __init__(self, machine: Machine, way: str, port: int):
        path = machine.path(f"/tmp/passage-{port}")
        path.unlink(missing_ok=True)
        # A socket's path has 107 bytes at most, and by way of the descriptor it has few.
        self._directory = os.open(path.parent, os.O_PATH)
        self._path = f"/proc/self/fd/{self._directory}/{path.name}"
        self._loop = asyncio.new_event_loop()
        self._inside = machine.popen("python3", "-c", INSIDE, way, f"/tmp/{path.name}", str(port))
        assert self._inside.stdout.readline() == "open\n", self._inside.communicate()
        self._server = self._loop.run_until_complete(self._serve())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _passed(self, reader, writer):
        back, forth = await self._connect()

        async def copy(source, target):
            try:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            finally:
                target.close()

        await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

    async def _end(self):
        self._server.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        kill(self._inside)
        os.close(self._directory)


class Passage(_Way):
    """Passes connections to a loopback port here on to a port in a machine."""

    def __init__(self, machine: Machine, port: int):
        super().__init__(machine, "in", port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _serve(self):
        return asyncio.start_server(self._passed, "127.0.0.1", 0)

    def _connect(self):
        return asyncio.open_unix_connection(self._path)


class Outlet(_Way):
    """Passes connections to a port in a machine on to a loopback port here."""

    def __init__(self, machine: Machine, port: int, target: int):
        self._target = target
        super().__init__(machine, "out", port)

    def _serve(self):
        return asyncio.start_unix_server(self._passed, self._path)

    def _connect(self):
        return asyncio.open_connection("127.0.0.1", self._target)
