"""Redis servers that belong together: a master that Sentinels look after, and a cluster."""

import contextlib
import time

import redis
from redis.crc import key_slot

from ports import free_port
from redisserver import RedisServer
from waiting import DEADLINE, wait_until

# How long a server must be silent before the others take it for dead. A machine that is busy silences one for less.
DEAD_AFTER = 2.0


class Topology:
    """Servers that each have a directory of their own in `directory`; with TLS if there is an authority."""

    def __init__(self, directory, tls=None):
        self.directory = directory
        self.tls = tls
        self.servers = []
        self._clients = {}

    def ask(self, server, *command):
        """The answer to a command, by a connection that is kept: each has its price with TLS."""
        client = self._clients.get(server) or self._clients.setdefault(server, server.client())
        return client.execute_command(*command)

    def is_master(self, server):
        """Whether it says so itself; None while it can't be asked."""
        with contextlib.suppress(redis.RedisError, OSError):
            return self.ask(server, "ROLE")[0] == b"master"

    def _start(self, kind=RedisServer, *arguments, **options):
        directory = self.directory / f"redis-{len(self.servers)}"
        directory.mkdir(parents=True)
        self.servers.append(kind(directory, *arguments, tls=self.tls, **options))
        return self.servers[-1]

    def _url(self, kind, servers, suffix=""):
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        return f"{'rediss' if self.tls else 'redis'}+{kind}://{hosts}{suffix}"

    def finish(self):
        for server in self.servers:
            server.finish()
            print(f"--- log of redis-server (port {server.port})\n{server.log()}")


# Sentinel.


class Sentinel(RedisServer):
    """One that looks after a master. Two of them have to say that it is down."""

    def __init__(self, directory, master, **options):
        self._master = master
        super().__init__(directory, **options)

    def _command(self):
        # It keeps what it learns in its file.
        path = self.directory / "sentinel.conf"
        if not path.exists():
            secured = "tls-replication yes" if self.tls else ""
            kept = ("port", "bind", "dir", *(name for name in self._settings if name.startswith("tls-")))
            lines = [f"{name} {value}" for name, value in self._settings.items() if name in kept]
            watched = [
                f"monitor main 127.0.0.1 {self._master.port} 2",
                f"down-after-milliseconds main {DEAD_AFTER * 1000:.0f}",
                "failover-timeout main 10000",
            ]
            path.write_text("\n".join([*lines, secured, *(f"sentinel {line}" for line in watched), ""]))
        return ["redis-server", path, "--sentinel"]


class Sentinels(Topology):
    """A master with a replica, and three Sentinels."""

    def __init__(self, directory, tls=None):
        super().__init__(directory, tls)
        both = {"repl_diskless_sync_delay": 0} | ({"tls_replication": "yes"} if tls else {})
        self.master = self._start(**both)
        self.replica = self._start(**both, replicaof=f"127.0.0.1 {self.master.port}")
        self.sentinels = [self._start(Sentinel, self.master) for _ in range(3)]
        self.url = self._url("sentinel", self.sentinels, "/main")
        for sentinel in self.sentinels:
            wait_until(lambda: self._knows_all(sentinel), "the Sentinels know each other and the replica")

    def _knows_all(self, sentinel):
        state = self.ask(sentinel, "SENTINEL MASTER", "main")
        return int(state["num-slaves"]) == 1 and int(state["num-other-sentinels"]) == 2

    def wait_for_failover(self):
        """Waits until the replica has become the master, and gives the names to whom they belong."""
        wait_until(lambda: self.is_master(self.replica), "the replica is the master", DEADLINE * 2)
        self.master, self.replica = self.replica, self.master


# Cluster.


class Cluster(Topology):
    """Three masters, each with a replica."""

    def __init__(self, directory, tls=None):
        super().__init__(directory, tls)
        self._buses = {}
        secured = {"tls_cluster": "yes", "tls_replication": "yes"} if tls else {}
        for _ in range(6):
            bus = free_port()
            server = self._start(
                cluster_enabled="yes", cluster_port=bus, cluster_node_timeout=int(DEAD_AFTER * 1000),
                repl_diskless_sync_delay=0, cluster_replica_validity_factor=0, **secured,
            )  # fmt: skip
            self._buses[server] = bus
        self.masters, self.replicas = self.servers[:3], self.servers[3:]
        self.url = self._url("cluster", self.masters)
        self._create()

    def _create(self):
        ask, bounds = self.ask, [0, 5461, 10923, 16384]
        for number, server in enumerate(self.servers):
            ask(server, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, master in enumerate(self.masters):
            ask(master, "CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        told = 0

        def know_each_other():
            # A server that is slow forgets another one before their first exchange is complete.
            nonlocal told
            if time.monotonic() - told > 5:
                told = time.monotonic()
                for server in self.servers[1:]:
                    ask(self.masters[0], "CLUSTER MEET", "127.0.0.1", server.port, self._buses[server])
            return all(self._info(server)["cluster_known_nodes"] == "6" for server in self.servers)

        wait_until(know_each_other, "the servers know each other")
        for master, replica in zip(self.masters, self.replicas):
            ask(replica, "CLUSTER REPLICATE", self._id(master))
        for server in self.servers:
            wait_until(lambda: self._info(server)["cluster_state"] == "ok", "the cluster is whole")
        for master in self.masters:
            wait_until(lambda: ask(master, "ROLE")[2], "the replica is connected")

    def _info(self, server):
        return self.ask(server, "CLUSTER INFO")

    def _id(self, server):
        return self.ask(server, "CLUSTER MYID").decode()

    def owner(self, channel):
        """The master that has a channel, as those see it that can be asked, if they agree."""
        slot = self._slot(channel)
        found = set()
        for server in self.masters + self.replicas:
            with contextlib.suppress(redis.RedisError, OSError):
                for first, last, master, *_ in self.ask(server, "CLUSTER SLOTS"):
                    if first <= slot <= last:
                        found.add(master[1])
        return next(server for server in self.servers if server.port in found) if len(found) == 1 else None

    @staticmethod
    def _slot(channel):
        return key_slot(f"{{c{channel}}}".encode())

    def move(self, channel, halfway=lambda: None):
        """Moves a channel's slot to another master, as a reshard does; `halfway` is called while some keys have moved."""
        ask, slot = self.ask, self._slot(channel)
        source = wait_until(lambda: self.owner(channel), "the slot has an owner")
        target = next(master for master in self.masters if master is not source)
        ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", self._id(source))
        ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", self._id(target))
        is_half = False
        while keys := ask(source, "CLUSTER GETKEYSINSLOT", slot, 1):
            ask(source, "MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
            if not is_half:
                halfway()
            is_half = True
        halfway()
        for server in (target, source, *self.masters):
            ask(server, "CLUSTER SETSLOT", slot, "NODE", self._id(target))
        wait_until(lambda: self.owner(channel) is target, "the slot has moved")

    def wait_for_failover(self, channel, lost):
        """Waits until another server than the one that was lost has a channel."""

        def is_replaced():
            owner = self.owner(channel)
            return owner and owner is not lost

        wait_until(is_replaced, "a replica has the channel", DEADLINE * 2)
