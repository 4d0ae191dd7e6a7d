"""A relay client hears relay's messages, from the first one on."""

import json
import threading
import time

from attacks import Flood, asking, joined, reading, text_frame
from ports import free_port
from rawws import ConnectionEnded, RawWebSocket
from test_api import API, KEYS

BOTH = """
[[endpoint]]
path = "/ws"
channel = "room:1"
[[endpoint]]
path = "/chat"
protocol = "json"
channel = ""
[channels."room:*"]
join_leave = true
"""


def test_a_relay_client_that_comes_while_json_is_on_its_way_hears_none_of_it(start_wsd):
    """Joins and leaves are announced in json only, also while the first relay client on a worker connects."""
    daemon = start_wsd(BOTH)
    members = [joined(daemon, ["room:1"]) for _ in range(8)]
    restless = [joined(daemon, []) for _ in range(2)]
    churn = b"".join(text_frame(asking(kind, channel="room:1")) for kind in ("join", "leave")) * 50
    heard = []
    is_over = threading.Event()

    def come_and_go():
        while not is_over.is_set():
            # Alone, so that each time the workers have to be told that there is a relay client.
            client = RawWebSocket(daemon.port, "/ws", timeout=30)
            client.socket.settimeout(0.002)
            try:
                while not is_over.is_set():
                    heard.append(client.receive_frame().payload)
            except (TimeoutError, ConnectionEnded):
                pass
            client.reset()

    threads = [threading.Thread(target=come_and_go)]
    with reading(members), Flood(restless, churn):
        for thread in threads:
            thread.start()
        time.sleep(4)
        is_over.set()
        for thread in threads:
            thread.join()
    assert heard == [], f"a relay client heard {heard[0]!r}, and {len(heard) - 1} more"


def test_a_relay_client_that_comes_while_an_operator_speaks_hears_the_text_itself(start_wsd, wsd_directory):
    port = free_port()
    key = wsd_directory / "publish"
    key.write_text(KEYS["publish"])
    key.chmod(0o600)
    api = f'[api]\nlisten = ["127.0.0.1:{port}"]\npublish_key_file = "{key}"\n'
    daemon = start_wsd(api + BOTH)
    members = [joined(daemon, ["room:1"]) for _ in range(8)]
    headers = {"Authorization": f"Bearer {KEYS['publish']}", "Content-Type": "application/json"}
    body = json.dumps({"commands": [{"publish": {"channel": "room:1", "text": "plain"}}] * 50})
    heard, statuses = set(), set()
    is_over = threading.Event()

    def speak():
        while not is_over.is_set():
            statuses.add(API(daemon, port).raw("POST", "/api/batch", body, headers)[0])

    def come_and_go():
        while not is_over.is_set():
            client = RawWebSocket(daemon.port, "/ws", timeout=30)
            client.socket.settimeout(0.002)
            try:
                for _ in range(20):
                    heard.add(client.receive_frame().payload)
            except (TimeoutError, ConnectionEnded):
                pass
            client.reset()

    threads = [threading.Thread(target=speak), threading.Thread(target=come_and_go)]
    with reading(members):
        for thread in threads:
            thread.start()
        time.sleep(4)
        is_over.set()
        for thread in threads:
            thread.join()
    assert (heard, statuses) == ({b"plain"}, {200})
