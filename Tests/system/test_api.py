"""The HTTP API, the metrics and the probes."""

import base64
import http.client
import json
import os
import select
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
import varlink
import websockets.sync.client

from container.frozen_thread import frozen, thread_named
from jsonclient import JSONClient
from ports import free_port
from rawws import BINARY, Wire
from waiting import DEADLINE, wait_until
from wsdaemon import binary, run_wsd, toml

KEYS = {scope: f"{scope}-key-of-this-test" for scope in ("publish", "read", "admin")}


class API:
    """The API of a daemon, as a backend talks to it."""

    def __init__(self, hub, port):
        self.hub = hub
        self.port = port

    def raw(self, method, path, body=None, headers=None, timeout=DEADLINE):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def call(self, method, path, body=None, scope="admin"):
        headers = {"Authorization": f"Bearer {KEYS[scope]}", "Content-Type": "application/json"}
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        status, headers, text = self.raw(method, path, text, headers)
        kind = "application/json" if status == 200 else "application/problem+json"
        assert headers["Content-Type"] == kind, text
        answer = json.loads(text)
        if status != 200:
            assert answer["status"] == status and answer["title"] and answer["detail"]
        return status, answer

    def ok(self, method, path, body=None, scope="admin"):
        status, answer = self.call(method, path, body, scope)
        assert status == 200, answer
        return answer

    def metrics(self):
        status, headers, text = self.raw("GET", "/metrics")
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        }


@pytest.fixture
def start_api(start_wsd, wsd_directory):
    def start(keys=True, config=None, **options):
        port = free_port()
        api = {"listen": [f"127.0.0.1:{port}"]}
        for scope, key in KEYS.items() if keys else ():
            path = wsd_directory / f"{scope}.key"
            path.write_text(f"another-key-for-{scope}\n{key}\n")
            api[f"{scope}_key_file"] = str(path)
        return API(start_wsd(toml({"api": api, **(config or {})}), **options), port)

    return start


@pytest.fixture
def api(start_api):
    return start_api(config={"channels": {"*": {"history": 10}}})


def test_publish_reaches_clients_of_both_protocols_byte_for_byte(api):
    hub = api.hub
    with JSONClient(hub.port) as client, hub.connect("/ws") as relay:
        wait_until(lambda: len(hub.connections()) == 2, "both are in the lobby")
        data = '{"price": 1.50, "name":"\\u00fc"}'
        answer = api.ok("POST", "/api/publish", f'{{"channel": "lobby", "data": {data}}}', scope="publish")
        message = client.next("system")
        epoch = answer["epoch"]
        assert answer == {"recipients": 2, "epoch": epoch, "seq": 1}
        assert (message["channel"], message["seq"], message["data"]) == ("lobby", 1, {"price": 1.5, "name": "ü"})
        assert relay.receive_text() == data
        assert api.ok("POST", "/api/publish", {"channel": "lobby", "text": "hello"}) == {
            "recipients": 2, "epoch": epoch, "seq": 2,
        }  # fmt: skip
        assert client.next("system")["data"] == "hello"
        # Text is text, whatever it looks like.
        assert relay.receive_text() == "hello"
        for member, told, sent in (("text", "1.50", "1.50"), ("data", 1.5, "1.50"), ("data", "x", '"x"')):
            api.ok("POST", "/api/publish", f'{{"channel": "lobby", "{member}": {json.dumps(sent) if member == "text" else sent}}}')
            assert (client.next("system")["data"], relay.receive_text()) == (told, sent)


def test_binary_messages_are_base64(api):
    with api.hub.connect("/ws") as relay, JSONClient(api.hub.port) as client:
        wait_until(lambda: len(api.hub.connections()) == 2, "both are in the lobby")
        payload = bytes(range(256))
        told = api.ok("POST", "/api/publish", {"channel": "lobby", "base64": base64.b64encode(payload).decode()})
        # Who speaks JSON can't be sent it, and it has no number.
        assert told == {"recipients": 1}
        relay.expect_message(BINARY, payload)
        assert api.ok("POST", "/api/broadcast", {"all": True, "base64": ""})["recipients"] == 1
        relay.expect_message(BINARY, b"")
        api.ok("POST", "/api/broadcast", {"channels": ["lobby"], "base64": None, "text": "after it"})
        assert (client.next("system")["data"], relay.receive_text()) == ("after it", "after it")
        for wrong in ("====", "YQ=x", "YWJj=", "YQ======", "YR==", "_-8=", "YQ", "YQ=", "Y Q=", "YQ==\n", 1, ["YQ=="]):
            status, problem = api.call("POST", "/api/publish", {"channel": "lobby", "base64": wrong})
            assert status == 400 and "Base64" in problem["detail"]
        for more in ({"data": 1}, {"text": "x"}):
            assert api.call("POST", "/api/publish", {"channel": "lobby", "base64": "YQ==", **more})[0] == 400


def test_broadcast_and_batch(api):
    with JSONClient(api.hub.port) as client:
        for room in ("a", "b"):
            client.ok("join", channel=room)
        assert api.ok("POST", "/api/broadcast", {"channels": ["a", "b", "c"], "data": 1}) == {"recipients": 2}
        assert api.ok("POST", "/api/broadcast", {"text": "to all", "all": True}) == {"recipients": 1}
        commands = [{"publish": {"channel": "a", "data": number}} for number in range(100)]
        commands += [{"publish": {"channel": ""}}, {"nonsense": 1}, {"broadcast": {"channels": ["b"], "data": "last"}}]
        replies = api.ok("POST", "/api/batch", {"commands": commands})["replies"]
        epoch = replies[0]["epoch"]
        # Behind that of the broadcast.
        assert replies[:100] == [{"recipients": 1, "epoch": epoch, "seq": seq} for seq in range(2, 102)]
        assert [list(reply) for reply in replies[100:]] == [["error"], ["error"], ["epoch", "recipients", "seq"]]
        heard = [client.next("system") for _ in range(2 + 1 + 100 + 1)]
        told = [each["data"] for each in heard]
        # What is for one channel comes in its order.
        assert told[:3] == [1, 1, "to all"]
        assert [each for each in told[3:] if each != "last"] == list(range(100)) and "last" in told


def test_a_batch_keeps_its_order_around_what_is_for_connections(api):
    with JSONClient(api.hub.port) as client:
        commands = [
            {"publish": {"channel": "lobby", "data": 1}},
            {"broadcast": {"data": 2, "all": True}},
            {"publish": {"channel": "lobby", "data": 3, "user": client.welcome["user"]}},
            {"publish": {"channel": "lobby", "data": 4}},
        ]
        replies = api.ok("POST", "/api/batch", {"commands": commands})["replies"]
        # Two of them are kept in the channel.
        place = {"recipients": 1, "epoch": replies[0]["epoch"]}
        assert replies == [place | {"seq": 1}, {"recipients": 1}, {"recipients": 1}, place | {"seq": 2}]
        assert [client.next("system")["data"] for _ in commands] == [1, 2, 3, 4]


def test_a_message_of_a_channel_with_history_is_told_its_place(start_api):
    api = start_api(config={"channels": {"kept*": {"history": 5}}})
    with JSONClient(api.hub.port) as client:
        epoch = client.ok("join", channel="kept")["epoch"]
        assert api.ok("POST", "/api/publish", {"channel": "kept", "text": "a"}) == {
            "recipients": 1, "epoch": epoch, "seq": 1,
        }  # fmt: skip
        commands = [{"publish": {"channel": name, "data": 1}} for name in ("kept", "lobby", "kept", "kept:other")]
        commands.append({"broadcast": {"channels": ["kept", "lobby"], "data": 2}})
        replies = api.ok("POST", "/api/batch", {"commands": commands})["replies"]
        assert replies[0] == {"recipients": 1, "epoch": epoch, "seq": 2}
        assert replies[1] == {"recipients": 1}
        assert replies[2] == {"recipients": 1, "epoch": epoch, "seq": 3}
        assert replies[3]["seq"] == 1 and replies[3]["epoch"] != epoch
        assert replies[4] == {"recipients": 2}
        # What a client missed after that place.
        with JSONClient(api.hub.port) as late:
            joined = late.ok("join", channel="kept", since={"epoch": epoch, "seq": replies[0]["seq"]})
            assert joined["recovered"] and [late.next("system")["seq"] for _ in range(2)] == [3, 4]


def test_unsubscribe_takes_clients_out_of_a_channel(api):
    with JSONClient(api.hub.port) as first, JSONClient(api.hub.port) as second:
        name = first.welcome["user"]
        epochs = [client.ok("join", channel="room")["epoch"] for client in (first, second)]
        body = {"channel": "room", "user": name, "reason": "moderated"}
        assert api.ok("POST", "/api/unsubscribe", body) == {"connections": 1}
        left = first.next("system")
        assert (left["event"], left["channel"], left["reason"]) == ("left", "room", "moderated")
        assert api.ok("POST", "/api/publish", {"channel": "room", "data": 1}) == {
            "recipients": 1, "epoch": epochs[0], "seq": 1,
        }  # fmt: skip
        assert api.ok("POST", "/api/unsubscribe", {"channel": "room", "all": True}) == {"connections": 1}
        assert api.call("POST", "/api/unsubscribe", {"channel": "room"})[0] == 400
        assert api.call("POST", "/api/unsubscribe", body, scope="publish")[0] == 403


def test_a_repetition_is_recognised(api):
    with JSONClient(api.hub.port) as client:

        def publish(key, body, scope="publish"):
            headers = {"X-API-Key": KEYS[scope], "Idempotency-Key": key}
            return api.raw("POST", "/api/publish", json.dumps(body), headers)

        body = {"channel": "lobby", "data": 1}
        first = publish("one", body)
        again = publish("one", body)
        assert first[0] == again[0] == 200 and first[2] == again[2]
        assert first[1]["Idempotency-Replayed"] is None and again[1]["Idempotency-Replayed"] == "true"
        assert publish("one", body | {"data": 2})[0] == 422
        assert publish("one", body, scope="admin")[0] == 422
        assert publish("x" * 129, body)[0] == 400
        # What failed may be tried again with the same key.
        assert publish("two", {"channel": "lobby"})[0] == 400
        assert publish("two", {"channel": "lobby", "data": 3})[0] == 200
        assert [client.next("system")["data"] for _ in range(2)] == [1, 3]

        def batch(key, *channels):
            commands = {"commands": [{"publish": {"channel": channel, "data": 4}} for channel in channels]}
            return api.raw("POST", "/api/batch", json.dumps(commands), {"X-API-Key": KEYS["admin"], "Idempotency-Key": key})

        # So may a batch of which nothing was done, but not one of which something was.
        assert "error" in batch("three", "")[2]
        assert batch("three", "", "lobby")[1]["Idempotency-Replayed"] is None
        assert batch("three", "", "lobby")[1]["Idempotency-Replayed"] == "true"
        assert client.next("system")["data"] == 4


def test_keys_cannot_be_guessed_by_trying(api):
    for _ in range(60):
        assert api.raw("GET", "/api/status", headers={"X-API-Key": "guess"})[0] == 401
    status, headers, _ = api.raw("GET", "/api/status", headers={"X-API-Key": "guess"})
    assert status == 429 and headers["Retry-After"] == "60"
    # Behind a proxy many have one address: who has a key does not suffer for others.
    assert api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})[0] == 200
    assert api.raw("GET", "/metrics")[0] == 200
    # The log tells of it, and is not flooded.
    api.hub.wait_for_log("wrong API key from 127.0.0.1")
    assert api.hub.log().count("wrong API key") < 10


def test_a_request_cannot_multiply_without_end(api):
    many = [f"c{number}" for number in range(1000)]
    commands = [{"broadcast": {"channels": many, "data": 1}} for _ in range(11)]
    status, problem = api.call("POST", "/api/batch", {"commands": commands})
    assert status == 413 and "11000 messages" in problem["detail"]
    assert api.ok("POST", "/api/batch", {"commands": commands[:10]})["replies"] == [{"recipients": 0}] * 10
    status, problem = api.call("POST", "/api/broadcast", {"channels": many, "data": "x" * 100_000})
    assert status == 413
    status, problem = api.call("POST", "/api/unsubscribe", {"channel": "c", "all": True, "reason": "x" * 124})
    assert status == 400 and "124 bytes" in problem["detail"]


def test_who_goes_away_ends_its_profile(api):
    """The next one need not wait for it."""
    headers = {"X-API-Key": KEYS["admin"]}
    with socket.create_connection(("127.0.0.1", api.port), timeout=DEADLINE) as wire:
        wire.sendall(f"GET /debug/pprof/profile?seconds=300 HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEYS['admin']}\r\n\r\n".encode())
        wait_until(lambda: "taking a CPU profile of 300" in api.hub.log(), "it is being taken")
        wait_until(lambda: api.raw("GET", "/debug/pprof/profile?seconds=1", headers=headers)[0] == 409, "it is busy")
    wait_until(lambda: api.raw("GET", "/debug/pprof/profile?seconds=1", headers=headers)[0] == 200, "it has ended")


def test_keys_are_read_again_at_a_reload(api):
    path = api.hub.directory.parent / "read.key"
    path.write_text("a-new-key-of-this-test\n")
    assert api.hub.wsctl("reload").returncode == 0
    assert api.raw("GET", "/api/status", headers={"X-API-Key": KEYS["read"]})[0] == 401
    assert api.raw("GET", "/api/status", headers={"X-API-Key": "a-new-key-of-this-test"})[0] == 200
    path.write_text("short\n")
    refused = api.hub.wsctl("reload")
    assert refused.returncode == 78 and "read_key_file" in refused.stderr
    assert api.raw("GET", "/api/status", headers={"X-API-Key": "a-new-key-of-this-test"})[0] == 200


def test_key_files_may_have_comments_and_blanks(start_api, wsd_directory):
    api = start_api()
    path = wsd_directory / "read.key"
    path.write_bytes(b"\xef\xbb\xbf# of the monitoring\r\n\r\n \t a-key-with-blanks-around \t\r\n#another-key-for-nobody\n")
    path.chmod(0o644)
    assert api.hub.wsctl("reload").returncode == 0
    for key, status in (("a-key-with-blanks-around", 200), ("#another-key-for-nobody", 401), (KEYS["read"], 401)):
        assert api.raw("GET", "/api/status", headers={"X-API-Key": key})[0] == status
    for nothing in (b" \n", b"# a comment\n", b"\xef\xbb\xbf\n"):
        path.write_bytes(nothing)
        refused = api.hub.wsctl("reload")
        assert refused.returncode == 78 and "read_key_file" in refused.stderr and "no key" in refused.stderr


def test_key_files_that_everybody_can_read_are_warned_of(start_api, wsd_directory):
    (wsd_directory / "publish.key").touch(0o600)
    (wsd_directory / "admin.key").touch(0o644)
    (wsd_directory / "admin.key").chmod(0o644)
    log = start_api().hub.log()
    assert "api.admin_key_file" in log and "chmod o=" in log and "publish.key" not in log


def test_a_profile_of_a_busy_daemon_names_its_functions(api, tmp_path):
    """Read by pprof itself."""
    hub = api.hub
    load = subprocess.Popen(
        [binary("wsbench"), "fanout", "-n", "50", "--duration", "300s", hub.url()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        hub.wait_for_connections(51)
        path = tmp_path / "x.pprof"
        request = urllib.request.Request(
            f"http://127.0.0.1:{api.port}/debug/pprof/profile?seconds=2", headers={"X-API-Key": KEYS["admin"]}
        )
        path.write_bytes(urllib.request.urlopen(request).read())
        listed = subprocess.run(["go", "tool", "pprof", "-top", str(path)], capture_output=True, text=True)
        assert listed.returncode == 0, listed.stderr
        named = set(re.findall(r"Engine\.Worker\.\w+\([\w:]*\)", listed.stdout))
        assert "Engine.Worker.run()" in named and len(named) > 2, listed.stdout
        with open(path, "wb") as file:
            taken = subprocess.run(
                [binary("wsctl"), "profile", "cpu", "--seconds", "1", "--socket", hub.control], stdout=file
            )
        assert taken.returncode == 0 and path.stat().st_size > 0
    finally:
        load.kill()
        load.wait()
    assert api.raw("GET", "/debug/pprof/profile?seconds=1", headers={"X-API-Key": KEYS["read"]})[0] == 403
    assert api.raw("GET", "/debug/pprof/profile?seconds=0", headers={"X-API-Key": KEYS["admin"]})[0] == 400
    stacks = hub.wsctl("profile", "stacks").stdout
    assert re.search(r"wsd-worker-1\n(  .*\n)*?  Engine.Worker.run\(\)", stacks), stacks
    assert re.search(r"\d+  heap, in use", hub.wsctl("profile", "heap").stdout)
    assert hub.wsctl("profile", "stacks", "--seconds", "3").returncode == 64


def test_connections_and_disconnect(api):
    with JSONClient(api.hub.port, additional_headers={"User-Agent": "first"}) as first, JSONClient(api.hub.port):
        listed = api.ok("GET", "/api/connections", scope="read")["connections"]
        assert {row["id"] for row in listed} == {row["id"] for row in api.hub.connections()}
        name = first.welcome["connection"]
        assert [row["userAgent"] for row in api.ok("GET", f"/api/connections?id={name}")["connections"]] == ["first"]
        assert len(api.ok("GET", "/api/connections?limit=1&channel=lobby")["connections"]) == 1
        assert api.ok("POST", "/api/disconnect", {"ids": [name], "code": 4001, "reason": "moved"}) == {"connections": 1}
        with pytest.raises(Exception) as closed:
            first.receive()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "moved")
        assert api.ok("GET", "/api/status")["closed"] == {"kicked": 1}


def test_what_is_wrong_is_said(api):
    cases = [
        ("GET", "/nowhere", None, 404, "/nowhere"),
        ("GET", "/api/publish", None, 405, "POST"),
        ("POST", "/metrics", "", 405, "GET"),
        ("POST", "/api/publish", "{", 400, "JSON"),
        ("POST", "/api/publish", "[]", 400, "JSON"),
        ("POST", "/api/publish", b'{"channel": "\xff"}', 400, "JSON"),
        ("POST", "/api/publish", '{"channel":"a","channel":"b","data":1}', 400, "once"),
        ("POST", "/api/publish", {"data": 1}, 400, '"channel" is missing'),
        ("POST", "/api/publish", {"channel": 7, "data": 1}, 400, '"channel" must be'),
        ("POST", "/api/publish", {"channel": "", "data": 1}, 400, "1 to 255"),
        ("POST", "/api/publish", {"channel": "a\n", "data": 1}, 400, "control"),
        ("POST", "/api/publish", {"channel": "a"}, 400, '"data"'),
        ("POST", "/api/publish", {"channel": "a", "data": 1, "text": "x"}, 400, "not more"),
        ("POST", "/api/publish", {"channel": "a", "dta": 1}, 400, '"dta"'),
        ("POST", "/api/publish", {"channel": "a", "data": 1, "user": None}, 400, '"user" must be'),
        ("POST", "/api/publish", '{"channel": "\\ud800", "data": 1}', 400, '"channel" must be'),
        ("POST", "/api/publish", '{"channel": "a", "text": "\\udc00"}', 400, '"text" must be'),
        ("POST", "/api/publish", '{"channel": "a", "data": ' + "[" * 65 + "]" * 65 + "}", 400, "66 levels"),
        ("POST", "/api/broadcast", {"data": 1}, 400, '"all": true'),
        ("POST", "/api/broadcast", {"data": 1, "channels": None}, 400, '"channels" must be'),
        ("POST", "/api/broadcast", {"data": 1, "channels": ["a", 7]}, 400, '"channels" must be'),
        ("POST", "/api/broadcast", '{"data": 1, "channels": ["\\ud800"]}', 400, '"channels" must be'),
        ("POST", "/api/broadcast", {"data": 1, "channels": ["a"], "all": True}, 400, "not both"),
        ("POST", "/api/broadcast", {"data": 1, "all": False}, 400, '"all": true'),
        ("POST", "/api/broadcast", {"data": 1, "all": None}, 400, '"all" must be'),
        ("POST", "/api/batch", '{"commands": [' + "[" * 64 + "]" * 64 + "]}", 400, "66 levels"),
        ("POST", "/api/publish", {"channel": "a", "text": "x" * 2_000_000}, 413, "max_message_size"),
        ("POST", "/api/batch", {"commands": 7}, 400, "commands"),
        ("POST", "/api/batch", {"commands": [{}] * 1001}, 400, "1000"),
        ("POST", "/api/disconnect", {}, 400, "all"),
        ("POST", "/api/disconnect", {"channel": "lobby", "user": None}, 400, '"user" must be'),
        ("POST", "/api/disconnect", {"ids": ["1"], "code": 999}, 400, "999"),
        ("POST", "/api/disconnect", {"ip": "nonsense"}, 400, "nonsense"),
        ("GET", "/api/connections?limit=0", None, 400, "limit"),
        ("GET", "/api/connections?nme=a", None, 400, "nme"),
        ("GET", "/api/connections?after=x", None, 400, '"after" must be the value of "next" in the previous response'),
        ("GET", "/api/connections?cluster=yes", None, 400, "cluster"),
        ("GET", "/api/channels?cluster=true", None, 409, "no broker"),
        ("GET", "/api/nodes", None, 409, "no broker"),
        ("POST", "/api/disconnect", {"all": True, "cluster": True}, 409, "no broker"),
        ("POST", "/api/publish", {"channel": "a", "data": 1, "cluster": False}, 400, '"cluster" is for'),
        ("POST", "/api/broadcast", {"all": True, "data": 1, "cluster": None}, 400, '"cluster" must be'),
    ]
    for method, path, body, expected, text in cases:
        status, problem = api.call(method, path, body)
        assert (status, text in problem["detail"]) == (expected, True), (path, body, status, problem)
    status, headers, _ = api.raw("PUT", "/api/publish", "{}")
    assert (status, headers["Allow"]) == (405, "POST")
    key = {"X-API-Key": KEYS["publish"]}
    assert api.raw("POST", "/api/publish", "a=b", {**key, "Content-Type": "application/x-www-form-urlencoded"})[0] == 415
    large = {**key, "Content-Type": "application/json", "Content-Length": str(9 << 20)}
    assert api.raw("POST", "/api/publish", b"", large)[0] == 413


def test_keys_have_scopes(api, start_api):
    allowed = {
        ("GET", "/api/status"): {"read", "admin"},
        ("GET", "/api/connections"): {"read", "admin"},
        ("POST", "/api/publish"): {"publish", "admin"},
        ("POST", "/api/batch"): {"publish", "admin"},
        ("POST", "/api/disconnect"): {"admin"},
    }
    for (method, path), scopes in allowed.items():
        for scope in KEYS:
            status, answer = api.call(method, path, "{}" if method == "POST" else None, scope=scope)
            assert (status == 403) == (scope not in scopes), (path, scope, answer)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}, {"Authorization": KEYS["admin"]}):
            status, headers, text = api.raw(method, path, None, headers)
            assert (status, headers["WWW-Authenticate"].startswith("Bearer")) == (401, True)
    assert api.raw("GET", "/api/status", None, {"X-API-Key": "another-key-for-read"})[0] == 200
    log = api.hub.log()
    assert not any(key in log for key in KEYS.values())

    keyless = start_api(keys=False)
    status, _, text = keyless.raw("GET", "/api/status", None, {"X-API-Key": "x"})
    assert status == 403 and "api.publish_key_file" in text
    for path in ("/metrics", "/healthz", "/readyz"):
        assert keyless.raw("GET", path)[0] == 200


def test_a_bad_key_file_keeps_the_daemon_from_starting(wsd_directory):
    key = wsd_directory / "key"
    key.write_text("short\n")
    config = wsd_directory / "bad.toml"
    api = {"listen": [], "admin_key_file": str(key), "read_key_file": "/nonexistent"}
    control = {"path": "", "status_path": ""}
    config.write_text(toml({"server": {"listen": ["127.0.0.1:0"]}, "api": api, "control": control}))
    for arguments in ([], ["--check-config"]):
        ended = run_wsd("--config", config, *arguments)
        assert ended.returncode == 78
        assert "api.admin_key_file" in ended.stderr and "openssl" in ended.stderr and "/nonexistent" in ended.stderr


def test_one_connection_carries_many_requests_also_pipelined(api):
    request = (
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {KEYS['publish']}\r\nContent-Length: %d\r\n\r\n%s"
    )
    bodies = [json.dumps({"channel": "c", "data": number}) for number in range(200)]
    with socket.create_connection(("127.0.0.1", api.port), timeout=DEADLINE) as wire:
        wire.sendall("".join(request % (len(body), body) for body in bodies).encode())
        read = b""
        while read.count(b'"recipients":0') < 200:
            part = wire.recv(65536)
            assert part, read[-500:]
            read += part
        assert read.count(b"HTTP/1.1 200 OK") == 200
        assert [int(seq) for seq in re.findall(rb'"recipients":0,"seq":(\d+)}', read)] == list(range(1, 201))
    with JSONClient(api.hub.port) as client:
        client.ok("join", channel="c")
        kept = client.ok("history", channel="c", limit=10)["messages"]
        assert [message["data"] for message in kept] == list(range(190, 200))


def test_metrics_count_exactly_what_clients_count(api):
    hub = api.hub
    before = api.metrics()
    clients = [JSONClient(hub.port) for _ in range(5)]
    for client in clients:
        client.ok("chat", data="x" * 100)
    for client in clients:
        for _ in range(5):
            client.next("chat")
    after = api.metrics()

    def grown(name):
        return after[name] - before.get(name, 0)

    assert after["websocket_active_connections"] == 5
    assert sum(value for name, value in after.items() if name.startswith("wsd_worker_connections{")) == 5
    assert grown("websocket_opened_total") == 5
    assert grown("websocket_messages_received_total") == 5
    # A welcome and an ack for each, and each message for everybody.
    assert grown("websocket_messages_sent_total") == 5 + 5 + 25
    assert after["wsd_channels"] == 1 and after["wsd_history_bytes"] > 500
    for client in clients:
        client.socket.close()
    wait_until(lambda: api.metrics()["websocket_active_connections"] == 0, "all are gone")
    assert api.metrics()['websocket_closed_total{reason="peer_closed"}'] == 5
    assert api.metrics()['websocket_close_codes_total{code="1000"}'] == 5
    for code, label in ((4001, "4000-4999"), (3999, "3000-3999"), (1008, "1008"), (None, "1005")):
        with hub.connect("/ws") as client:
            client.send_close(code)
            client.receive_close()
        wait_until(
            lambda name=f'websocket_close_codes_total{{code="{label}"}}': api.metrics()[name] == 1, f"{code} is counted")
    assert api.raw("GET", "/chat")[0] == 404
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(hub.http("/nowhere"))
    assert api.metrics()['websocket_refused_total{reason="not_found"}'] == 1
    assert api.metrics()["process_resident_memory_bytes"] > 1 << 20


def test_frames_times_and_compression_are_counted(api):
    before = api.metrics()
    with api.hub.connect("/ws") as plain:
        plain.send_frame(1, b"a", fin=False)
        plain.send_frame(0, b"b", fin=False)
        plain.send_frame(9, b"ping")
        plain.send_frame(0, b"c")
        assert plain.receive_frame().opcode == 10
        assert plain.receive_text() == "abc"
        plain.send_binary(b"x")
        assert plain.receive_frame().opcode == 2
        plain.close_properly()
    compressing = websockets.sync.client.connect(api.hub.url(), compression="deflate")
    compressing.send("y" * 10_000)
    assert len(compressing.recv(timeout=DEADLINE)) == 10_000
    compressing.close()
    wait_until(lambda: api.metrics()["websocket_active_connections"] == 0, "both are gone")
    after = api.metrics()

    def grown(name):
        return after[name] - before.get(name, 0)

    received = {"text": 2, "binary": 1, "continuation": 2, "ping": 1, "pong": 0, "close": 2}
    sent = {"text": 2, "binary": 1, "ping": 0, "pong": 1, "close": 2}
    for direction, counts in (("received", received), ("sent", sent)):
        for opcode, count in counts.items():
            assert grown(f'websocket_{direction}_frames_total{{opcode="{opcode}"}}') == count, (direction, opcode)
    for direction in ("in", "out"):
        plain_bytes = grown(f'wsd_compression_plain_bytes_total{{direction="{direction}"}}')
        compressed = grown(f'wsd_compression_compressed_bytes_total{{direction="{direction}"}}')
        assert plain_bytes == 10_000 and 0 < compressed < 200
    assert grown("wsd_handshake_seconds_count") == 2 and after["wsd_handshake_seconds_sum"] > 0
    assert grown("wsd_publish_seconds_count") == 3
    for name in ("wsd_publish_seconds", "wsd_handshake_seconds"):
        buckets = [value for key, value in after.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == after[f"{name}_count"]


def test_what_waits_is_counted_by_endpoint_and_message(api):
    slow = api.hub.connect("/ws", receive_buffer=4096)
    with websockets.sync.client.connect(api.hub.url("/ws"), compression=None) as sender:
        assert api.metrics()['wsd_endpoint_connections{endpoint="/ws"}'] == 2

        def waits():
            sender.send("z" * 60_000)
            sender.recv(timeout=DEADLINE)
            return api.metrics()["wsd_queued_messages"] >= 3

        wait_until(waits, "messages wait for the slow one")
        figures = api.metrics()
        assert figures["wsd_slow_consumers"] == 1
        assert figures["wsd_queued_bytes"] >= figures["wsd_queued_messages"] * 60_000 * 0.9
    slow.close()
    wait_until(lambda: api.metrics()["wsd_queued_messages"] == 0, "nothing waits any more")
    assert api.metrics()["wsd_queued_bytes"] == 0


def test_slow_consumers_are_counted_by_policy(start_api):
    for policy in ("disconnect", "drop-oldest", "drop-newest"):
        api = start_api(config={"queue": {"limit": 4096, "policy": policy}})
        # In small segments the kernel would take so much in between that a queue has room again, and overflows once more.
        with api.hub.connect("/ws", receive_buffer=4096, segment=None), api.hub.connect("/ws") as sender:
            counted = f'wsd_queue_overflows_total{{policy="{policy}"}}'

            def is_counted():
                sender.send_binary(bytes(60_000))
                sender.receive_frame()
                return api.metrics()[counted] > 0

            wait_until(is_counted, "the slow one is counted")
            for _ in range(5):
                is_counted()
            figures = api.metrics()
            assert {name: value for name, value in figures.items() if name.startswith("wsd_queue_overflows_total")} == {
                f'wsd_queue_overflows_total{{policy="{each}"}}': float(each == policy)
                for each in ("disconnect", "drop-oldest", "drop-newest")
            }
            assert figures["wsd_dropped_messages_total"] > 0


def test_subscriptions_are_counted(api):
    with JSONClient(api.hub.port) as one, JSONClient(api.hub.port), api.hub.connect("/ws"):
        for name in ("a", "b", "c"):
            one.ok("join", channel=name)
        assert api.metrics()["wsd_subscriptions"] == 6
        one.ok("leave", channel="b")
        assert api.metrics()["wsd_subscriptions"] == 5
    wait_until(lambda: api.metrics()["wsd_subscriptions"] == 0, "everybody has left")


def test_requests_are_counted_by_path_and_status(api):
    api.ok("POST", "/api/publish", {"channel": "c", "data": 1})
    api.call("POST", "/api/publish", {"channel": "c"})
    for path in ("/api/nothing", "/api/nothing-else"):
        api.call("GET", path)
    api.raw("GET", "/api/status")
    counted = {name: value for name, value in api.metrics().items() if name.startswith("wsd_api_requests_total")}
    assert counted == {
        f'wsd_api_requests_total{{path="{path}",status="{status}"}}': count
        for path, status, count in (
            ("/api/publish", 200, 1), ("/api/publish", 400, 1), ("other", 404, 2), ("/api/status", 401, 1)
        )
    }


def test_each_worker_keeps_its_own_figures(start_wsd):
    port = free_port()
    api = API(start_wsd(toml({"api": {"listen": [f"127.0.0.1:{port}"]}}), workers=4), port)
    with api.hub.connect("/ws"):
        held = json.loads(api.hub.wsctl("status", "--json").stdout)["connectionsPerWorker"]
        assert sorted(held) == [0, 0, 0, 1]
        last = {}
        for _ in range(100):
            turns = {name: value for name, value in api.metrics().items() if name.startswith("wsd_loop_turns_total")}
            assert len(turns) == 4 and all(turns[name] >= last.get(name, 0) for name in turns)
            last = turns
            figures = api.metrics()
            assert [figures[f'wsd_worker_connections{{worker="{number}"}}'] for number in range(4)] == held


def test_a_worker_that_hangs_is_named(api):
    """The probes name the worker within about a second, and everything else that is known is still reported."""
    reason = "worker 1 has not turned for a second"
    assert api.metrics()['wsd_worker_up{worker="1"}'] == 1
    with frozen(thread_named(api.hub.pid, "wsd-worker-1")):
        for path in ("/healthz", "/readyz"):
            status, _, text = api.raw("GET", path)
            assert (status, text) == (503, f"{reason}\n")
        figures = api.metrics()
        assert [figures[f'wsd_worker_up{{worker="{number}"}}'] for number in (0, 1)] == [1, 0]
        assert f"not ready: {reason}\n" in api.hub.wsctl("status").stdout
        assert json.loads(api.hub.wsctl("status", "--json").stdout)["notReady"] == reason
        wait_until(lambda: any(reason in line for line in api.hub.notified()), "the service manager is told")
    wait_until(lambda: api.raw("GET", "/healthz")[2] == "ok\n", "it turns again")
    assert "not ready" not in api.hub.wsctl("status").stdout


@pytest.mark.parametrize(
    "sent",
    [b"G", b"GET /metrics HTTP/1.1\r\nHo", b"POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
     b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n\r\n{" % KEYS["admin"].encode()],
    ids=["the first byte", "a part of the head", "a part of the body"],
)  # fmt: skip
def test_a_request_that_is_not_there_in_time_gets_408(start_api, clock, sent):
    api = start_api(env=clock.environment)

    def answered():
        """Whether something has come; the API's threads look at their clocks when they have something else to do."""
        for _ in range(8):
            assert api.raw("GET", "/readyz")[0] == 200
        return select.select([wire.socket], [], [], 0)[0]

    with Wire(api.port) as wire:
        wire.send(sent)
        # It has been read: a request that begins later has its time from then on.
        for _ in range(8):
            assert api.raw("GET", "/readyz")[0] == 200
        clock.forward(58)
        for _ in range(5):
            assert not answered()
        clock.forward(3)
        wait_until(answered, "there is an answer")
        response = wire.read_response()
        assert response.status == 408 and response.header("Connection") == "close"
        assert json.loads(response.body)["status"] == 408
        wire.expect_end()


def test_a_connection_that_asks_nothing_is_closed_without_a_word(start_api, clock):
    api = start_api(env=clock.environment)
    with Wire(api.port) as wire:
        assert api.raw("GET", "/readyz")[0] == 200
        clock.forward(61)

        def ended():
            for _ in range(8):
                assert api.raw("GET", "/readyz")[0] == 200
            return select.select([wire.socket], [], [], 0)[0]

        wait_until(ended, "it is closed")
        wire.expect_end()


def test_promtool_finds_no_fault(api):
    with JSONClient(api.hub.port):
        _, _, text = api.raw("GET", "/metrics")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, env={**os.environ}
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_openmetrics_by_accept(api):
    status, headers, text = api.raw("GET", "/metrics", None, {"Accept": "application/openmetrics-text;version=1.0.0"})
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("\n# EOF\n")
    assert "# TYPE websocket_messages_received counter\nwebsocket_messages_received_total " in text
    families = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert len(families) == len(set(families))


def test_accept_has_qualities(api):
    text, openmetrics = "text/plain", "application/openmetrics-text"
    cases = {
        "": text,
        "*/*": text,
        "Application/OpenMetrics-Text": openmetrics,
        "text/plain, application/openmetrics-text;q=0.5": text,
        "text/plain;q=0.4 , application/openmetrics-text; version=1.0.0; q=0.6, */*;q=0.9": openmetrics,
        "application/openmetrics-text;q=0, */*": text,
        "application/openmetrics-text;q=0.5, */*;q=0.1": openmetrics,
    }
    for accept, kind in cases.items():
        assert api.raw("GET", "/metrics", None, {"Accept": accept})[1]["Content-Type"].split(";")[0] == kind, accept


def test_the_probes_say_why(api):
    assert api.raw("GET", "/healthz")[2] == "ok\n"
    assert api.raw("GET", "/readyz")[2] == "ok\n"
    assert api.raw("HEAD", "/readyz")[0] == 200


def test_a_draining_daemon_is_alive_and_not_ready(start_api):
    api = start_api(config={"drain": {"period": "20s", "timeout": "30s"}})
    for _ in range(20):
        api.hub.connect("/ws")
    assert api.hub.wsctl("drain").returncode == 0
    status, _, text = api.raw("GET", "/readyz")
    assert (status, text) == (503, "draining\n")
    assert api.raw("GET", "/healthz")[0] == 200


def test_a_full_daemon_is_not_ready(start_api):
    api = start_api(config={"server": {"max_connections": 1}})
    with JSONClient(api.hub.port):
        status, _, text = api.raw("GET", "/readyz")
        assert (status, text) == (503, "full: 1 connections\n")
    wait_until(lambda: api.raw("GET", "/readyz")[0] == 200, "there is room again")


def test_channels_presence_and_history(start_api):
    rooms = {"room:*": {"presence": True, "history": 5}}
    api = start_api(config={"channels": rooms})
    hub = api.hub
    with JSONClient(hub.port) as first, JSONClient(hub.port) as second:
        for client in (first, second):
            client.ok("join", channel="room:é")
        first.ok("join", channel="plain")
        for number in range(8):
            first.ok("chat", channel="room:é", data={"n": number, "price": 1.25})

        channels = {"lobby": 2, "plain": 1, "room:é": 2}
        listed = api.ok("GET", "/api/channels", scope="read")["channels"]
        assert {row["name"]: row["connections"] for row in listed} == channels
        assert [row["name"] for row in listed] == sorted(channels)
        assert [row["name"] for row in api.ok("GET", "/api/channels?pattern=room:*")["channels"]] == ["room:é"]
        page = api.ok("GET", "/api/channels?limit=2")
        assert len(page["channels"]) == 2 and page["next"] == "plain"
        assert api.ok("GET", f"/api/channels?after={page['next']}")["channels"] == [{"connections": 2, "name": "room:é"}]
        lines = hub.wsctl("channels", "--json").stdout.splitlines()
        assert {row["name"]: row["connections"] for row in map(json.loads, lines)} == channels
        assert json.loads(hub.wsctl("channels", "room:*", "--json").stdout)["name"] == "room:é"

        users = api.ok("POST", "/api/presence", {"channel": "room:é"}, scope="read")["users"]
        assert sorted(user["user"] for user in users) == sorted([first.user, second.user])
        assert users == first.ok("presence", channel="room:é")["users"]
        assert [json.loads(line) for line in hub.wsctl("presence", "room:é", "--json").stdout.splitlines()] == users

        kept = first.ok("history", channel="room:é", limit=10)
        told = api.ok("POST", "/api/history", {"channel": "room:é"}, scope="read")
        assert (told["messages"], told["seq"], told["epoch"]) == (kept["messages"], 8, kept["epoch"])
        assert told["more"] is False and [message["seq"] for message in told["messages"]] == [4, 5, 6, 7, 8]
        page = api.ok("POST", "/api/history", {"channel": "room:é", "limit": 2, "before": 7})
        assert [message["seq"] for message in page["messages"]] == [5, 6] and page["more"] is True
        shown = [json.loads(line) for line in hub.wsctl("history", "room:é").stdout.splitlines()]
        assert shown == kept["messages"]

        # Numbers are told as they were written.
        data = '{"price": 1.50, "id": 123456789012345678901234567890, "most": 1e999}'
        api.ok("POST", "/api/publish", f'{{"channel": "room:é", "data": {data}}}'.encode())
        body = json.dumps({"channel": "room:é", "limit": 1}, ensure_ascii=False).encode()
        assert data in api.raw("POST", "/api/history", body, {"X-API-Key": KEYS["read"]})[2]

        for path in ("/api/presence", "/api/history"):
            assert api.call("POST", path, {"channel": "nowhere"})[0] == 404
            assert api.call("POST", path, {"channel": "plain"})[0] == 409
            assert api.call("POST", path, {})[0] == 400
        assert api.call("POST", "/api/history", {"channel": "lobby", "limit": 0})[0] == 400
        for command, words in (("presence", "no presence"), ("history", "no history")):
            refused = hub.wsctl(command, "plain")
            assert refused.returncode == 1 and words in refused.stderr
            assert "nobody is in" in hub.wsctl(command, "nowhere").stderr
        # Whoever may see figures only doesn't read what others write, nor who they are.
        assert hub.wsctl("presence", "room:é", "--socket", hub.status_path).returncode == 77
        assert hub.wsctl("history", "room:é", "--socket", hub.status_path).returncode == 77
        status = varlink.Client(f"unix:{hub.status_path}").open("io.wsd.Status")
        assert not hasattr(status, "ShowChannel")
    wait_until(lambda: {row["name"] for row in api.ok("GET", "/api/channels")["channels"]} >= {"room:é"}, "it is kept")
    assert "plain" not in {row["name"] for row in api.ok("GET", "/api/channels")["channels"]}
