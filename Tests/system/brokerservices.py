"""The brokers that nodes can share their channels through, each with the faults of its own that a soak makes."""

import asyncio
import subprocess

import pika

from kafkaserver import Noida
from natsserver import NATSServer
from rabbitmqserver import RabbitMQServer
from redisserver import RedisServer


class Service:
    """A broker's server in a directory. `note` is told what happens, `random` chooses."""

    # Keys of [broker] that a soak needs besides.
    settings = {}

    def __init__(self, directory, random=None, note=print):
        self.directory = directory
        self.random = random
        self.note = note

    @property
    def broker(self):
        """The keys of [broker] that say where it is."""
        return {"type": self.type, "url": self.url}

    @property
    def pids(self):
        return [self.server.process.pid]

    def kill_and_start(self):
        self.server.kill()
        self.server.start()

    def stop_and_start(self):
        self.server.restart(True)

    @property
    def faults(self):
        """Coroutine functions, each of which makes a fault and mends it."""
        return [self.restart_killed, self.restart_stopped, self.hang]

    async def restart_killed(self):
        self.note(f"{self.title} is killed and started again")
        await asyncio.to_thread(self.kill_and_start)

    async def restart_stopped(self):
        self.note(f"{self.title} is stopped and started again")
        await asyncio.to_thread(self.stop_and_start)

    async def hang(self):
        seconds = self.random.uniform(0.1, 4)
        self.note(f"{self.title} stands still for {seconds:.1f} s")
        with self.server.paused():
            await asyncio.sleep(seconds)

    def finish(self):
        self.server.finish()


class Redis(Service):
    type, title = "redis", "Redis"

    def __init__(self, directory, random=None, note=print, **options):
        super().__init__(directory, random, note)
        self.server = RedisServer(directory, **{"is_durable": True, **options})

    @property
    def url(self):
        return self.server.url()

    @property
    def pids(self):
        return [self.server.pid]

    def kill_and_start(self):
        self.server.restart(True, "kill")

    def stop_and_start(self):
        self.server.restart(True, "stop")

    @property
    def faults(self):
        return [*super().faults, self.kill_subscriptions, self.kill_commands, self.forget_scripts]

    async def kill_subscriptions(self, kind="pubsub"):
        self.note(f"the connections of type {kind} are killed")
        await self._execute("CLIENT", "KILL", "TYPE", kind)

    async def kill_commands(self):
        await self.kill_subscriptions("normal")

    async def forget_scripts(self):
        self.note("Redis forgets its scripts")
        await self._execute("SCRIPT", "FLUSH")

    async def _execute(self, *command):
        with self.server.client() as client:
            await asyncio.to_thread(client.execute_command, *command)


class NATS(Service):
    type, title = "nats", "NATS"

    def __init__(self, directory, random=None, note=print):
        super().__init__(directory, random, note)
        self.server = NATSServer(directory)

    @property
    def url(self):
        return self.server.url

    def finish(self):
        self.server.kill()


class Kafka(Service):
    """Noida: one broker, that speaks Kafka's protocol. When it was started again, it finds only by degrees what it has kept,
    which no Kafka does: so it is not restarted while nodes go on."""

    type, title = "kafka", "Kafka"
    settings = {"retention": "3h"}

    def __init__(self, directory, random=None, note=print):
        super().__init__(directory, random, note)
        self.server = Noida()

    @property
    def url(self):
        return f"kafka://{self.server.servers}"

    @property
    def faults(self):
        return [self.hang]

    def publish(self, prefix, channel, text):
        """Publishes as another program does."""
        words = ["kcat", "-P", "-b", self.server.servers, "-t", prefix, "-k", channel, "-X", "partitioner=murmur2_random"]
        subprocess.run(words, input=text.encode(), check=True, capture_output=True)

    def finish(self):
        self.server.remove()


class RabbitMQ(Service):
    type, title = "rabbitmq", "RabbitMQ"
    settings = {"retention": "3h"}

    def __init__(self, directory, random=None, note=print):
        super().__init__(directory, random, note)
        self.server = RabbitMQServer(directory)

    @property
    def url(self):
        return f"amqp://{self.server.address}"

    @property
    def faults(self):
        # Killed, RabbitMQ 3.10 may take its own streams for those of a node that is down, for minutes.
        return [self.restart_stopped, self.hang, self.alarm]

    async def alarm(self):
        self.note("RabbitMQ has too little memory")
        with self.server.memory_alarm():
            await asyncio.sleep(self.random.uniform(0.1, 3))

    def publish(self, prefix, channel, text):
        """Publishes as another program does."""
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.server.port)) as connection:
            connection.channel().basic_publish(prefix, channel, text.encode())

    def finish(self):
        self.server.kill()


SERVICES = {each.type: each for each in (Redis, NATS, Kafka, RabbitMQ)}
