"""wsbench against the real daemon: every mode counts right, and what goes wrong is found and told by the exit code."""

import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from ports import free_port
from rawws import CLOSE, TEXT, accept_for, close_payload, frame, mask
from waiting import wait_until
from wsdaemon import binary, clean_environment

SHORT = ["--duration", "300ms", "--warmup", "100ms"]


def command(*args):
    return [binary("wsbench"), *map(str, args)]


def wsbench(*args, timeout=120):
    """Runs wsbench to its end."""
    return subprocess.run(
        command(*args),
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def start(*args):
    """Starts wsbench with --json, for `interrupt` to end."""
    return subprocess.Popen(
        command(*args, "--json"), env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def interrupt(running, code=0):
    """Ends it by SIGINT, and returns its object."""
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == code
    return json.loads(out)


def report(*args, code=0):
    """Runs wsbench with --json, and returns its object."""
    done = wsbench(*args, "--json")
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    result = json.loads(done.stdout)
    assert result["ok"] is (code == 0)
    return result


def assert_all_arrived(result, receivers):
    messages = result["messages"]
    assert messages["sent"] > 0
    assert messages["delivered"] == messages["expected"] == messages["sent"] * receivers
    assert [messages[fault] for fault in ("lost", "duplicates", "outOfOrder", "damaged", "foreign")] == [0] * 5


# Every mode.


@pytest.mark.parametrize("options", [[], ["--threads", 2], ["--publishers", 3], ["--binary", "--size", "4KiB"]])
def test_fanout_reaches_everyone_publishers_included(daemon, options):
    result = report("fanout", "-n", 20, *options, *SHORT, daemon.url())
    publishers = 3 if "--publishers" in options else 1
    assert result["connections"]["opened"] == 20 + publishers
    assert_all_arrived(result, 20 + publishers)
    latency = result["latency"]
    assert (latency["loop"], latency["from"], latency["of"]) == ("closed", "send", "every delivery")
    assert latency["responseMicroseconds"]["count"] > 0
    assert result["measured"]["delivered"] > 0


def test_fanout_at_a_rate_sends_what_is_due_and_tells_response_from_service(daemon):
    result = report("fanout", "-n", 5, "--rate", 200, "--publishers", 2, *SHORT, daemon.url())
    assert_all_arrived(result, 7)
    # 0.4 s of 200 a second, the first of them at once.
    assert result["messages"]["sent"] == 80
    assert result["messages"]["unsent"] == 0
    latency = result["latency"]
    assert (latency["loop"], latency["from"]) == ("open", "schedule")
    counts = [latency[kind]["count"] for kind in ("responseMicroseconds", "serviceMicroseconds")]
    assert counts == [60 * 7] * 2
    assert latency["responseMicroseconds"]["max"] >= latency["serviceMicroseconds"]["max"]


def test_fanout_read_in_batches_counts_all_and_times_the_publishers(daemon):
    result = report("fanout", "-n", 10, "--receive-batch", "64KiB", *SHORT, daemon.url())
    assert_all_arrived(result, 11)
    assert result["latency"]["of"] == "the publishers' own copies"
    assert result["latency"]["responseMicroseconds"]["count"] <= result["messages"]["sent"]


def test_fanout_with_compression_reads_what_comes_compressed(start_wsd):
    daemon = start_wsd("[websocket]\ncompression = true\n")
    result = report("fanout", "-n", 5, "--compression", "--size", "8KiB", *SHORT, daemon.url())
    assert result["connections"]["compressed"] == 6
    assert_all_arrived(result, 6)
    assert result["messages"]["compressed"] == result["messages"]["delivered"]


def test_fanout_tells_how_stalled_connections_ended_and_does_not_miss_them(start_wsd):
    daemon = start_wsd('[queue]\nlimit = "64KiB"\npolicy = "disconnect"\n')
    # More than their receive buffers and the kernel's send buffers hold (tcp(7), tcp_wmem: 4 MiB).
    result = report("fanout", "-n", 6, "--stalled", 2, "--size", "64KiB", "--duration", "2s", daemon.url())
    assert_all_arrived(result, 5)
    assert sum(result["connections"]["stalled"].values()) == 2
    assert not any(how == "still open" for how in result["connections"]["stalled"])
    assert result["connections"]["ended"] == {}


def test_echo_counts_own_messages_only(daemon):
    alone = report("echo", "-n", 1, *SHORT, daemon.url())
    assert_all_arrived(alone, 1)
    assert alone["messages"]["others"] == 0
    four = report("echo", "-n", 4, "--rate", 100, *SHORT, daemon.url())
    assert_all_arrived(four, 1)
    assert four["messages"]["sent"] == 40
    assert four["messages"]["others"] == 3 * 40


def test_idle_tells_memory_before_during_and_after_a_burst(daemon):
    options = ["--duration", "200ms", "--burst", "64KiBx5", "--pause", "100ms", "--pid", daemon.pid]
    result = report("idle", "-n", 50, *options, daemon.url())
    assert result["messages"]["sent"] == 5
    assert_all_arrived(result, 50)
    memory = result["server"]["residentBytes"]
    assert all(memory[stage] > 0 for stage in ("before", "open", "peak", "after", "returned", "closed"))
    assert memory["peak"] >= max(memory["open"], memory["after"])
    assert result["server"]["bytesPerConnection"]["open"] is not None


def test_idle_answers_pings(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "100ms"\npong_timeout = "30s"\n')
    result = report("idle", "-n", 3, "--duration", "1s", daemon.url())
    assert result["connections"]["pings"] >= 3
    assert result["connections"]["ended"] == {}


def test_storm_reconnects_and_probes(daemon):
    result = report("storm", "-n", 40, "--reconnect", 2, "--probe", 3, "--baseline", "200ms", daemon.url())
    assert result["connections"]["handshakes"] == 40 * 3 + 3
    assert result["connections"]["handshakeMicroseconds"]["count"] == 40 * 3 + 3
    assert result["latency"]["beforeStormMicroseconds"]["count"] > 0
    assert result["messages"] is None
    daemon.wait_for_connections(0)


def test_several_urls_and_sources_are_used_in_turns(start_wsd):
    one, two = start_wsd(), start_wsd()
    running = start("idle", "-n", 8, "--duration", "60s", "--sources", 2, one.url(), two.url())
    try:
        for daemon in (one, two):
            daemon.wait_for_connections(4)
            assert sorted(row["address"] for row in daemon.connections()) == ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2
        result = interrupt(running)
    finally:
        running.kill()
    assert result["interrupted"] is True


def test_an_interrupt_ends_the_pause_behind_a_burst(daemon):
    burst = ("--duration", "10ms", "--burst", "1KiBx2", "--pause", "1h")
    running = start("idle", "-n", 3, *burst, "--pid", daemon.pid, daemon.url())
    try:
        # It has received the burst whole, and waits for the server's memory to return.
        wait_until(lambda: sum(row["messagesOut"] for row in daemon.connections()) == 6, "the burst is over")
        result = interrupt(running)
    finally:
        running.kill()
    assert result["interrupted"] is True and result["connections"]["opened"] == 3


def test_the_table_names_what_was_measured(daemon):
    done = wsbench("fanout", "-n", 3, "--rate", 50, "--pid", daemon.pid, *SHORT, daemon.url())
    assert done.returncode == 0, done.stderr
    for text in ("4 of 4 opened", "each once and in order", "deliveries/s", "response", "service", "P99.9", "% busy"):
        assert text in done.stdout
    assert done.stderr == "", "progress belongs on a terminal"


# What goes wrong.


def test_a_kicked_connection_is_an_unexpected_end(daemon):
    running = start("fanout", "-n", 5, "--rate", 50, "--duration", "60s", daemon.url())
    try:
        daemon.wait_for_connections(6)
        wait_until(lambda: any(row["messagesIn"] > 0 for row in daemon.connections()), "the publisher publishes")
        row = next(row for row in daemon.connections() if row["messagesIn"] == 0)
        kicked = daemon.wsctl("kick", row["id"], "--code", 1008, "--reason", "out")
        assert kicked.returncode == 0, kicked.stderr
        daemon.wait_for_connections(5)
        result = interrupt(running, code=1)
    finally:
        running.kill()
    assert result["connections"]["ended"] == {"close 1008 out": 1}
    assert result["messages"]["lost"] == 0
    assert result["ok"] is False


def test_refused_connections_are_counted_by_status(start_wsd):
    daemon = start_wsd("[server]\nmax_connections = 10\n")
    result = report("idle", "-n", 15, "--duration", "100ms", daemon.url(), code=1)
    assert result["connections"]["refused"] == {"503": 5}
    assert result["connections"]["opened"] == 10
    assert any("503" in line for line in result["warnings"])


def test_a_drain_closes_all_and_is_told(daemon):
    running = start("idle", "-n", 5, "--duration", "60s", daemon.url())
    try:
        daemon.wait_for_connections(5)
        daemon.signal()
        daemon.wait()
        result = interrupt(running, code=1)
    finally:
        running.kill()
    assert sum(result["connections"]["ended"].values()) == 5


class CarelessServer:
    """Echoes to one client, but not as it should: `deliver` makes of each numbered message the frames to send back."""

    def __init__(self, deliver):
        self.deliver = deliver
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as stream:
            key = ""
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.decode().partition(": ")
                key = value if name.lower() == "sec-websocket-key" else key
            client.sendall(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_for(key)}\r\n\r\n".encode()
            )
            number = 0
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                first, second = head
                length = second & 0x7F
                if length == 126:
                    length = int.from_bytes(stream.read(2), "big")
                masking_key = stream.read(4)
                payload = mask(stream.read(length), masking_key)
                if first & 0x0F == CLOSE:
                    client.sendall(frame(CLOSE, close_payload(1000), masked=False))
                    return
                for answer in self.deliver(number, payload):
                    client.sendall(answer)
                number += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.thread.join(60)
        self.listener.close()
        assert not self.thread.is_alive()


def careless(deliver):
    """The report of wsbench about such a server: it finds the fault."""
    with CarelessServer(deliver) as server:
        options = ["--rate", 100, "--duration", "200ms", "--warmup", "0s", "--timeout", "1s"]
        return report("echo", "-n", 1, *options, server.url, code=1)


def echoed(text):
    return frame(TEXT, text, masked=False)


def test_a_lost_message_is_missed_wherever_it_was():
    messages = careless(lambda number, text: [] if number in (0, 7, 19) else [echoed(text)])["messages"]
    assert (messages["lost"], messages["duplicates"], messages["outOfOrder"]) == (3, 0, 0)


def test_a_message_that_comes_twice_is_a_duplicate():
    messages = careless(lambda number, text: [echoed(text)] * (2 if number == 5 else 1))["messages"]
    assert (messages["lost"], messages["duplicates"], messages["outOfOrder"]) == (0, 1, 0)


def test_messages_that_change_places_are_out_of_order():
    kept = []

    def swap(number, text):
        if number == 5:
            kept.append(text)
            return []
        return [echoed(text), *(echoed(kept.pop()) for _ in kept[:])]

    messages = careless(swap)["messages"]
    assert (messages["lost"], messages["duplicates"], messages["outOfOrder"]) == (0, 0, 1)


def test_a_message_of_another_size_is_damaged():
    messages = careless(lambda number, text: [echoed(text[:-1] if number == 3 else text)])["messages"]
    assert (messages["damaged"], messages["lost"]) == (1, 1)


def test_a_server_that_masks_breaks_the_protocol():
    result = careless(lambda number, text: [frame(TEXT, text) if number == 3 else echoed(text)])
    assert result["connections"]["ended"] == {"protocol: a masked frame": 1}


# What can't be.


def test_nobody_listening_ends_with_69():
    done = wsbench("fanout", f"ws://127.0.0.1:{free_port()}/ws")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "ECONNREFUSED" in done.stderr


@pytest.mark.parametrize("url", ["wss://127.0.0.1:8080/ws", "http://127.0.0.1:8080/ws", "127.0.0.1:8080"])
def test_what_is_no_ws_url_ends_with_64(url):
    done = wsbench("fanout", url)
    assert done.returncode == os.EX_USAGE
    assert url in done.stderr


def test_a_wrong_path_is_told_by_its_status(daemon):
    done = wsbench("fanout", daemon.url("/nowhere"))
    assert done.returncode == 1
    assert "404" in done.stderr


def test_no_such_process_ends_with_64(daemon):
    done = wsbench("idle", "--pid", 2**31 - 1, daemon.url())
    assert done.returncode == os.EX_USAGE
    assert str(2**31 - 1) in done.stderr


def test_too_few_descriptors_are_told_with_the_way_out(daemon):
    done = subprocess.run(
        ["prlimit", "--nofile=64:64", *command("idle", "-n", 100, daemon.url())],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "64" in done.stderr and "ulimit -n" in done.stderr
