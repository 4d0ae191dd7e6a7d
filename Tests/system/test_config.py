"""The configuration, as an administrator meets it: files, drop-ins, errors, options and exit codes."""

import re
import socket
import subprocess
import tomllib

import pytest

from wsdaemon import REPOSITORY, binary, run_wsd, toml

USAGE, CONFIGURATION = 64, 78


@pytest.fixture
def write(tmp_path):
    """Writes a file below a new directory; its path."""

    def write(text, name="wsd.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def check(path):
    """`wsd --check-config` on a file: (exit code, what it said on stderr)."""
    done = run_wsd("--config", path, "--check-config")
    assert "Fatal error" not in done.stderr
    return done.returncode, done.stderr


def errors_by_line(path):
    """The messages of `--check-config` by the line each names; the form `file:line:column: message` is checked."""
    code, text = check(path)
    assert code == CONFIGURATION, text
    found = {}
    for match in re.finditer(rf"^(?:<\d>|wsd: |error: )*{re.escape(str(path))}:(\d+):(\d+): (.+)$", text, re.MULTILINE):
        assert int(match[2]) >= 1
        found.setdefault(int(match[1]), []).append(match[3])
    return found


GOOD = """\
# Everything that can be said.
[server]
listen = ["127.0.0.1:8080", "[::1]:8080"]
workers = 3
max_connections = 1_000
max_connections_per_ip = 10
handshake_timeout = "2s"
max_header_size = "8KiB"
allowed_origins = ["https://*.example.org"]
trusted_proxies = ["10.0.0.0/8", "::1/128"]
[websocket]
max_message_size = "64KiB"
compression = false
ping_interval = "1m"
pong_timeout = "1500ms"
close_timeout = "1s"
[queue]
limit = "2MiB"
policy = "drop-oldest"
write_timeout = "1h"
[limits]
messages_per_second = 10
burst = 20
channels = 5
[drain]
period = "0s"
timeout = "10s"
[[endpoint]]
path = "/a"
protocol = "relay"
channel = "one"
[[endpoint]]
path = "/b/c"
protocol = "relay"
channel = "two"
[control]
path = "/tmp/c"
status_path = "/tmp/s"
[api]
listen = []
[broker]
type = "redis"
url = "rediss://[2001:db8::1]:6380/3"
node_name = "fra-1"
prefix = "hub-1"
probe_interval = "1s"
queue_limit = "1MiB"
queue_timeout = "2s"
presence_ttl = "30s"
[log]
level = "debug"
"""


def test_a_good_file_passes_silently(write):
    path = write(GOOD)
    done = run_wsd("--config", path, "--check-config")
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()


def test_an_empty_file_passes(write):
    assert check(write(""))[0] == 0


def test_the_installed_file_passes():
    path = REPOSITORY / "etc/wsd/wsd.toml"
    code, text = check(path)
    assert code == 0, text


def test_all_errors_are_told_at_once_each_with_its_place(write):
    path = write(
        "[server]\n"  # 1
        "workres = 2\n"  # 2
        'max_connections = "many"\n'  # 3
        'listen = ["nowhere at all"]\n'  # 4
        'trusted_proxies = ["10.0.0.0/99"]\n'  # 5
        "[websocket]\n"  # 6
        'ping_interval = "10 parsecs"\n'  # 7
        'max_message_size = "-1KiB"\n'  # 8
        "compression = 1\n"  # 9
        "[qeueu]\n"  # 10
        'limit = "1MiB"\n'  # 11
        "[queue]\n"  # 12
        'policy = "drop-oldset"\n'  # 13
        "[[endpoint]]\n"  # 14
        'path = "no-slash"\n'  # 15
        'protocol = "rely"\n'  # 16
        'channel = "c"\n'  # 17
        "[limits]\n"  # 18
        "messages_per_second = -1\n"  # 19
    )
    found = errors_by_line(path)
    assert sorted(found) == [2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16, 19], found
    for line, near_miss in {2: "workers", 10: "queue", 13: "drop-oldest", 16: "relay"}.items():
        assert any(near_miss in message for message in found[line]), f"line {line}: {found[line]}"


@pytest.mark.parametrize(
    "line",
    [
        "workers = -1",
        "workers = 1.5",
        "workers = true",
        "max_connections = 0",
        'handshake_timeout = "10"',
        "handshake_timeout = 10",
        'handshake_timeout = "-1s"',
        'handshake_timeout = ""',
        'max_header_size = "16 kilos"',
        'max_header_size = "99999999999TiB"',
        'listen = "127.0.0.1:1"',
        'listen = ["127.0.0.1"]',
        'listen = ["127.0.0.1:70000"]',
        'listen = ["[::1:80"]',
        "listen = [1]",
        'allowed_origins = ["example.org"]',
        'trusted_proxies = ["proxy.example.org"]',
        'listen = ["127.0.0.1:1"',
        "workers = 1\nworkers = 2",
        "x",
    ],
)
def test_an_impossible_value_is_an_error_at_its_line(write, line):
    found = errors_by_line(write(f"[server]\n{line}\n"))
    assert found and set(found) <= {2, 3}, found


@pytest.mark.parametrize(
    "text",
    [
        '[[endpoint]]\npath = "/a"\nprotocol = "relay"\n[[endpoint]]\npath = "/a"\nprotocol = "relay"\n',
        '[[endpoint]]\nprotocol = "relay"\n',
        '[[endpoint]]\npath = "/a?b"\nprotocol = "relay"\n',
        "endpoint = 1\n",
        "server = 1\n",
        "[unheard_of]\n",
        "\x00",
        "[server\n",
        'a = "\\q"\n',
    ],
)
def test_an_impossible_file_is_an_error_with_a_place(write, text):
    assert errors_by_line(write(text))


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    code, text = check(tmp_path / "absent.toml")
    assert code in (CONFIGURATION, 66)
    assert "absent.toml" in text


def test_a_bad_file_keeps_the_daemon_from_starting(write):
    path = write('[server]\nworkers = "x"\n')
    done = run_wsd("--config", path)
    assert done.returncode == CONFIGURATION
    assert f"{path}:2:" in done.stderr


def test_drop_ins_are_read_in_order_and_later_wins(write):
    path = write('[server]\nworkers = 1\nmax_connections = 11\nhandshake_timeout = "1s"\n')
    write("[server]\nworkers = 2\nmax_connections = 22\n", "wsd.toml.d/10-first.toml")
    write("[server]\nworkers = 3\n", "wsd.toml.d/20-second.toml")
    write("this is no TOML", "wsd.toml.d/30-not-read.toml.bak")
    done = run_wsd("--config", path, "--print-config")
    assert done.returncode == 0, done.stderr
    server = tomllib.loads(done.stdout)["server"]
    assert (server["workers"], server["max_connections"]) == (3, 22)
    # Each value tells where it is from.
    assert "20-second.toml" in done.stdout and "10-first.toml" in done.stdout and str(path) in done.stdout


def test_an_error_in_a_drop_in_is_told_with_those_of_the_file(write):
    path = write("[server]\nworkres = 1\n")
    drop_in = write("[server]\n\nworkers = 'x'\n", "wsd.toml.d/50-local.toml")
    code, text = check(path)
    assert code == CONFIGURATION
    assert f"{path}:2:" in text and f"{drop_in}:3:" in text


def test_what_is_printed_is_a_configuration_with_the_same_effect(write):
    first = run_wsd("--config", write(GOOD), "--print-config")
    assert first.returncode == 0, first.stderr
    second = run_wsd("--config", write(first.stdout, "second/wsd.toml"), "--print-config")
    assert second.returncode == 0, second.stderr
    assert tomllib.loads(first.stdout) == tomllib.loads(second.stdout)


def test_what_is_printed_has_what_was_configured_and_the_defaults(write):
    printed = tomllib.loads(run_wsd("--config", write('[queue]\npolicy = "drop-newest"\n'), "--print-config").stdout)
    assert printed["queue"] == {"limit": "1MiB", "policy": "drop-newest", "write_timeout": "10s"}
    assert printed["server"]["listen"] == ["[::]:8080"]
    assert printed["server"]["handshake_timeout"] == "10s"
    assert printed["drain"] == {"period": "20s", "timeout": "30s"}
    assert ("/ws", "relay", "lobby") in [(one["path"], one["protocol"], one["channel"]) for one in printed["endpoint"]]


def test_the_whole_of_a_good_file_is_printed_as_it_was_meant(write):
    printed, meant = tomllib.loads(run_wsd("--config", write(GOOD), "--print-config").stdout), tomllib.loads(GOOD)
    for section in ("server", "websocket", "queue", "limits", "drain", "control"):
        for key, value in meant[section].items():
            assert same(printed[section][key], value), f"{section}.{key}: {printed[section][key]!r} for {value!r}"


def same(printed, meant):
    """Whether a printed value means the same: 1500ms may be printed as 1.5s, 1h as 60m."""
    units = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}

    def milliseconds(text):
        match = re.fullmatch(r"([\d.]+)(ms|s|m|min|h)", text) if isinstance(text, str) else None
        return float(match[1]) * units[match[2]] if match else text

    return milliseconds(printed) == milliseconds(meant)


def test_the_command_line_wins_over_the_file(start_wsd):
    daemon = start_wsd("[server]\nworkers = 1")
    other = start_wsd(f'[server]\nlisten = ["127.0.0.1:{daemon.port}"]', args=["--listen", f"127.0.0.3:{daemon.port}"])
    other.port = daemon.port
    other.connect(host="127.0.0.3").expect_echo()


def test_the_version_is_one_line(write):
    done = run_wsd("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"(wsd )?\d+\.\d+\S*\n", done.stdout), done.stdout


def test_the_help_names_every_option():
    done = run_wsd("--help")
    assert done.returncode == 0
    for option in ("--config", "--check-config", "--print-config", "--listen", "--control", "--version"):
        assert option in done.stdout


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["stray"], ["--config"], ["--listen", "nowhere"]])
def test_wrong_usage_exits_with_64_and_says_why(arguments):
    done = run_wsd(*arguments)
    assert done.returncode == USAGE
    assert done.stderr.strip() and done.stdout == ""


def by_hand(directory, listen="127.0.0.1:0", control=None):
    """A configuration for a start that is to fail."""
    return toml(
        {
            "server": {"listen": [listen]},
            "api": {"listen": []},
            "control": {"path": str(control or directory / "c"), "status_path": str(directory / "s")},
        }
    )


def test_an_address_in_use_is_named(write, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run_wsd("--config", write(by_hand(tmp_path, listen=address)))
        assert done.returncode > 0
        assert address in done.stderr
        assert "use" in done.stderr.lower()
        assert "Fatal error" not in done.stderr


def test_an_address_that_is_not_here_is_named(write, tmp_path):
    done = run_wsd("--config", write(by_hand(tmp_path, listen="192.0.2.1:8080")))
    assert done.returncode > 0
    assert "192.0.2.1:8080" in done.stderr


def test_a_control_socket_that_cannot_be_made_is_named(write, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    done = run_wsd("--config", write(by_hand(tmp_path, control=tmp_path / "file/c")))
    assert done.returncode > 0
    assert f"control.path: {tmp_path}/file" in done.stderr


def test_a_stale_control_socket_is_replaced(start_wsd):
    daemon = start_wsd()
    daemon.kill()
    again = start_wsd(args=["--control", daemon.control])
    again.control = daemon.control
    assert again.wsctl("status").returncode == 0


def test_a_second_daemon_does_not_take_the_control_socket_of_a_running_one(start_wsd, write, tmp_path):
    daemon = start_wsd()
    done = run_wsd("--config", write(by_hand(tmp_path, control=daemon.control)))
    assert done.returncode > 0
    assert daemon.control in done.stderr
    assert daemon.wsctl("status").returncode == 0


def test_the_binary_links_nothing_that_a_bare_debian_lacks():
    linked = subprocess.run(["ldd", binary("wsd")], capture_output=True, text=True, check=True).stdout
    assert "not found" not in linked
    if "/debug/" not in binary("wsd"):
        assert "libswift" not in linked and "libFoundation" not in linked


def test_a_key_file_that_is_missing_or_wrong_is_named_with_its_place(write, tmp_path):
    short = tmp_path / "short"
    short.write_text("short")
    path = write(
        f'''
        [auth]
        mode = "jwt"
          hmac_secret_file = "/nowhere/secret"
        public_key_files = ["{short}", "/nowhere/key.pem"]
        [api]
        publish_key_file = "/nowhere/publish.key"
        ''',
    )
    found = errors_by_line(path)
    assert {line: len(messages) for line, messages in found.items()} == {4: 1, 5: 2, 7: 1}, found
    assert "/nowhere/secret" in found[4][0] and "/nowhere/publish.key" in found[7][0]
    assert f"{path}:4:11: auth.hmac_secret_file" in check(path)[1]
    # The daemon says the same.
    done = run_wsd("--config", path)
    assert done.returncode == CONFIGURATION and f"{path}:4:11: auth.hmac_secret_file" in done.stderr


def test_a_value_without_quotes_is_answered_with_them(write):
    path = write("[queue]\npolicy = drop-oldest\n")
    assert errors_by_line(path) == {2: ['syntax error: the value has no quotes; write "drop-oldest"']}
