#!/usr/bin/python3
"""Publishes a JSON value in a channel of wsd, through Redis: publish-to-redis.py URL CHANNEL JSON. See wsd-broker(7)."""
import secrets, struct, sys, time
import redis

hub, channel, value = redis.from_url(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
message = b"S" + struct.pack(">qHI", int(time.time() * 1000), 0, len(value))
epoch, seq, _ = hub.eval(
    hub.get("wsd:publish"), 2, f"wsd:{{c{channel}}}:m", f"wsd:{{c{channel}}}:h",
    f"wsd:c:{channel}", 1, message + value, "-", 0, secrets.token_hex(6),
    100, 1 << 20, 3600, 86400)  # history, history_bytes, history_ttl; life
print(epoch.decode(), seq)
