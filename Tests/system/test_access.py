"""The access log, and the filter of fail2ban that reads it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from jsonclient import JSONClient
from rawws import exchange, request
from waiting import DEADLINE, wait_until
from wsdaemon import REPOSITORY

ACCESS = '[log]\naccess = "all"'
VALUE = r'(?:"((?:[^"\\]|\\.)*)"|([^" ]\S*))'
KEYS = {
    "opened": "address agent connection path port status user",
    "refused": "address agent cause path port reason status user",
    "closed": "address agent bytes-in bytes-out cause code connection path port reason seconds user",
}


def lines(hub, kind=None):
    """The lines of the access log so far, as kinds and values."""
    found = []
    for line in hub.log().splitlines():
        if not line.startswith("INFO access "):
            continue
        _, _, name, rest = line.split(" ", 3)
        pairs = re.findall(rf"([a-z-]+)={VALUE}", rest)
        assert " ".join(f"{key}={value if plain == '' else plain}" for key, value, plain in pairs).count("=")
        if kind in (None, name):
            found.append((name, {key: quoted or plain for key, quoted, plain in pairs}))
    return found


def wait_for(hub, kind, count=1):
    return wait_until(lambda: len(lines(hub, kind)) >= count and lines(hub, kind), f"{count} {kind}")


def test_each_handshake_and_each_close_has_a_line(start_wsd):
    hub = start_wsd(ACCESS)
    with JSONClient(hub.port, user_agent_header='Agent "Q" cause=x\\') as client:
        client.ok("ping")
        name = client.welcome["connection"]
        local_port = client.socket.socket.getsockname()[1]
    closed = wait_for(hub, "closed")[0][1]
    opened = lines(hub, "opened")[0][1]
    agent = '"Agent \\"Q\\" cause=x\\\\"'[1:-1]
    for line in (opened, closed):
        assert (line["address"], line["port"], line["path"]) == ("127.0.0.1", str(local_port), "/chat")
        assert (line["connection"], line["agent"], line["user"]) == (name, agent, client.user)
    assert opened["status"] == "101"
    assert (closed["code"], closed["cause"]) == ("1000", "peer_closed")
    assert int(closed["bytes-in"]) > 10 and int(closed["bytes-out"]) > 100
    assert re.fullmatch(r"\d+\.\d{3}", closed["seconds"])
    exchange(hub.port, request([("Host", "x"), ("User-Agent", "scanner")], "/nope?token=secret"))
    refused = wait_for(hub, "refused")[0][1]
    assert (refused["status"], refused["cause"], refused["path"]) == ("404", "not_found", "/nope")
    assert (refused["agent"], refused["user"]) == ("scanner", "-")
    assert "secret" not in hub.log()
    for kind, values in lines(hub):
        assert " ".join(values) == KEYS[kind]


def test_it_is_off_by_default_and_comes_and_goes_with_a_reload(start_wsd):
    hub = start_wsd("[log]\nlevel = 'warning'")
    hub.connect("/ws").close()
    hub.wait_for_connections(0)
    assert lines(hub) == []
    # Whatever the level says.
    assert hub.wsctl("limits", "log.access=all").returncode == 0
    hub.connect("/ws").close()
    wait_for(hub, "closed")
    assert hub.wsctl("reload").returncode == 0
    before = len(lines(hub))
    hub.connect("/ws").close()
    hub.wait_for_connections(0)
    assert len(lines(hub)) == before


def test_limited_leaves_out_what_is_too_much_and_counts_it(start_wsd):
    hub = start_wsd('[log]\naccess = "limited"')
    count = 400
    for _ in range(count):
        exchange(hub.port, request([("Host", "x")], "/nope"))

    def written_and_left_out():
        left_out = re.findall(r"^INFO access left-out count=(\d+)$", hub.log(), re.M)
        return len(lines(hub, "refused")), sum(map(int, left_out))

    wait_until(lambda: sum(written_and_left_out()) == count, "every line is written or counted")
    assert written_and_left_out()[1] > 0


def test_behind_a_proxy_it_has_the_address_of_the_client_also_of_those_refused(start_wsd, wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text("a secret of thirty-two bytes or more")
    secret.chmod(0o600)
    hub = start_wsd(
        f"{ACCESS}\n[server]\ntrusted_proxies = ['127.0.0.1']\n[auth]\nmode = 'jwt'\nhmac_secret_file = '{secret}'"
    )
    fields = [
        ("Host", "x"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("X-Forwarded-For", "198.51.100.7"), ("User-Agent", "a b"),
    ]
    for path in ("/chat", "/chat?token=x", "/chat?token=a.b.c", "/nope"):
        exchange(hub.port, request(fields, path))
    for _, values in wait_for(hub, "refused", 4):
        assert (values["address"], values["agent"]) == ("198.51.100.7", "a b")
    assert [values["status"] for _, values in lines(hub, "refused")] == ["401", "401", "401", "404"]


FILTER = REPOSITORY / "packaging" / "examples" / "fail2ban-wsd.conf"
# As the journal gives them to fail2ban, in front of MESSAGE.
PREFIX = "Nov 28 11:00:00 host wsd[123]: "
BANNED = [
    "access refused address=192.0.2.7 agent=curl/8.14 cause=unauthorized path=/chat port=1 reason=\"x\" status=401 user=-",
    "access refused address=192.0.2.7 agent=\"a b\\\" cause=x\" cause=not_found path=/a port=1 reason=\"x y\" status=404 user=-",
    "access refused address=2001:db8::7 agent=- cause=bad_request path=- port=1 reason=\"x y\" status=400 user=-",
    "access closed address=192.0.2.7 agent=- bytes-in=1 bytes-out=1 cause=protocol_error code=1002 connection=0.1.1"
    " path=/ws port=1 reason=\"x y\" seconds=1.000 user=-",
]
SPARED = [
    "access opened address=192.0.2.7 agent=\"x cause=unauthorized \" connection=0.1.1 path=/chat port=1 status=101 user=-",
    "access refused address=192.0.2.7 agent=- cause=connection_limit path=- port=- reason=\"x\" status=503 user=-",
    "access refused address=192.0.2.7 agent=\"a cause=unauthorized b\" cause=draining path=- port=- reason=x status=503 user=-",
    "access closed address=192.0.2.7 agent=- bytes-in=1 bytes-out=1 cause=peer_closed code=1000 connection=0.1.1"
    " path=/ws port=1 reason=\"cause=protocol_error\" seconds=1.000 user=-",
    # What a client says about itself stands in quotes, so it can name nobody else.
    "connection closed: access refused address=192.0.2.9 agent=- cause=unauthorized address=192.0.2.7 cause=kicked",
]


def expressions():
    text = FILTER.read_text()
    found = re.search(r"^failregex = ((?:.+\n)(?:[ \t]+.+\n)*)", text, re.M)[1]
    address = r"\[?(?P<host>[0-9a-f.:]+)\]?"
    prefix = r"\S+ +\S+ \S+ \S+ wsd\[\d+\]: "
    return [
        re.compile(line.strip().replace("%(__prefix_line)s", prefix).replace("<ADDR>", address).replace("%%", "%"))
        for line in found.splitlines()
    ]


def test_the_filter_of_fail2ban_names_who_is_to_be_banned():
    for line in BANNED:
        found = [match for each in expressions() if (match := each.search(PREFIX + line))]
        assert len(found) == 1 and found[0]["host"] in ("192.0.2.7", "2001:db8::7"), line
    for line in SPARED:
        assert not any(each.search(PREFIX + line) for each in expressions()), line


FAIL2BAN = Path("/etc/fail2ban/filter.d")


@pytest.mark.skipif(not shutil.which("fail2ban-regex") or not FAIL2BAN.exists(), reason="fail2ban is not installed")
def test_fail2ban_reads_what_the_daemon_writes(start_wsd, wsd_directory):
    hub = start_wsd(ACCESS)
    for path in ("/nope", "/nothing"):
        exchange(hub.port, request([("Host", "x"), ("User-Agent", 'a "b"')], path))
    wait_for(hub, "refused", 2)
    log = wsd_directory / "journal"
    stamped = [PREFIX + line.removeprefix("INFO ") for line in hub.log().splitlines() if "access" in line]
    log.write_text("\n".join(stamped + [PREFIX + line for line in BANNED + SPARED]) + "\n")
    # What the filter includes lies beside it.
    filters = wsd_directory / "filter.d"
    filters.mkdir()
    shutil.copy(FILTER, filters / "wsd.conf")
    for included in FAIL2BAN.glob("common.*"):
        shutil.copy(included, filters)
    done = subprocess.run(
        ["fail2ban-regex", str(log), str(filters / "wsd.conf")], capture_output=True, text=True, timeout=DEADLINE
    )
    assert re.search(rf"{2 + len(BANNED)} matched", done.stdout), done.stdout + done.stderr
