"""WebSocket clients that run inside a machine, with the `websockets` of its Debian release.

    client.py talk TEXT     sends TEXT and prints the message that comes back
    client.py hold COUNT    opens COUNT connections, prints "open", and when the server has closed all of them prints
                            a line of JSON for each: {"code": 1001, "reason": "...", "seconds": 1.2}
"""

import asyncio
import json
import sys
import time

import websockets

URL = "ws://127.0.0.1:8080/ws"


def connect():
    # No pings of its own: what is seen is what the server does.
    return websockets.connect(URL, open_timeout=60, ping_interval=None)


async def talk(text: str) -> None:
    async with connect() as connection:
        await connection.send(text)
        print(await connection.recv(), flush=True)


async def hold(count: int) -> None:
    connections = await asyncio.gather(*(connect() for _ in range(count)))
    print("open", flush=True)
    started = time.monotonic()

    async def closed(connection) -> dict:
        await connection.wait_closed()
        seconds = round(time.monotonic() - started, 3)
        return {"code": connection.close_code, "reason": connection.close_reason, "seconds": seconds}

    for close in await asyncio.gather(*map(closed, connections)):
        print(json.dumps(close), flush=True)


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    asyncio.run(talk(argument) if command == "talk" else hold(int(argument)))
