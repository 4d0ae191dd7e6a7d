"""A thousand connections: what a message to all of them costs, with some that don't read, and what idle ones cost."""

import threading
import time

import pytest

from crowd import Crowd
from rawws import BINARY, CLOSE, close_payload, frame
from siege import context_switches, forget_peak, peak_resident_bytes, processor_ticks, status_of, wait_for_closed
from waiting import wait_until

MEMBERS = 1000
SLOW = 200
CHUNK = 64 << 10
LIMIT = 1 << 20
ROOMS = 64
MESSAGE = 1 << 20


# More 64 KiB messages than the kernel and the queue hold for one who does not read (measured: 40 to 60).
ENOUGH = 400


def closing(daemon):
    """The number of connections that are being closed."""
    return sum(row["state"] == "closing" for row in daemon.connections())


def numbered(number):
    """A message that is unlike any other at every place."""
    return f"{number:08d}".encode() * (CHUNK // 8)


def sent(payload):
    """The bytes of a message as the server sends it."""
    return frame(BINARY, payload, masked=False)


def test_two_hundred_of_a_thousand_stop_reading_and_only_they_are_closed(start_wsd):
    daemon = start_wsd(
        f"""
        [queue]
        limit = {LIMIT}
        write_timeout = "10m"
        [websocket]
        ping_interval = "0s"
        close_timeout = "10m"
        """
    )
    with (
        Crowd(daemon.port, MEMBERS - SLOW) as readers,
        Crowd(daemon.port, SLOW, receive_buffer=4096) as slow,
    ):
        publisher = daemon.connect()
        before = daemon.resident_bytes
        forget_peak(daemon)
        number = 0
        while number % 5 or number < 40 or closing(daemon) < SLOW:
            assert number < ENOUGH, f"{closing(daemon)} are being closed after {number} messages"
            publisher.send_binary(numbered(number))
            publisher.expect_message(BINARY, numbered(number))
            readers.expect(sent(numbered(number)))
            slow.expect(sent(numbered(number)))
            # So that only those who don't read fall behind.
            readers.read()
            number += 1

        # A queue of its own for each would have been 200 MiB; the frames are shared.
        grown = peak_resident_bytes(daemon) - before
        assert grown < SLOW * LIMIT // 4, f"{grown >> 20} MiB"
        # They are there until they have read their close frame; before it waits the rest of one message at most.
        status = status_of(daemon)
        assert status["connections"] == MEMBERS + 1
        assert status["slowConsumers"] == SLOW
        assert 0 < status["queuedBytes"] <= SLOW * (CHUNK + 200)
        assert "slow consumer" in daemon.log()

        slow.read_to_end()
        reason = f"slow consumer: more than {LIMIT} bytes queued"
        for member in slow.members:
            assert member.rest == frame(CLOSE, close_payload(1008, reason), masked=False)
            assert 0 < member.position < number * len(sent(numbered(0)))
            assert member.position % len(sent(numbered(0))) == 0, "a torn frame before the close frame"
        for member in slow.members:
            member.socket.close()
        status = wait_for_closed(daemon, "slow_consumer", SLOW)
        assert sum(status["closed"].values()) == SLOW
        assert status["connections"] == MEMBERS - SLOW + 1
        assert (status["slowConsumers"], status["queuedBytes"]) == (0, 0)
        assert status["messagesIn"] == number
        publisher.send_binary(b"the end")
        readers.expect(sent(b"the end"))
        readers.read()


@pytest.fixture
def quiet_thousand(start_wsd):
    """A daemon that sends no pings, with a thousand connections that say nothing, and rooms for others."""
    rooms = [{"path": f"/room/{number}", "channel": f"room-{number}"} for number in range(ROOMS)]
    daemon = start_wsd({"websocket": {"ping_interval": "0s"}, "endpoint": [{"path": "/ws"}, *rooms]})
    with Crowd(daemon.port, MEMBERS) as crowd:
        daemon.wait_for_connections(MEMBERS)
        yield daemon
        assert not any(member.has_ended for member in crowd.members)


def test_memory_returns_after_a_burst_of_large_messages(quiet_thousand):
    daemon = quiet_thousand
    clients = [daemon.connect(f"/room/{number}") for number in range(ROOMS)]
    before = daemon.resident_bytes
    forget_peak(daemon)
    message = bytes(MESSAGE)
    data = frame(BINARY, message)
    for _ in range(3):
        # Every message is in the daemon's memory before the first of them is whole.
        come = status_of(daemon)["bytesIn"] + ROOMS * (len(data) - 1)
        for client in clients:
            client.send(data[:-1])
        wait_until(lambda: status_of(daemon)["bytesIn"] == come, "all but the ends have come")
        for client in clients:
            client.send(data[-1:])
        for client in clients:
            client.expect_message(BINARY, message)
    for client in clients:
        client.close_properly()
    daemon.wait_for_connections(MEMBERS)
    peak, after = peak_resident_bytes(daemon) - before, daemon.resident_bytes - before
    print(f"memory over that of {MEMBERS} idle connections: {peak >> 20} MiB at the most, {after >> 10} KiB after it")
    assert peak > ROOMS * MESSAGE // 2, "this burst was none"
    wait_until(
        lambda: daemon.resident_bytes - before < ROOMS * MESSAGE // 8,
        f"the memory of the burst is given back: {after >> 20} MiB of {peak >> 20} MiB are left",
    )


def test_a_thousand_idle_connections_let_the_processor_sleep(quiet_thousand):
    ticks, switches = processor_ticks(quiet_thousand), context_switches(quiet_thousand)
    time.sleep(4)
    ticks, switches = processor_ticks(quiet_thousand) - ticks, context_switches(quiet_thousand) - switches
    print(f"{ticks} ticks and {switches} context switches in 4 s")
    assert switches < 60, f"{switches} context switches in 4 s"
    assert ticks < 5, f"{ticks} ticks of the processor in 4 s"


def test_workers_that_have_much_for_each_other_do_not_wait_for_each_other(start_wsd):
    """Every worker has publishers for homes on the other, and subscribers of its own homes there."""
    count, copies = 16, 3
    rooms = [{"path": f"/room/{number}", "channel": f"room-{number}"} for number in range(count)]
    daemon = start_wsd({"server": {"workers": 2}, "queue": {"limit": "256MiB"}, "endpoint": rooms})
    groups = [[daemon.connect(f"/room/{number}") for number in range(count)] for _ in range(4)]
    message = bytes(MESSAGE)
    data = frame(BINARY, message)
    finished = threading.Semaphore(0)

    def send(client):
        for _ in range(copies):
            client.send(data)

    def read(client):
        for _ in range(2 * copies):
            client.expect_message(BINARY, message)
        finished.release()

    everybody = [client for group in groups for client in group]
    threads = [threading.Thread(target=send, args=[client]) for group in groups[:2] for client in group]
    threads += [threading.Thread(target=read, args=[client]) for client in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(finished.acquire(blocking=False) for _ in everybody) == len(everybody)
