#!/usr/bin/python3
"""Publishes a JSON value in a channel, straight to NATS: URL CHANNEL VALUE [HISTORY-LIFE]; needs python3-nats or nats-py."""

import asyncio
import re
import secrets
import struct
import sys
import time

import nats
from nats.js.errors import APIError, NotFoundError


async def publish(url, channel, value, limits="0-86400"):
    connection = await nats.connect(url)
    hub = connection.jetstream()
    name = re.sub(rb"[^A-Za-z0-9_-]", lambda byte: b"=%02X" % ord(byte[0]), channel.encode()).decode()
    stream, subject = f"wsd_{limits.replace('-', '_')}", f"wsd.ch.{limits}.{name}"
    message = b"S" + struct.pack(">qHI", int(time.time() * 1000), 0, len(value)) + value
    while True:
        seq, after, epoch = 0, 0, secrets.token_hex(6).encode()
        try:
            last = await hub.get_last_msg(stream, subject)
            (number, _, epoch, *_), after = last.data.split(b":", 3), last.seq
            seq = int(number)
        except NotFoundError:
            pass  # the first message of the channel
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        try:
            await hub.publish(subject, b"%d:1:%s:-:0:" % (seq + 1, epoch) + message, headers=headers)
            break
        except APIError as error:
            if error.err_code != 10071:  # another message came first
                raise
    print(epoch.decode(), seq + 1)
    await connection.close()


asyncio.run(publish(sys.argv[1], sys.argv[2], sys.argv[3].encode(), *sys.argv[4:]))
