"""Pings by the hundred thousand from a peer that reads no pong: what waits for it stays within its limit."""

import pytest

from rawws import PING, PONG, frame
from siege import ENDPOINTS, many, processor_ticks, send_until_cut_off, siege, status_of, wait_for_closed
from waiting import wait_until

MEBIBYTE = 1 << 20
# Nobody is closed because of time here: what bounds the memory is the queue, of 1 MiB.
PATIENT = '[queue]\nwrite_timeout = "10m"\n[websocket]\nping_interval = "0s"' + ENDPOINTS


def connect_stuck(daemon):
    """A client that reads nothing, and for whom something waits already: the kernel holds no more for it."""
    waiting = status_of(daemon)["slowConsumers"]
    client = daemon.connect(receive_buffer=4096)
    while status_of(daemon)["slowConsumers"] == waiting:
        client.send(many(1000, PING, b"x" * 125))
    return client


@pytest.mark.parametrize("size", [125, 0])
def test_pings_whose_pongs_nobody_reads_end_as_a_slow_consumer(start_wsd, size):
    daemon = start_wsd('[websocket]\nclose_timeout = "300ms"' + ENDPOINTS)
    # Without an end it would be as much as it sends.
    with siege(daemon, growth=24 * MEBIBYTE) as conversation:
        ticks = processor_ticks(daemon)
        client = daemon.connect(receive_buffer=4096)
        pings = many((256 << 10) // (6 + size), PING, b"x" * size)
        send_until_cut_off(client, pings)
        status = wait_for_closed(daemon, "slow_consumer", 1)
        assert status["queuedBytes"] == 0
        conversation.expect_progress()
        used = processor_ticks(daemon) - ticks
    assert "slow consumer" in daemon.log()
    # One pass over what is dropped, not one for each frame of it.
    assert used < 300, f"{used} ticks of the processor"


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_pings_whose_pongs_are_dropped_hold_nobody_up(start_wsd, policy):
    daemon = start_wsd(f'[queue]\npolicy = "{policy}"\nwrite_timeout = "10m"' + ENDPOINTS)
    with siege(daemon, growth=24 * MEBIBYTE) as conversation:
        ticks = processor_ticks(daemon)
        client = connect_stuck(daemon)
        for _ in range(20):
            client.send(many(100_000, PING))
        conversation.expect_progress()
        used = processor_ticks(daemon) - ticks
    assert used < 300, f"{used} ticks of the processor for two million pings"


def test_the_smallest_pongs_that_wait_cost_no_multiple_of_the_limit(start_wsd):
    daemon = start_wsd(PATIENT)
    # Six queues, none of them full: eight times the limit of each.
    with siege(daemon, growth=48 * MEBIBYTE) as conversation:
        clients = [connect_stuck(daemon) for _ in range(6)]
        before = status_of(daemon)["bytesIn"]
        for client in clients:
            client.send(many(300_000, PING))
        wait_until(lambda: status_of(daemon)["bytesIn"] >= before + 6 * 300_000 * 6, "all is read")
        conversation.expect_progress()


def test_pongs_that_wait_one_by_one_cost_no_multiple_of_the_limit(start_wsd):
    daemon = start_wsd(PATIENT)
    # Each in a turn of its own, or nearly so: 120 KiB of pongs, with whatever is kept for each of two bytes.
    with siege(daemon, growth=5 * MEBIBYTE):
        client = connect_stuck(daemon)
        ping = many(1, PING)
        for _ in range(60_000):
            client.send(ping)
        assert status_of(daemon)["slowConsumers"] == 1


def test_listing_those_with_many_small_pongs_waiting_holds_nobody_up(start_wsd):
    daemon = start_wsd(PATIENT)
    with siege(daemon, growth=24 * MEBIBYTE):
        client = connect_stuck(daemon)
        before = status_of(daemon)["bytesIn"]
        for _ in range(7):
            client.send(many(43_000, PING))
        wait_until(lambda: status_of(daemon)["bytesIn"] >= before + 7 * 43_000 * 6, "all is read")
        ticks = processor_ticks(daemon)
        assert len(daemon.connections()) == 3
        used = processor_ticks(daemon) - ticks
    assert used < 100, f"{used} ticks of the processor for a list of three connections"


def test_what_waits_for_one_keeps_nothing_of_what_others_were_sent(start_wsd):
    """The pongs of a turn lie side by side in memory: those of one who reads, and a few of one who doesn't."""
    daemon = start_wsd(PATIENT, workers=1)
    # What is sent to the reader is 240 MiB, and what waits for the other 2 KiB more than before.
    with siege(daemon, growth=24 * MEBIBYTE):
        stuck, reader = connect_stuck(daemon), daemon.connect()
        half, pongs = many(1000, PING, b"y" * 125), frame(PONG, b"y" * 125, masked=False) * 2000
        for _ in range(1000):
            reader.send(half)
            stuck.send(many(1, PING))
            reader.send(half)
            assert reader.read(len(pongs)) == pongs
        assert status_of(daemon)["slowConsumers"] == 1
