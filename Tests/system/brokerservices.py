"""The brokers that nodes can share their channels through, each with the faults of its own that a soak makes."""

import asyncio
import subprocess

import pika

from kafkaserver import MockKafka, Noida
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

    def restart(self):
        """Restarts it in the hardest way after which it works again at once."""
        self.kill_and_start()

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


class KafkaCluster(Service):
    """librdkafka's mock cluster: three brokers in memory, that go down and come up, and hand partitions on."""

    type, title = "kafka", "Kafka"
    settings = {"retention": "3h"}
    brokers = (1, 2, 3)
    topic = "wsd"
    # Of a partition, the mock keeps the last 5 MiB.
    partitions = 16

    def __init__(self, directory, random=None, note=print):
        super().__init__(directory, random, note)
        self.server = MockKafka(brokers=len(self.brokers), topics={self.topic: self.partitions})

    @property
    def url(self):
        return f"kafka://{self.server.servers}"

    def kill_and_start(self):
        """All brokers at once: connections end, what was appended is kept."""
        for broker in self.brokers:
            self.server.down(broker)
        for broker in self.brokers:
            self.server.up(broker)

    @property
    def faults(self):
        return [self.lose_brokers, self.lose_broker, self.hang, self.move_leaders]

    async def lose_brokers(self):
        await self._lose(self.brokers)

    async def lose_broker(self):
        await self._lose([self.random.choice(self.brokers)])

    async def _lose(self, brokers):
        seconds = self.random.uniform(0.1, 4)
        self.note(f"brokers {brokers} of Kafka are down for {seconds:.1f} s")
        for broker in brokers:
            self.server.down(broker)
        await asyncio.sleep(seconds)
        for broker in brokers:
            self.server.up(broker)

    async def move_leaders(self):
        self.note("Kafka's partitions get other leaders")
        for partition in range(self.partitions):
            self.server.command("leader", self.topic, partition, self.random.choice(self.brokers))

    def finish(self):
        self.server.kill()


class RabbitMQ(Service):
    type, title = "rabbitmq", "RabbitMQ"
    settings = {"retention": "3h"}

    def __init__(self, directory, random=None, note=print):
        super().__init__(directory, random, note)
        self.server = RabbitMQServer(directory)

    @property
    def url(self):
        return f"amqp://{self.server.address}"

    def restart(self):
        # Killed, RabbitMQ 3.10 may take its own streams for those of a node that is down, for minutes.
        self.stop_and_start()

    @property
    def faults(self):
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


SERVICES = {"kafka-cluster": KafkaCluster, **{each.type: each for each in (Redis, NATS, Kafka, RabbitMQ)}}
