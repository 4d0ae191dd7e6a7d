#!/usr/bin/python3
"""Publishes a JSON value in a channel of wsd through Redis, past all nodes: publish-to-redis.py CHANNEL JSON. See wsd-broker(7)."""
import secrets, struct, sys, time
import redis

hub, channel, value = redis.Redis(), sys.argv[1], sys.argv[2].encode()
publication = b"S" + struct.pack(">qHI", int(time.time() * 1000), 0, len(value)) + value
limits = 100, 1 << 20, 3600, 86400  # history, history_bytes, history_ttl in seconds; how long the numbering lives
epoch, seq, _ = hub.eval(
    hub.get("wsd:publish"), 2, f"wsd:{{c{channel}}}:m", f"wsd:{{c{channel}}}:h",
    f"wsd:c:{channel}", 1, publication, "-", 0, secrets.token_hex(8), *limits)
print(epoch.decode(), seq)
