"""The hub: everyone in a channel gets every message once, whole, and in one order."""

import asyncio
import json
import random

import pytest
from websockets.asyncio.client import connect as open_client
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage

from rawws import BINARY, TEXT

# For what a thousand clients in one Python process may take on a slow machine.
LONG = 200


def connect(url):
    """A client of the `websockets` library, without a time-out or a limit of its own."""
    return open_client(
        url, proxy=None, compression=None, open_timeout=LONG, close_timeout=LONG, ping_interval=None, max_queue=None
    )


async def connect_all(urls):
    """Connects to each, fifty at a time so that no backlog overflows."""
    clients = []
    for start in range(0, len(urls), 50):
        clients += await asyncio.gather(*(connect(url) for url in urls[start : start + 50]))
    return clients


async def relay(url, client_count, publisher_count, messages_each):
    """All clients join, several publish at once, all read everything; the list that each client read."""
    clients = await connect_all([url] * client_count)
    publishers = clients[:: client_count // publisher_count][:publisher_count]

    async def publish(number, client):
        for index in range(messages_each):
            await client.send(f"{number}:{index}")
            if index % 7 == number % 7:
                await asyncio.sleep(0)

    async def read(client):
        return [await client.recv() for _ in range(publisher_count * messages_each)]

    readers = [asyncio.create_task(read(client)) for client in clients]
    await asyncio.gather(*(publish(number, client) for number, client in enumerate(publishers)))
    lists = await asyncio.wait_for(asyncio.gather(*readers), LONG)

    # Were a message doubled, it would stand before this one.
    await clients[0].send("the end")
    ends = await asyncio.wait_for(asyncio.gather(*(client.recv() for client in clients)), LONG)
    assert set(ends) == {"the end"}
    await asyncio.gather(*(client.close() for client in clients))
    return lists


def check_lists(lists, publisher_count, messages_each):
    first = lists[0]
    expected = {f"{number}:{index}" for number in range(publisher_count) for index in range(messages_each)}
    assert len(first) == len(expected) and set(first) == expected, "every message exactly once"
    for number in range(publisher_count):
        own = [message for message in first if message.startswith(f"{number}:")]
        assert own == [f"{number}:{index}" for index in range(messages_each)], "a publisher's order is kept"
    for position, other in enumerate(lists):
        assert other == first, f"client {position} saw another order than client 0"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ten_clients_read_the_same_messages_in_one_order(start_wsd, workers):
    daemon = start_wsd(workers=workers)
    lists = asyncio.run(relay(daemon.url(), 10, 5, 200))
    check_lists(lists, 5, 200)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [2, 4])
def test_a_thousand_clients_read_the_same_messages_in_one_order(start_wsd, workers):
    daemon = start_wsd(workers=workers)
    lists = asyncio.run(relay(daemon.url(), 1000, 8, 8))
    check_lists(lists, 8, 8)
    daemon.wait_for_connections(0)


def test_the_sender_gets_its_own_message(daemon):
    client = daemon.connect()
    client.expect_echo("to myself")


def test_the_opcode_is_kept(room):
    one, other = room.connect(), room.connect()
    for number in range(20):
        one.send_text(f"text {number}")
        one.send_binary(f"binary {number}".encode())
    for client in (one, other):
        for number in range(20):
            client.expect_message(TEXT, f"text {number}")
            client.expect_message(BINARY, f"binary {number}".encode())


def test_large_messages_reach_all_on_every_worker(start_wsd):
    daemon = start_wsd(workers=4)
    clients = [daemon.connect() for _ in range(12)]
    for size in (100_000, 1 << 20, 70_000):
        data = random.Random(size).randbytes(size)
        clients[0].send_binary(data)
        for client in clients:
            client.expect_message(BINARY, data)


def test_endpoints_with_their_own_channels_hear_nothing_of_each_other(start_wsd):
    daemon = start_wsd(
        """
        [[endpoint]]
        path = "/red"
        protocol = "relay"
        channel = "red"
        [[endpoint]]
        path = "/blue"
        protocol = "relay"
        channel = "blue"
        [[endpoint]]
        path = "/also/red"
        protocol = "relay"
        channel = "red"
        """,
        workers=3,
    )
    red, blue, also_red = ([daemon.connect(path) for _ in range(4)] for path in ("/red", "/blue", "/also/red"))
    for number in range(30):
        red[number % 4].send_text(f"red {number}")
        blue[number % 4].send_text(f"blue {number}")
    for client in red + also_red:
        assert sorted(client.receive_text() for _ in range(30)) == sorted(f"red {number}" for number in range(30))
    for client in blue:
        assert sorted(client.receive_text() for _ in range(30)) == sorted(f"blue {number}" for number in range(30))


def test_configured_endpoints_replace_the_built_in_ones(start_wsd):
    daemon = start_wsd('[[endpoint]]\npath = "/only"\nprotocol = "relay"\nchannel = "c"')
    daemon.connect("/only").expect_echo()
    with pytest.raises(AssertionError, match="404"):
        daemon.connect("/ws")


def test_one_who_joins_late_gets_what_follows_and_nothing_before(daemon):
    early = daemon.connect()
    early.expect_echo("before")
    late = daemon.connect()
    early.expect_echo("after")
    late.expect_message(TEXT, "after")


def test_connections_are_spread_evenly_over_the_workers(start_wsd):
    daemon = start_wsd(workers=4)
    # One after the other, so that no two workers choose for a newcomer at once.
    clients = [daemon.connect() for _ in range(40)]
    daemon.wait_for_connections(40)
    counts = json.loads(daemon.wsctl("status", "--json").stdout)["connectionsPerWorker"]
    assert counts == [10] * 4
    clients[0].expect_echo()


def test_clients_that_come_and_go_never_disturb_those_who_stay(daemon):
    steady = [daemon.connect() for _ in range(4)]
    for number in range(100):
        passing = daemon.connect()
        steady[number % 4].send_text(f"message {number}")
        passing.expect_message(TEXT, f"message {number}")
        passing.reset() if number % 2 else passing.close_properly()
    for client in steady:
        for number in range(100):
            client.expect_message(TEXT, f"message {number}")


def test_a_client_of_a_second_library_talks_with_one_of_the_first(daemon):
    async def converse():
        async with connect(daemon.url()) as other:
            second = WsprotoClient(daemon)
            second.send(TextMessage("from wsproto"))
            assert await other.recv() == "from wsproto"
            assert await asyncio.to_thread(second.receive) == "from wsproto"
            await other.send(b"from websockets")
            assert await other.recv() == b"from websockets"
            assert await asyncio.to_thread(second.receive) == b"from websockets"
            second.send(CloseConnection(1000, "done"))
            closed = await asyncio.to_thread(second.receive)
            assert closed == CloseConnection(1000, "done") or closed.code == 1000

    asyncio.run(asyncio.wait_for(converse(), 60))


class WsprotoClient:
    """A blocking client around the state machine of the `wsproto` library."""

    def __init__(self, daemon):
        self.wire = daemon.wire()
        self.machine = WSConnection(ConnectionType.CLIENT)
        self.send(Request(host=self.wire.host_header, target="/ws"))
        assert isinstance(self._next_event(), AcceptConnection)

    def send(self, event):
        self.wire.send(self.machine.send(event))

    def _next_event(self):
        while True:
            for event in self.machine.events():
                return event
            self.machine.receive_data(self.wire.socket.recv(65536) or None)

    def receive(self):
        """The next message's data, or the close."""
        event = self._next_event()
        if isinstance(event, (TextMessage, BytesMessage)):
            assert event.message_finished
            return event.data
        return event


def test_a_client_that_offers_compression_is_served(daemon):
    async def converse():
        async with open_client(daemon.url(), proxy=None, compression="deflate") as client:
            for text in ("", "hello", "a" * 100_000):
                await client.send(text)
                assert await client.recv() == text

    asyncio.run(asyncio.wait_for(converse(), 60))


def test_a_newcomer_hears_what_is_said_after_its_handshake_was_answered(start_wsd):
    """The two are on different workers: the one's message and the other's subscription race to the channel's home.

    Before letters between workers went ahead of what clients send, 9 of 12,451 such pairs lost their message.
    """
    daemon = start_wsd(workers=2)
    for number in range(5000):
        publisher, newcomer = daemon.connect(), daemon.connect()
        publisher.send_text(str(number))
        publisher.expect_message(TEXT, str(number))
        newcomer.expect_message(TEXT, str(number))
        # Without a closing handshake: the next pair comes while these two are on their way out.
        publisher.socket.close()
        newcomer.socket.close()
