#!/usr/bin/python3
# Publishes a text in a channel of nodes that share their channels through Redis, beside them: the nodes deliver it as a
# message of a backend, with a number, and keep it in the channel's history. See wsd-broker(7). Debian has python3-redis.
#
#     publish-to-redis.py redis://127.0.0.1:6379 news "Rain this afternoon"
import secrets, struct, sys, time
import redis

url, channel, text = sys.argv[1:]
server = redis.from_url(url)
payload = text.encode()
message = struct.pack(">cqHI", b"s", int(time.time() * 1000), 0, len(payload)) + payload
# The history's limits in messages and bytes, its age and the life of the numbering in seconds: as the nodes have them.
arguments = [f"wsd:c:{channel}", 1, message, "-", 0, secrets.token_hex(6), 100, 1_048_576, 3600, 86400]
server.eval(server.get("wsd:publish"), 2, f"wsd:{{c{channel}}}:m", f"wsd:{{c{channel}}}:h", *arguments)
