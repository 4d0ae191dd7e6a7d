"""The tests of what clients do to a hub once more, inside TLS: of frames and closes, both protocols, drains, and the hostile."""

import shutil
import tempfile
from pathlib import Path
from ssl import TLSVersion

import pytest
import websockets.asyncio.client
import websockets.sync.client

from certificates import client_context
import conftest
from securedaemon import SecureDaemon
from test_close import *  # noqa: F403
from test_conformance import *  # noqa: F403
from test_drain import *  # noqa: F403
from test_frames import *  # noqa: F403
from test_heartbeats import *  # noqa: F403
from test_hostile_frames import *  # noqa: F403
from test_hostile_handshake import *  # noqa: F403
from test_hostile_peers import *  # noqa: F403
from test_json import *  # noqa: F403
from test_relay import *  # noqa: F403
from test_slow_consumer import *  # noqa: F403

# Its 300 clients each send one byte after the other, which takes Python's TLS longer than a heartbeat.
del test_messages_byte_by_byte_cost_what_has_come_and_not_what_was_announced  # noqa: F821
# Python's TLS tells the end of a stream by another error, and leaves TLS to shut down one side.
del test_a_flood_after_the_end_is_not_heard_and_cut_off  # noqa: F821
del test_a_handshake_that_comes_byte_by_byte_and_never_ends_gets_408_in_time  # noqa: F821
del test_a_peer_that_keeps_talking_instead_of_answering_a_close_is_dropped_too  # noqa: F821
del test_a_peer_that_only_shuts_down_its_side_is_let_go  # noqa: F821

# One of its clients writes all the time while another thread reads, which Python's TLS does not guard; see below.
del test_two_hundred_cuts_lose_nothing_and_double_nothing  # noqa: F821
# Programs of their own that have no TLS.
del test_more_who_flood_than_a_turn_takes_starve_nobody  # noqa: F821
del test_the_example_of_the_manual_works  # noqa: F821


# What a frame holds does not depend on how its bytes came: so many cases of each test (conftest.py).
CASES = 4


@pytest.fixture
def daemon_class():
    return SecureDaemon


@pytest.fixture(autouse=True)
def clients_have_tls(monkeypatch):
    """The clients of the library are told another URL than the tests say."""

    def inside_tls(connect, version):
        return lambda url, **options: connect(url.replace("ws://", "wss://"), ssl=client_context(version), **options)

    # It reads in one thread and writes in another, which Python 3.11 does not guard: a ticket of TLS 1.3 that comes while a
    # request goes may stop both, at any server.
    for place in ("jsonclient.connect", "test_json.connect"):
        monkeypatch.setattr(place, inside_tls(websockets.sync.client.connect, TLSVersion.TLSv1_2))
    monkeypatch.setattr("test_relay.open_client", inside_tls(websockets.asyncio.client.connect, None))


@pytest.fixture(scope="module")
def shared_daemons():
    endpoints = [
        {"path": f"/room/{number}", "protocol": "relay", "channel": f"room-{number}"} for number in range(conftest.ROOMS)
    ]
    directory = Path(tempfile.mkdtemp(prefix="wsd-"))
    daemon = SecureDaemon(directory / "daemon", {"endpoint": endpoints})
    yield [daemon]
    failure = conftest.finish(daemon)
    shutil.rmtree(directory)
    if failure:
        pytest.fail(failure, pytrace=False)
