"""Compression as WebSocket clients do it that nobody here wrote: websockets, autobahn, wsproto and Chromium."""

import asyncio
import itertools
import json
import random

import pytest
from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from websockets.asyncio.client import connect as open_client
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from browser import Browser

# For what a thousand messages may take on a slow machine.
LONG = 200
SIZES = [16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10]
# A thousand messages, few of them large.
COUNTS = [400, 250, 150, 100, 50, 20, 14, 8, 5, 3]


def text_of(size, choice):
    """So many bytes of something like JSON: it compresses, and no part of it is a copy of another message's."""
    items = []
    while len(items) * 40 < size:
        items.append(json.dumps({"number": choice.randrange(10**12), "words": choice.sample(WORDS, 3)}, indent=2))
    text = "\n".join(items).encode()[:size].decode(errors="ignore")
    return text + "." * (size - len(text.encode()))


WORDS = ["καλημέρα", "good morning", "guten Morgen", "😀", "connection", "message", "compression", "window"]


def messages(counts):
    """So many messages of each of the sizes, shuffled: text, and binary that compresses or doesn't."""
    choice = random.Random(str(counts))
    result = []
    for size, count in zip(SIZES, counts, strict=True):
        for number in range(count):
            text = text_of(size, choice)
            result.append([text, text, text.encode(), choice.randbytes(size)][(number + size.bit_length()) % 4])
    choice.shuffle(result)
    return result


ONE_OF_EACH = messages([1] * len(SIZES))
A_THOUSAND = messages(COUNTS)


def run(conversation):
    asyncio.run(asyncio.wait_for(conversation, LONG))


def check(got, sent):
    """Without the whole message in the complaint."""
    assert type(got) is type(sent) and len(got) == len(sent) and got == sent, f"{got[:60]!r} for {sent[:60]!r}"


# websockets.


def websockets_client(daemon, deflate):
    return open_client(
        daemon.url(), proxy=None, compression=None, extensions=[deflate], open_timeout=LONG, ping_interval=None
    )


async def converse_with_websockets(daemon, sent, **parameters):
    """Each message to and fro, every third one in fragments; the connection's extension agrees with the offer."""
    async with websockets_client(daemon, ClientPerMessageDeflateFactory(**parameters)) as client:
        (extension,) = client.protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        assert extension.remote_max_window_bits == (parameters.get("server_max_window_bits") or 15)
        for number, each in enumerate(sent):
            third = len(each) // 3 + 1
            await client.send(each if number % 3 else [each[:third], each[third:]])
            check(await client.recv(), each)


def test_websockets_with_every_combination_of_parameters(daemon):
    async def converse():
        for server_takeover, client_takeover, server_bits, client_bits in itertools.product(
            (False, True), (False, True), (None, *range(8, 16)), (None, True, *range(9, 16))
        ):
            await converse_with_websockets(
                daemon,
                ONE_OF_EACH,
                server_no_context_takeover=server_takeover,
                client_no_context_takeover=client_takeover,
                server_max_window_bits=server_bits,
                client_max_window_bits=client_bits,
            )

    run(converse())


@pytest.mark.parametrize("server_bits", [None, *range(8, 16)])
@pytest.mark.parametrize("client_bits", [None, 9])
def test_a_thousand_messages_with_websockets(daemon, server_bits, client_bits):
    parameters = {"server_max_window_bits": server_bits, "client_max_window_bits": client_bits}
    run(converse_with_websockets(daemon, A_THOUSAND, **parameters))


@pytest.mark.parametrize("settings", [{"level": 0}, {"level": 1}, {"level": 9, "memLevel": 9}, {"memLevel": 1}])
def test_websockets_with_other_settings_of_its_compression(daemon, settings):
    run(converse_with_websockets(daemon, A_THOUSAND, compress_settings=settings))


@pytest.mark.parametrize("size", SIZES)
def test_a_thousand_messages_of_one_size_with_websockets(daemon, size):
    async def converse():
        choice = random.Random(size)
        texts = [text_of(size, choice) for _ in range(max(4, 1000 // size))]
        async with websockets_client(daemon, ClientPerMessageDeflateFactory()) as client:
            for number in range(1000):
                text = f"{number:06d}{texts[number % len(texts)][6:]}"
                await client.send(text)
                check(await client.recv(), text)

    run(converse())


def test_all_clients_of_a_channel_hear_all_whatever_their_window(daemon):
    async def converse():
        offers = [ClientPerMessageDeflateFactory(server_max_window_bits=bits) for bits in (None, *range(8, 16))]
        clients = [await websockets_client(daemon, offer) for offer in offers * 2]
        for number, each in enumerate(ONE_OF_EACH * 3):
            await clients[number % len(clients)].send(each)
            for got in await asyncio.gather(*(client.recv() for client in clients)):
                check(got, each)
        for client in clients:
            await client.close()
            assert client.close_code == 1000

    run(converse())


# autobahn.


class AutobahnClient(WebSocketClientProtocol):
    """An autobahn connection with its events in a queue: True when it is open, then messages, then how it closed."""

    def onConnecting(self, transport_details):
        self.happened = asyncio.Queue()

    def onOpen(self):
        self.happened.put_nowait(self.websocket_extensions_in_use)

    def onMessage(self, payload, isBinary):
        self.happened.put_nowait(payload if isBinary else payload.decode())

    def onClose(self, wasClean, code, reason):
        self.happened.put_nowait(ConnectionError(f"{code}: {reason}, clean: {wasClean}"))


async def converse_with_autobahn(daemon, sent, offers, *, fragment_size=0, **own):
    """Each message to and fro; `own` is what the client chooses for its own direction."""
    factory = WebSocketClientFactory(daemon.url(), loop=asyncio.get_running_loop())
    factory.protocol = AutobahnClient
    factory.setProtocolOptions(
        perMessageCompressionOffers=offers,
        perMessageCompressionAccept=lambda response: PerMessageDeflateResponseAccept(response, **own),
        autoFragmentSize=fragment_size,
    )
    _, client = await asyncio.get_running_loop().create_connection(factory, daemon.host, daemon.port)
    (extension,) = await client.happened.get()
    assert extension.server_no_context_takeover and extension.client_no_context_takeover
    for each in sent:
        is_binary = isinstance(each, bytes)
        client.sendMessage(each if is_binary else each.encode(), isBinary=is_binary)
        check(await client.happened.get(), each)
    client.sendClose(1000)
    assert str(await client.happened.get()).endswith("clean: True")
    return extension


AUTOBAHN_OFFERS = list(itertools.product((False, True), (False, True), (False, True), (0, *range(9, 16))))


def test_autobahn_with_every_combination_of_parameters(daemon):
    async def converse():
        for number, parameters in enumerate(AUTOBAHN_OFFERS):
            # A window of its own choice, which needs no agreement.
            own = {"window_bits": 9 + number % 7, "mem_level": 1 + number % 9}
            extension = await converse_with_autobahn(daemon, ONE_OF_EACH, [PerMessageDeflateOffer(*parameters)], **own)
            assert extension.server_max_window_bits == (parameters[-1] or 15)

    run(converse())


@pytest.mark.parametrize("window", [0, *range(9, 16)])
@pytest.mark.parametrize("fragment_size", [0, 1300])
def test_a_thousand_messages_with_autobahn(daemon, window, fragment_size):
    offers = [PerMessageDeflateOffer(True, True, False, window)]
    run(converse_with_autobahn(daemon, A_THOUSAND, offers, fragment_size=fragment_size))


def test_autobahn_with_several_offers_gets_the_first(daemon):
    async def converse():
        offers = [PerMessageDeflateOffer(request_max_window_bits=bits) for bits in (10, 0, 12)]
        extension = await converse_with_autobahn(daemon, ONE_OF_EACH, offers)
        assert extension.server_max_window_bits == 10

    run(converse())


# wsproto.


class WsprotoClient:
    """A blocking client around the state machine of the `wsproto` library."""

    def __init__(self, daemon, deflate):
        self.wire = daemon.wire()
        self.machine = WSConnection(ConnectionType.CLIENT)
        self.send(Request(host=self.wire.host_header, target="/ws", extensions=[deflate]))
        accepted = self.next_event()
        assert isinstance(accepted, AcceptConnection) and accepted.extensions == [deflate] and deflate.enabled()

    def send(self, event):
        self.wire.send(self.machine.send(event))

    def next_event(self):
        while True:
            for event in self.machine.events():
                return event
            self.machine.receive_data(self.wire.socket.recv(65536) or None)

    def send_message(self, data, piece_count):
        kind = BytesMessage if isinstance(data, bytes) else TextMessage
        size = len(data) // piece_count + 1
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        for number, each in enumerate(pieces, 1):
            self.send(kind(each, message_finished=number == len(pieces)))

    def receive_message(self):
        parts = []
        while True:
            event = self.next_event()
            assert isinstance(event, (TextMessage, BytesMessage)), event
            parts.append(bytes(event.data) if isinstance(event, BytesMessage) else event.data)
            if event.message_finished:
                return parts[0][:0].join(parts)

    def close(self):
        self.send(CloseConnection(1000))
        assert self.next_event() == CloseConnection(1000, "")
        self.wire.close()


def converse_with_wsproto(daemon, sent, **parameters):
    client = WsprotoClient(daemon, WsprotoDeflate(**parameters))
    for number, each in enumerate(sent):
        client.send_message(each, piece_count=1 + number % 4)
        check(client.receive_message(), each)
    client.close()


def test_wsproto_with_every_combination_of_parameters(daemon):
    for server_takeover, client_takeover, server_bits, client_bits in itertools.product(
        (False, True), (False, True), range(9, 16), range(9, 16)
    ):
        converse_with_wsproto(
            daemon,
            ONE_OF_EACH,
            server_no_context_takeover=server_takeover,
            client_no_context_takeover=client_takeover,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
        )


@pytest.mark.parametrize("bits", range(9, 16))
def test_a_thousand_messages_with_wsproto(daemon, bits):
    converse_with_wsproto(daemon, A_THOUSAND, server_max_window_bits=bits, client_max_window_bits=24 - bits)


# Chromium.

# Opens a connection and returns its extensions, and for each message whether it came back as it was sent.
ECHO_IN_THE_PAGE = """
const [url, done] = arguments;
const large = Array.from({ length: 20000 }, (_, number) => `${number}: κόσμε 😀, good morning `).join('');
const noise = crypto.getRandomValues(new Uint8Array(60000));
const messages = ['', 'short', 'a'.repeat(1000000), large, new Uint8Array(0), new Uint8Array(500000), noise];
const sameBytes = (one, other) => one.length === other.length && one.every((byte, index) => byte === other[index]);
const results = [];
const socket = new WebSocket(url);
socket.binaryType = 'arraybuffer';
socket.onopen = () => socket.send(messages[0]);
socket.onmessage = ({ data }) => {
    const sent = messages[results.length];
    results.push(typeof sent === 'string' ? data === sent : sameBytes(sent, new Uint8Array(data)));
    results.length < messages.length ? socket.send(messages[results.length]) : socket.close(1000);
};
socket.onclose = ({ code, wasClean }) => done({ extensions: socket.extensions, results, code, wasClean });
"""


def test_chromium_compresses_and_gets_back_what_it_sent(start_wsd):
    # The chat page has a connection too, in a channel of its own.
    daemon = start_wsd(
        """
        [[endpoint]]
        path = "/rooms"
        protocol = "json"
        channel = "lobby"
        [[endpoint]]
        path = "/echo"
        protocol = "relay"
        channel = "echo"
        """
    )
    browser = Browser()
    try:
        page = browser.open(daemon.http("/")).until_connected()
        outcome = page.driver.execute_async_script(ECHO_IN_THE_PAGE, daemon.url("/echo"))
        assert outcome["extensions"].startswith("permessage-deflate"), outcome
        assert outcome == outcome | {"results": [True] * 7, "code": 1000, "wasClean": True}
        assert browser.complaints() == []
    finally:
        browser.quit()
