"""The chat page's rooms, and the client library, in a real browser."""

import json
import re
import signal
import threading
import urllib.request

import jwt
import pytest
import websockets.sync.server

from jsonclient import JSONClient
from waiting import wait_until
from wsdaemon import toml

ROOMS = {
    "channels": {
        "room:private": {"subscribe": "nobody"},
        "room:mute": {"publish": "nobody"},
        "*": {"presence": True, "join_leave": True, "history": 100, "leave_delay": "300ms"},
    }
}


@pytest.fixture
def hub(start_wsd):
    return start_wsd(toml(ROOMS), workers=4)


def rooms(page):
    return page.texts("#rooms button")


def enter(page, name):
    page.find("#room").send_keys(name, "\n")
    page.until(lambda page: page.texts("#rooms [aria-current=true]") == [name], f"{name} is shown")


def people(page):
    return page.find("#people").text.partition(" here")[0]


def until_people(page, count):
    page.until(lambda page: people(page) == str(count), f"{count} are here")


def test_three_pages_in_two_rooms_and_one_of_them_goes_offline_and_comes_back(browser, hub):
    browser.outage = True
    ada, grace, joan = (browser.open(hub.http("/")).until_connected() for _ in range(3))
    for page, name in ((ada, "Ada"), (grace, "Grace"), (joan, "Joan")):
        page.call_me(name)
        until_people(page, 3)
    for page in (ada, grace):
        enter(page, "engines")
    for page in (ada, grace):
        until_people(page, 2)
    enter(joan, "ships")
    until_people(joan, 1)

    ada.write("the analytical one")
    grace.until_shown("the analytical one")
    joan.write("a steamer")
    joan.until_shown("a steamer")
    assert "a steamer" not in ada.messages

    # Grace's connection breaks for good, as a train's in a tunnel; the others talk on, and she writes, too.
    with grace.offline():
        [row] = [row for row in hub.connections() if row["id"] == grace_id(hub, grace)]
        assert hub.wsctl("kick", row["id"], "--code", "1001").returncode == 0
        grace.until(lambda page: page.status == "Offline", "Grace is offline")
        grace.write("written in the tunnel")
        until_people(ada, 1)
        for number in range(20):
            ada.write(f"missed {number}")
        ada.until_shown("missed 19")
    grace.until_connected()
    until_people(grace, 2)
    until_people(ada, 2)
    expected = ["the analytical one", *[f"missed {number}" for number in range(20)], "written in the tunnel"]
    for page in (ada, grace):
        page.until_shown("written in the tunnel", "missed 19")
        page.until(lambda page: len(page.messages) == len(expected), "everything is shown once")
        assert page.messages == expected
        assert page.waiting == []
    assert not any("missing" in note for note in grace.notes)

    # Who enters sees what was said, and the lobby is where it was.
    enter(joan, "engines")
    joan.until_shown("written in the tunnel")
    assert joan.messages == expected
    until_people(joan, 3)
    assert set(joan.texts("#messages .name")) == {"Ada", "Grace"}
    joan.write("hello")
    ada.until_shown("hello")
    assert rooms(joan) == ["lobby", "ships", "engines"]


def grace_id(hub, page):
    """The connection of a page: the only one in its room that isn't told apart otherwise is the second."""
    names = [row["id"] for row in hub.connections() if "room:engines" in row["channels"]]
    assert len(names) == 2
    return max(names, key=lambda name: [row["connectedSince"] for row in hub.connections() if row["id"] == name])


def test_a_room_is_in_the_address_and_unread_messages_are_counted(browser, hub):
    page = browser.open(hub.http("/#caf%C3%A9")).until_connected()
    page.until(lambda page: page.texts("#rooms [aria-current=true]") == ["café"], "the room is shown")
    with JSONClient(hub.port) as other:
        for number in range(3):
            other.ok("chat", channel="lobby", data=f"lobby {number}")
        page.until(lambda page: rooms(page) == ["lobby (3)", "café"], "the unread ones are counted")
        page.find("#rooms button").click()
        page.until_shown("lobby 2")
        assert rooms(page) == ["lobby", "café"]
        # A reload comes back to the same rooms, with what was said.
        page.driver.refresh()
        page.until_connected()
        page.until_shown("lobby 0", "lobby 1", "lobby 2")
        page.until(lambda page: rooms(page) == ["lobby", "café"], "the rooms are there again")


def test_a_room_is_left_with_the_keyboard(browser, hub):
    page = browser.open(hub.http("/")).until_connected()
    enter(page, "short")
    wait_until(lambda: "room:short" in hub.connections()[0]["channels"], "the page is in the room")
    page.run("document.querySelector('#rooms [aria-current=true]').focus()")
    page.press("\ue017")  # Delete
    page.until(lambda page: rooms(page) == ["lobby"], "the room is gone")
    wait_until(lambda: "room:short" not in hub.connections()[0]["channels"], "the daemon knows")


def test_what_is_not_allowed_is_said(browser, hub):
    page = browser.open(hub.http("/")).until_connected()
    enter(page, "private")
    page.until(lambda page: any("can't enter" in note for note in page.notes), "the page says so")
    enter(page, "mute")
    page.write("may I?")
    page.until(lambda page: any("was not sent" in note for note in page.notes), "the page says so")
    assert page.find("#text").get_property("value") == "may I?"
    assert page.waiting == []


class Script:
    """The library in a page, driven from here."""

    def __init__(self, page, hub, path="/chat", options="{}"):
        self.page = page
        self.run(f"""
            const {{ Client }} = await import('/wsd.js');
            window.heard = [];
            window.client = new Client('ws://127.0.0.1:{hub.port}{path}', {options});
            for (const name of ['state', 'message', 'join', 'leave', 'gap', 'left', 'lost', 'error'])
                client.addEventListener(name, event => heard.push([name, event.detail]));
            client.connect();""")

    def run(self, body):
        answer = self.page.cdp(
            "Runtime.evaluate", awaitPromise=True, returnByValue=True, expression=f"(async () => {{ {body} }})()"
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def heard(self, name):
        return [detail for kind, detail in self.run("return heard") if kind == name]

    def until_heard(self, name, count=1):
        wait_until(lambda: len(self.heard(name)) >= count, f"{count} of {name}")
        return self.heard(name)


@pytest.fixture
def library(browser, hub):
    return Script(browser.open(hub.http("/")).until_connected(), hub)


def test_the_library_does_all_requests(library, hub):
    ack = library.run("return client.join('room:a')")
    assert ack["recovered"] is False and ack["seq"] == 0
    done = library.run("return client.publish('room:a', {n: 1.50, text: 'ü'})")
    assert done["seq"] == 1
    [message] = library.until_heard("message")
    assert (message["data"], message["from"]) == ({"n": 1.5, "text": "ü"}, library.run("return client.user"))
    assert [user["connections"] for user in library.run("return client.presence('room:a')")] == [1]
    history = library.run("return client.history('room:a', {limit: 1})")
    assert [each["seq"] for each in history["messages"]] == [1] and history["more"] is False
    assert library.run("return client.leave('room:a')")["channel"] == "room:a"
    refused = library.run("return client.presence('room:a').then(() => null, error => [error.name, error.code])")
    assert refused == ["WSDError", "not_joined"]
    assert library.run("return client.publish(null, 'to the lobby')")["channel"] == "lobby"
    ended = library.run(
        "const late = client.history('lobby').catch(error => error.code); client.close(); return [await late, client.state]"
    )
    assert ended == ["closed", "closed"]


def test_the_library_recovers_from_two_hundred_cuts_with_every_message_once(library, hub):
    library.run("return client.join('room:a')")
    mine = library.run("return client.connection")
    with JSONClient(hub.port) as other:
        sent = 0
        for _ in range(200):
            for _ in range(3):
                other.send(type="chat", channel="room:a", data=sent)
                sent += 1
            assert hub.wsctl("kick", mine, "--code", "1001").returncode == 0
            for _ in range(3):
                other.send(type="chat", channel="room:a", data=sent)
                sent += 1
            other.ok("ping")
            other.heard.clear()
            library.run("client.connect()")  # does not wait for its turn
            wait_until(lambda: library.run("return client.connection") != mine, "it is back")
            mine = library.run("return client.connection")
        count = "return heard.filter(([kind]) => kind === 'message').length"
        wait_until(lambda: library.run(count) >= sent, "all have arrived")
    assert [message["data"] for message in library.heard("message")] == list(range(sent))
    assert library.heard("gap") == []


def test_the_library_tells_of_a_gap_and_sends_again(browser, restartable):
    library = Script(browser.open(restartable.http("/")).until_connected(), restartable)
    library.run("return client.join('room:a')")
    library.run("return client.publish('room:a', 1)")
    restartable.stop(signal.SIGKILL)
    library.until_heard("lost")
    library.run("window.late = client.publish('room:a', 2)")
    restartable.start()
    assert library.run("client.connect(); return (await late).seq") == 1
    assert {gap["channel"] for gap in library.until_heard("gap", 1)} >= {"room:a"}
    assert [message["data"] for message in library.until_heard("message", 2)] == [1, 2]


class TroubledHub:
    """Says what a hub says whose broker is away, and has then lost its data."""

    def __init__(self):
        self.joins = []
        self._connections = 0
        self._server = websockets.sync.server.serve(self._serve, "127.0.0.1", 0)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()

    def _serve(self, socket):
        self._connections += 1
        say = lambda **message: socket.send(json.dumps(message))
        is_first = self._connections == 1
        say(type="system", event="welcome", connection=str(self._connections), user="u", recovered=False)
        for text in socket:
            request = json.loads(text)
            self.joins.append(request.get("since"))
            if not is_first and len(self.joins) < 4:
                say(type="error", id=request["id"], code="unavailable", message="the broker can't be reached")
                continue
            epoch, seq = ("A", 5) if is_first else ("B", 3)
            say(type="ack", id=request["id"], channel="room:a", epoch=epoch, seq=seq, recovered=not is_first)
            if is_first:
                say(type="chat", channel="room:a", seq=6, data="before")
                say(type="system", event="gap", channel="room:a", epoch="B", seq=2)
                say(type="chat", channel="room:a", seq=3, data="after")
                return
            say(type="chat", channel="room:a", seq=4, data="again")


def test_the_library_goes_on_after_a_gap_and_joins_until_it_can(browser, hub):
    troubled = TroubledHub()
    try:
        library = Script(browser.open(hub.http("/")).until_connected(), troubled, options="{minimumWait: 50}")
        assert library.run("return client.join('room:a')")["epoch"] == "A"
        assert [message["data"] for message in library.until_heard("message", 3)] == ["before", "after", "again"]
        assert library.heard("gap") == [{"channel": "room:a"}] and library.heard("left") == []
        assert troubled.joins == [None] + 3 * [{"epoch": "B", "seq": 3}]
        library.run("client.close()")
    finally:
        troubled.close()


def test_the_library_refreshes_its_token(browser, start_wsd, wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text("x" * 64)
    secret.chmod(0o600)
    # A token is good for a second from when it is shown, however long the way to that takes.
    auth = {"mode": "jwt", "hmac_secret_file": str(secret), "max_lifetime": "1s", "refresh_grace": "1m"}
    hub = start_wsd(toml({"auth": auth}))
    token = jwt.encode({"sub": "alice"}, "x" * 64, "HS256")
    browser.outage = True  # the page itself is not let in
    page = browser.open(hub.http("/"))
    shown = f"() => {{ window.asked = (window.asked ?? 0) + 1; return '{token}'; }}"
    library = Script(page, hub, options=f"{{ token: {shown} }}")
    wait_until(lambda: library.run("return client.user") == "alice", "it is in")
    mine = library.run("return client.connection")
    wait_until(lambda: library.run("return window.asked") >= 3, "it was asked for another token, and again")
    library.run("return client.publish('lobby', 1)")
    assert library.run("return client.connection") == mine
    assert library.heard("lost") == [] and library.heard("error") == []


@pytest.fixture
def members(start_wsd, wsd_directory):
    """A hub whose users have names by tokens, in a cookie or not, and who are awaited for longer than a test takes."""
    secret = wsd_directory / "secret"
    secret.write_text("x" * 64)
    secret.chmod(0o600)
    rules = {"*": {"presence": True, "join_leave": True, "history": 100, "leave_delay": "10m"}}
    auth = {"mode": "jwt", "hmac_secret_file": str(secret), "cookie": "session"}
    return start_wsd(toml({"auth": auth, "channels": rules}), workers=2)


def bearer(user):
    token = jwt.encode({"sub": user, "exp": 4_000_000_000}, "x" * 64, "HS256")
    return token, {"additional_headers": {"Authorization": f"Bearer {token}"}}


def test_a_reload_of_the_page_is_no_leave(browser, members):
    with JSONClient(members.port, **bearer("watcher")[1]) as watcher:
        browser.driver.execute_cdp_cmd(
            "Network.setCookie", {"name": "session", "value": bearer("alice")[0], "url": members.http("/")}
        )
        page = browser.open(members.http("/")).until_connected()
        assert watcher.next("join")["from"] == "alice"
        for _ in range(5):
            [before] = [row["id"] for row in members.connections() if row["user"] == "alice"]
            page.driver.refresh()
            page.until_connected()
            wait_until(
                lambda: [row["id"] for row in members.connections() if row["user"] == "alice"] not in ([], [before]),
                "the page has another connection",
            )
        users = watcher.ok("presence")["users"]
        assert {each["user"]: each["connections"] for each in users} == {"watcher": 1, "alice": 1}
        assert not any(message["type"] in ("join", "leave") for message in watcher.heard)


def test_the_library_says_goodbye_when_it_is_closed(browser, members):
    browser.outage = True  # the page itself is not let in
    with JSONClient(members.port, **bearer("watcher")[1]) as watcher:
        page = browser.open(members.http("/"))
        library = Script(page, members, options=json.dumps({"token": bearer("alice")[0]}))
        assert watcher.next("join")["from"] == "alice"
        library.run("client.close()")
        assert watcher.next("leave")["from"] == "alice"


def test_the_library_is_served_for_everybody(hub):
    for path, kind in (("/wsd.js", "text/javascript"), ("/wsd.d.ts", "application/typescript")):
        with urllib.request.urlopen(hub.http(path)) as answer:
            assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            body = answer.read().decode()
    # Every method and event of the types is there, and the other way round.
    script = urllib.request.urlopen(hub.http("/wsd.js")).read().decode()
    for name in ("connect", "close", "join", "leave", "publish", "presence", "history"):
        assert re.search(rf"^  (async )?{name}\(", script, re.M) and f"  {name}(" in body
    for event in ("state", "message", "join", "leave", "gap", "left", "lost", "error"):
        assert f"  {event}: " in body
