"""Names of channels and users are their bytes, whatever Unicode says about how they look."""

import json
import random
import threading

import pytest

from jsonclient import JSONClient
from test_api import KEYS, api, start_api  # noqa: F401 (fixtures)
from waiting import wait_until

# The sign for Kelvin, which is canonically a K, and é as one scalar and as two.
TWINS = [("K", "\u212a"), ("caf\u00e9", "cafe\u0301")]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("one, other", TWINS)
def test_names_that_look_the_same_are_two(start_wsd, workers, one, other):
    rules = f'[channels."{one}:*"]\nsubscribe = "nobody"\npublish = "nobody"\n[channels."*"]\npresence = true\nhistory = 10'
    hub = start_wsd(rules, workers=workers)
    with JSONClient(hub.port) as client:
        assert client.refused("join", channel=f"{one}:x") == "not_permitted"
        client.ok("join", channel=f"{other}:x")
        assert hub.wsctl("publish", f"{one}:x", '"secret"').stdout == "sent to 0 connections\n"
        assert hub.wsctl("publish", f"{other}:x", '"open"').stdout == "sent to 1 connection\n"
        assert client.next("system")["data"] == "open"
        assert client.refused("chat", channel=f"{one}:x", data=1) == "not_permitted"
        listed = [json.loads(line)["name"] for line in hub.wsctl("channels", "--json").stdout.splitlines()]
        assert f"{other}:x" in listed and f"{one}:x" not in listed
        assert len(hub.connections()) == 1
        shown = [json.loads(line) for line in hub.wsctl("list", "--json", "--channel", f"{one}:x").stdout.splitlines()]
        assert shown == []


def test_twins_with_two_homes_end_nobody(start_wsd):
    """Clients in all spellings of a few names at once: each message is in the channel that it was sent to, and only there."""
    hub = start_wsd("[limits]\nerrors_per_minute = 0", workers=2)
    spellings = ["".join(random.choice(("K", "\u212a")) for _ in range(4)) + f":{number}" for number in range(40)]
    wrong = []

    def talk(seed):
        choose = random.Random(seed)
        for _ in range(8):
            with JSONClient(hub.port) as client:
                mine = choose.sample(spellings, 5)
                for name in mine:
                    client.ok("join", channel=name)
                    client.ok("chat", channel=name, data=name)
                wrong.extend(
                    each for each in client.heard if each["type"] == "chat" and each["data"] != each["channel"]
                )

    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and hub.is_alive()
    wait_until(lambda: hub.wsctl("channels", "--json").stdout == "" or "K" not in hub.wsctl("channels").stdout, "all is forgotten")


def test_a_page_of_channels_ends_where_the_next_begins(api):  # noqa: F811
    names = sorted(["K", "\u212a", "caf\u00e9", "cafe\u0301", "a", "z"], key=str.encode)
    for name in names:
        api.ok("POST", "/api/publish", {"channel": name, "data": 1})
    seen, after = [], ""
    while True:
        page = api.ok("GET", "/api/channels?limit=1" + (f"&after={after}" if after else ""))
        seen += [each["name"] for each in page["channels"]]
        if not page.get("next"):
            break
        after = "".join(f"%{byte:02x}" for byte in page["next"].encode())
    assert seen == names
