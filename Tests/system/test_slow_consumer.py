"""A client that stops reading: it never delays the others, never costs more than its queue, and hears why."""

import pytest

from rawws import BINARY, CLOSE
from waiting import wait_until

CHUNK = 16 << 10
LIMIT = 64 << 10
# More than the kernel holds for one connection that is not read (tcp(7): tcp_wmem, 4 MiB), several times over.
ENOUGH = 1200

CONFIG = f"""
[queue]
limit = "{LIMIT >> 10}KiB"
policy = "%s"
write_timeout = "10m"
[websocket]
ping_interval = "10m"
"""


def numbered(number):
    """A message that tells its number, and whether it was torn."""
    return f"{number:08d}".encode() + bytes([number % 251]) * (CHUNK - 8)


def number_of(payload):
    number = int(payload[:8])
    assert payload == numbered(number), f"message {number} is damaged"
    return number


def publish(publisher, others, numbers):
    """Sends each message once all who read have the one before, so that only one who does not read falls behind."""
    for number in numbers:
        publisher.send_binary(numbered(number))
        for client in (publisher, *others):
            client.expect_message(BINARY, numbered(number))


@pytest.fixture
def crowd(start_wsd):
    """Starts a daemon with a policy: (daemon, publisher, others who read, one who does not)."""

    def gather(policy):
        daemon = start_wsd(CONFIG % policy)
        publisher, *others = (daemon.connect() for _ in range(4))
        return daemon, publisher, others, daemon.connect(receive_buffer=4096, segment=None)

    return gather


def test_disconnect_closes_the_slow_one_and_the_others_lose_nothing(crowd):
    daemon, publisher, others, slow = crowd("disconnect")
    daemon.wait_for_connections(5)
    for start in range(0, ENOUGH, 100):
        publish(publisher, others, range(start, start + 100))
        for row in daemon.connections():
            assert row["queuedBytes"] <= LIMIT, "the queue grew beyond its limit"
    daemon.wait_for_connections(4)
    daemon.wait_for_log("slow consumer")
    publish(publisher, others, range(ENOUGH, ENOUGH + 50))


def test_the_one_disconnected_reads_whole_frames_in_order_up_to_its_end(crowd):
    daemon, publisher, others, slow = crowd("disconnect")
    publish(publisher, others, range(ENOUGH))
    daemon.wait_for_log("slow consumer")
    frames = slow.receive_to_end()
    closes = [got for got in frames if got.opcode == CLOSE]
    numbers = [number_of(got.payload) for got in frames if got.opcode == BINARY]
    assert numbers == list(range(len(numbers))) and len(numbers) < ENOUGH
    if closes:
        assert frames[-1] is closes[0]
        assert int.from_bytes(closes[0].payload[:2], "big") in (1008, 1013)
        assert b"slow consumer" in closes[0].payload.lower()


def test_one_who_reads_again_in_time_is_told_why_it_is_closed(crowd):
    """The kernel's buffers hold what was sent before; with them read, the close frame has its way."""
    daemon, publisher, others, slow = crowd("disconnect")
    number = 0
    while "slow consumer" not in daemon.log().lower():
        assert number < ENOUGH * 4, "the slow one is never closed"
        publish(publisher, others, range(number, number + 10))
        number += 10
    code, reason = slow.receive_close()
    assert code in (1008, 1013)
    assert "slow consumer" in reason.lower()
    slow.send_close(code)
    slow.expect_end(reset_allowed=True)


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_dropping_leaves_a_gap_and_never_a_torn_frame(crowd, policy):
    daemon, publisher, others, slow = crowd(policy)
    publish(publisher, others, range(ENOUGH))
    queued = max(row["queuedBytes"] for row in daemon.connections())
    assert queued <= LIMIT, "the queue grew beyond its limit"

    numbers = []
    while policy == "drop-oldest" and (not numbers or numbers[-1] < ENOUGH - 1):
        numbers.append(number_of(slow.receive()[1]))
    if policy == "drop-newest":
        # What was kept was sent in order from the start, and the first message after that shows the gap.
        wait_until(lambda: drain_readable(slow, numbers), "the slow one has read what was kept")
        publish(publisher, others, [ENOUGH])
        while numbers[-1] != ENOUGH:
            numbers.append(number_of(slow.receive()[1]))

    assert numbers == sorted(set(numbers)), "in order, nothing twice"
    missing = [later for earlier, later in zip(numbers, numbers[1:]) if later != earlier + 1]
    assert missing, "a slow one must have lost something"
    if policy == "drop-oldest":
        assert numbers[-1] == ENOUGH - 1, "the newest message is kept"
        assert numbers[-3:] == list(range(ENOUGH - 3, ENOUGH)), "the newest ones are kept"
    else:
        assert len(missing) == 1, "one gap, behind everything that was kept"
        assert numbers[:-1] == list(range(len(numbers) - 1)), "the oldest ones are kept"

    publish(publisher, [*others, slow], range(ENOUGH + 1, ENOUGH + 20))
    assert len(daemon.connections()) == 5


def drain_readable(client, numbers):
    """Reads messages until none comes for a second."""
    while not client.receive_nothing(1):
        numbers.append(number_of(client.receive()[1]))
    return True


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_what_was_dropped_is_said_and_counted_for_the_slow_one_alone(crowd, policy):
    daemon, publisher, others, slow = crowd(policy)
    publish(publisher, others, range(ENOUGH))
    daemon.wait_for_log("drop")
    dropped = sorted(row["droppedMessages"] for row in daemon.connections())
    assert dropped[:4] == [0, 0, 0, 0]
    arrived = [number_of(slow.receive()[1]) for _ in range(ENOUGH - dropped[4])]
    assert 0 < len(arrived) < ENOUGH
    assert slow.receive_nothing(1), "fewer messages were dropped than counted"


def test_a_thousand_waiting_messages_for_many_slow_ones_cost_one_copy(start_wsd):
    """The queue of a slow connection holds references to messages, not copies."""
    daemon = start_wsd('[queue]\nlimit = "64MiB"\nwrite_timeout = "10m"\n[websocket]\nping_interval = "10m"')
    publisher = daemon.connect()
    slow = [daemon.connect(receive_buffer=4096) for _ in range(20)]
    before = daemon.resident_bytes
    publish(publisher, [], range(ENOUGH))
    grown = daemon.resident_bytes - before
    assert grown < 4 * ENOUGH * CHUNK, f"{grown >> 20} MiB for {ENOUGH * CHUNK >> 20} MiB of messages"
    for client in slow:
        for number in range(ENOUGH):
            client.expect_message(BINARY, numbered(number))


def test_a_slow_one_with_room_left_in_its_queue_loses_nothing(start_wsd):
    daemon = start_wsd('[queue]\nlimit = "64MiB"\nwrite_timeout = "10m"')
    publisher, slow = daemon.connect(), daemon.connect(receive_buffer=4096)
    publish(publisher, [], range(ENOUGH))
    for number in range(ENOUGH):
        slow.expect_message(BINARY, numbered(number))
    slow.expect_echo()
