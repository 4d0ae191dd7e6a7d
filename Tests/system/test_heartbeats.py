"""Pings, and peers that are no longer there: RFC 6455 section 5.5.2."""

from rawws import BINARY, PING, PONG, TEXT


def test_a_ping_comes_after_a_silence(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "300ms"\npong_timeout = "1m"')
    client = daemon.connect()
    got = client.receive_frame()
    assert got.opcode == PING


def test_one_who_answers_stays(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "300ms"\npong_timeout = "3s"')
    client = daemon.connect()
    for _ in range(4):
        got = client.receive_frame()
        assert got.opcode == PING
        client.send_frame(PONG, got.payload)
    client.expect_echo()


def test_without_an_answer_the_connection_closes_with_3008_and_a_reason(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "200ms"\npong_timeout = "300ms"')
    client = daemon.connect()
    got = client.receive_frame()
    assert got.opcode == PING
    reason = client.expect_failure(3008)
    # The same reason is in the log.
    daemon.wait_for_log(reason)


def test_the_next_ping_waits_for_an_interval_of_silence_and_not_for_the_pong_timeout(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "200ms"\npong_timeout = "10m"')
    client = daemon.connect()
    for _ in range(3):
        got = client.receive_frame()
        assert got.opcode == PING
        client.send_frame(PONG, got.payload)


def test_any_pong_shows_that_the_peer_lives(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "300ms"\npong_timeout = "3s"')
    client = daemon.connect()
    for _ in range(3):
        assert client.receive_frame().opcode == PING
        client.send_frame(PONG, b"of its own accord")
    client.expect_echo()


def test_a_peer_that_stops_reading_is_closed_by_the_write_timeout(start_wsd):
    daemon = start_wsd(
        """
        [queue]
        limit = "256MiB"
        write_timeout = "500ms"
        [websocket]
        ping_interval = "10m"
        """
    )
    publisher = daemon.connect()
    stuck = daemon.connect(receive_buffer=4096)
    daemon.wait_for_connections(2)
    # More than the kernel holds, so that a write has to wait; what is behind it does not matter.
    for _ in range(256):
        publisher.send_binary(bytes(64 << 10))
        publisher.expect_message(BINARY, bytes(64 << 10))
    daemon.wait_for_connections(1)
    daemon.wait_for_log("write")
    assert stuck.socket.fileno() >= 0
    publisher.expect_echo()


def test_heartbeats_do_not_delay_or_disturb_messages(start_wsd):
    daemon = start_wsd('[websocket]\nping_interval = "50ms"\npong_timeout = "30s"')
    one, other = daemon.connect(), daemon.connect()
    for number in range(300):
        one.send_text(f"message {number}")
        one.expect_message(TEXT, f"message {number}")
        other.expect_message(TEXT, f"message {number}")
