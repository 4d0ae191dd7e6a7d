"""What a run is made of: the daemon's configuration, the rules of its channels, and how many do what."""

from dataclasses import dataclass, field

import jwt

POLICIES = ("disconnect", "drop-oldest", "drop-newest")

# Rules by pattern, in the file's order. Those of `gate:*` and `flip:*` stand behind them, and change at reloads.
KEPT = {"history": 100_000, "history_bytes": "64MiB", "history_ttl": "1h"}
WATCHED = {"presence": True, "join_leave": True}
RULES = {
    "lobby": {**KEPT, **WATCHED, "leave_delay": "300ms"},
    "kept:*": {**KEPT, **WATCHED, "leave_delay": "300ms"},
    "short:*": {"history": 20, "history_ttl": "1h", "presence": True, "leave_delay": "0s"},
    "plain:*": {},
    "silent:*": {**KEPT, **WATCHED, "leave_delay": "0s", "echo": False},
    "mute:*": {"echo": False},
    "small:*": {**KEPT, **WATCHED, "leave_delay": "100ms", "max_members": 4},
    # Where some are slow, more is poured into this one than their sockets take.
    "heavy": {"history": 100_000, "history_bytes": "16MiB", "history_ttl": "1h", **WATCHED, "leave_delay": "0s"},
    "news:*": {**KEPT, "publish": "nobody"},
}
FLIPS = (
    {**KEPT, **WATCHED, "leave_delay": "0s"},
    {"presence": True, "leave_delay": "0s"},
    {"max_members": 5},
    {"history": 20, "history_ttl": "1h", "join_leave": True, "leave_delay": "200ms"},
)
KINDS = ("kept", "short", "plain", "silent", "mute", "small", "gate", "flip")
CHANNELS = [f"{kind}:{number}" for kind in KINDS for number in (0, 1)] + ["lobby", "news:0"]

SECRET = "0123456789abcdef" * 4
KEY = "the-key-of-the-operators-of-the-model"


def token_header(user, **claims):
    """What shows the hub who a client is."""
    token = jwt.encode({"sub": user, "exp": 4_000_000_000, **claims}, SECRET, "HS256")
    return ("Authorization", f"Bearer {token}")


@dataclass
class Plan:
    """One run. `slow` is the share of clients that stall, with small buffers."""

    seed: int
    workers: int = 2
    seconds: float = 20.0
    clients: int = 30
    flush_delay: str = "0s"
    policy: str = "disconnect"
    jwt: bool = False
    slow: float = 0.2
    operators: bool = True
    queue_limit: str = "64KiB"
    # The most requests that are sent at once, and whether members join again with `since`.
    pipeline: int = 6
    rejoins: bool = True
    only: list = field(default_factory=list)

    @property
    def channels(self):
        """Where the clients go; `only` names kinds of channels."""
        return [name for name in CHANNELS if not self.only or name.partition(":")[0] in self.only]

    @property
    def variants(self):
        """The rules that reloads switch between, by number: those of the gates, and those that flip."""
        closed = {"subscribe": "granted" if self.jwt else "nobody"}
        return [(gate, flip) for flip in FLIPS for gate in ({}, closed)]

    def rules(self, variant):
        """The rules of all channels in one of the variants, by pattern."""
        gate, flip = self.variants[variant]
        return RULES | {"gate:*": {**KEPT, **WATCHED, "leave_delay": "100ms", **gate}, "flip:*": flip}

    def rule(self, channel, variant=0):
        """What holds for one channel."""
        rules = self.rules(variant)
        return rules.get(channel) or rules[channel.partition(":")[0] + ":*"]

    def changes(self, channel):
        """Whether reloads give the channel other settings, as far as presence, announcements and history go."""
        return channel.startswith("flip")

    def channels_of(self, number, is_slow):
        """Where one client goes."""
        is_heavy = self.slow and (is_slow or number % 8 == 0) and (not self.only or "heavy" in self.only)
        return self.channels + ["heavy"] * (3 if is_heavy else 0)

    @property
    def kept(self):
        """The channels whose history has all that was said."""
        return [name for name in self.channels if not self.changes(name) and self.rule(name).get("history") == 100_000]

    def configuration(self, api_port, key_file, secret_file, variant=0):
        """The daemon's configuration, as a table."""
        auth = {"auth": {"mode": "jwt", "hmac_secret_file": secret_file}} if self.jwt else {}
        return {
            "server": {"flush_delay": self.flush_delay},
            "queue": {"limit": self.queue_limit, "policy": self.policy, "write_timeout": "30s"},
            "limits": {"errors_per_minute": 0, "history_bytes": "1GiB"},
            "api": {"listen": [f"127.0.0.1:{api_port}"], "admin_key_file": key_file},
            "endpoint": [
                {"path": "/chat", "protocol": "json", "channel": "lobby"},
                {"path": "/bare", "protocol": "json", "channel": ""},
            ],
            **auth,
            "channels": self.rules(variant),
        }

    def __str__(self):
        delay = f", flush_delay {self.flush_delay}" if self.flush_delay != "0s" else ""
        tokens = ", jwt" if self.jwt else ""
        return f"seed {self.seed}: {self.workers} workers, {self.policy}{delay}{tokens}, {self.clients} clients"
