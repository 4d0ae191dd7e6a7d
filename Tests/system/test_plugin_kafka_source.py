"""Sources of the plugin for Kafka: a topic that readers of a group share, against what stands in for Kafka."""

import subprocess

import pytest

from brokerplugin import DOWN, GRANTED, LOST, RECORD, REVOKED, TOO_LARGE, UP, Log, Refused, Source
from kafkaserver import TOPIC_DENIED, MockKafka, Noida, append_batch, record

# Of the protocol, as those in kafkaserver.
FETCH, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP = 1, 9, 10, 11
OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, COORDINATOR_NOT_AVAILABLE, INCONSISTENT_PROTOCOL, GROUP_DENIED = 1, 2, 15, 23, 30
GZIP = 1
# So many requests are refused: all that there are until it is cleared.
ALL = 100_000


@pytest.fixture(params=["mock", "noida"])
def broker(request):
    if request.param == "mock":
        server = MockKafka(brokers=2, topics={"orders": 4})
        yield server
        server.kill()
    else:
        server = Noida()
        # Who appends creates the topic.
        with Log("kafka", servers=server.servers, prefix="orders", partitions=4) as log:
            log.expect(UP)
        yield server
        server.remove()


def open_source(broker, **options):
    return Source("kafka", **{"servers": broker.servers, "topic": "orders", "group": "wsd", "from": "earliest", **options})


def fill(broker, values, partition=0):
    with Log("kafka", servers=broker.servers, prefix="orders") as log:
        log.expect(UP)
        log.append_all(partition, values)


def wait_for(source, count):
    source.wait(lambda: len(source.given(RECORD)) >= count, f"{count} records are given out")
    return source.given(RECORD)


def settle_all(source, records):
    for record in records:
        source.settle(record)


def test_all_that_is_there_is_given_out_in_order_with_key_and_headers(broker):
    subprocess.run(
        ["kcat", "-P", "-b", broker.servers, "-t", "orders", "-p", "1", "-K:", "-H", "channel=room", "-H", "empty="],
        input=b"key:first\nkey:second\n", check=True, timeout=60,
    )
    with open_source(broker) as source:
        source.expect(UP)
        source.wait(lambda: len(source.given(GRANTED)) == 4, "all partitions are granted")
        assert sorted(event.partition for event in source.given(GRANTED)) == [0, 1, 2, 3]
        first, second = wait_for(source, 2)
        assert (first.partition, first.offset, first.key, first.value) == (1, 0, b"key", b"first")
        assert (second.offset, second.value) == (1, b"second")
        assert first.headers[0] == ("channel", b"room") and first.headers[1][0] == "empty"
        source.poll_until(lambda: source.lag() == 0, "nothing is left to read")


def test_latest_begins_with_what_comes(broker):
    fill(broker, [b"old"])
    with open_source(broker, **{"from": "latest"}) as source:
        source.poll_until(lambda: source.lag() == 0, "the end is found")
        fill(broker, [b"new"])
        assert [event.value for event in wait_for(source, 1)] == [b"new"]


def open_latest(broker):
    return open_source(broker, **{"from": "latest"})


def test_the_position_of_a_partition_is_kept_before_a_record_was_settled(broker):
    with open_latest(broker) as source:
        source.poll_until(lambda: source.lag() == 0, "the end is found")
        source.close()
    fill(broker, [b"while nobody reads"])
    with open_latest(broker) as source:
        assert [event.value for event in wait_for(source, 1)] == [b"while nobody reads"]
        source.close()
    with open_latest(broker) as source:
        assert [event.value for event in wait_for(source, 1)] == [b"while nobody reads"]


def test_a_topic_that_was_made_anew_is_read_from_its_beginning():
    server = Noida()
    try:
        for values in [b"a", b"b", b"c"], [b"d"]:
            with Log("kafka", servers=server.servers, prefix="orders", partitions=4) as log:
                log.expect(UP)
            if len(values) == 3:
                source = open_latest(server)
                source.poll_until(lambda: source.lag() == 0, "the end is found")
            fill(server, values)
            source.wait(lambda: source.given(RECORD) and source.given(RECORD)[-1].value == values[-1], "all is given out")
            settle_all(source, source.given(RECORD)[-len(values) :])
            if len(values) == 3:
                server.restart(with_data=False)
        source.close(0)
    finally:
        server.remove()


def test_records_that_are_gone_are_told_of_and_what_is_left_is_read():
    server = MockKafka(topics={"orders": 1})
    try:
        with open_latest(server) as source:
            source.poll_until(lambda: source.lag() == 0, "the end is found")
            fill(server, [b"%d" % i for i in range(5)])
            settle_all(source, wait_for(source, 5))
            server.command("error", FETCH, OFFSET_OUT_OF_RANGE, 1)
            lost = source.expect(LOST)
            assert lost.partition == 0 and "not available" in lost.text
            assert [record.offset for record in wait_for(source, 10)] == [*range(5), *range(5)]
            settle_all(source, source.given(RECORD)[5:])
            source.close()
    finally:
        server.kill()


def test_a_partition_at_its_end_loses_nothing_while_another_one_has_too_much(broker):
    with open_source(broker) as source:
        source.poll_until(lambda: source.lag() == 0, "all ends are found")
        count = 6000
        fill(broker, [b"x"] * count)
        # So much is out that nothing is fetched any more: 4 MiB, of which each record counts a little more than 1 KiB.
        wait_for(source, 4000)
        source.idle(1)
        assert len(source.given(RECORD)) < count
        fill(broker, [b"late"], partition=1)
        settled = 0
        while len(records := source.given(RECORD)) < count + 1:
            settle_all(source, records[settled:])
            settled = len(records)
            source.wait(lambda: len(source.given(RECORD)) > settled, "more is given out")
        assert source.given(LOST) == []
        assert sorted((record.partition, record.offset) for record in records) == [*((0, i) for i in range(count)), (1, 0)]


def test_what_is_settled_is_not_given_out_to_the_next_reader(broker):
    fill(broker, [b"%d" % i for i in range(10)])
    with open_source(broker) as source:
        records = wait_for(source, 10)
        # 4 is not settled: what comes behind it is given out again.
        settle_all(source, records[:4] + records[5:])
        source.close()
    with open_source(broker) as source:
        records = wait_for(source, 6)
        assert [event.offset for event in records] == [4, 5, 6, 7, 8, 9]
        settle_all(source, records)
        source.close()
    fill(broker, [b"last"])
    with open_source(broker) as source:
        assert wait_for(source, 1)[0].value == b"last"


def test_a_rewind_gives_out_what_is_not_settled_and_only_that(broker):
    fill(broker, [b"%d" % i for i in range(300)])
    with open_source(broker) as source:
        records = wait_for(source, 300)
        settle_all(source, [record for record in records if record.offset % 3 != 0])
        source.events.clear()
        source.rewind()
        wait_for(source, 100)
        fill(broker, [b"behind"])
        again = wait_for(source, 101)
        assert [record.offset for record in again] == [*range(0, 300, 3), 300]
        # Again, before all of it came.
        source.events.clear()
        source.rewind()
        settle_all(source, again[:50])
        again = wait_for(source, 51)
        assert [record.offset for record in again][-51:] == [*range(150, 300, 3), 300]


def held(source):
    """The partitions that a reader has now: those that it was granted, without those that were taken back since."""
    partitions = set()
    for event in source.events:
        if event.kind == GRANTED:
            partitions.add(event.partition)
        elif event.kind == REVOKED:
            partitions.discard(event.partition)
    return partitions


@pytest.mark.parametrize("broker", ["mock"], indirect=True)
def test_a_second_reader_gets_a_share_and_gives_it_back(broker):
    """Noida leaves a group in the middle of its second step, one time in ten."""
    with open_source(broker, client="a") as one:
        one.wait(lambda: len(held(one)) == 4, "one has all")
        one.poll_until(lambda: one.lag() == 0, "all ends are found")
        with open_source(broker, client="b") as other:

            def is_shared():
                # Each waits for the other, so both are polled.
                one.poll()
                return len(held(other)) == len(held(one)) == 2 and not held(other) & held(one)

            # A group may come to its shares in several steps.
            other.poll_until(is_shared, "both have two", 180)
            theirs = held(other)
            for partition in range(4):
                fill(broker, [b"x"], partition)
            other.wait(lambda: {event.partition for event in other.given(RECORD)} == theirs, "other reads its share")
            one.wait(lambda: {event.partition for event in one.given(RECORD)} == {0, 1, 2, 3} - theirs, "one reads its share")
            settle_all(other, other.given(RECORD)[:1])
            settled = other.given(RECORD)[0]
            other.close()
        one.wait(lambda: len(held(one)) == 4, "one has all again", deadline=180)
        [unsettled] = theirs - {settled.partition}
        one.wait(lambda: unsettled in {event.partition for event in one.given(RECORD)}, "what the other left is given out")
        assert settled.partition not in {event.partition for event in one.given(RECORD)}
        assert one.given(LOST) == other.given(LOST) == []


def test_a_record_beyond_the_limit_is_only_told_of(broker):
    fill(broker, [b"x" * 1001, b"y"])
    with open_source(broker, max_record=1000) as source:
        large, small = wait_for(source, 2)
        assert large.flags == TOO_LARGE and large.value is None and large.offset2 == 1001
        assert small.value == b"y"
        settle_all(source, [large, small])


def test_a_record_with_more_than_a_message_needs_is_only_told_of(broker):
    def send(*headers):
        words = [word for header in headers for word in ("-H", header)]
        subprocess.run(
            ["kcat", "-P", "-b", broker.servers, "-t", "orders", "-p", "0", "-K:", *words],
            input=b"key:value\n", check=True, timeout=60,
        )  # fmt: skip

    many = [f"{number:03}=b" for number in range(513)]
    send(*many[:512])
    send(*many)
    send("a=" + "x" * 66_000)
    send("a=" + "x" * 70_000)
    with open_source(broker, max_record=1000) as source:
        records = wait_for(source, 4)
        assert [record.flags for record in records] == [0, TOO_LARGE, 0, TOO_LARGE]
        assert len(records[0].headers) == 512 and records[0].key == b"key"
        for record, size in (records[1], 8 + 513 * 4), (records[3], 8 + 70_001):
            assert (record.key, record.value, record.headers, record.offset2) == (None, None, [], size)


def test_headers_are_counted_before_more_is_taken(single):
    """librdkafka reads 100,000 of them, which is megabytes, and no more."""
    for count in [100_000] * 3 + [100_001] * 3:
        append_batch(single.servers, "orders", record([b"a"] * count))
    fill(single, [b"behind"])
    with open_source(single, max_record=1000) as source:
        source.wait(lambda: len(source.given(RECORD)) > 0, "the first is given out")
        while (given := len(source.given(RECORD))) < 7:
            source.wait(lambda: len(source.given(RECORD)) > given, "more is given out")
            assert given >= 3 or len(source.given(RECORD)) == given + 1
        records = source.given(RECORD)
        assert [event.flags for event in records] == [TOO_LARGE] * 6 + [0]
        assert all(event.headers == [] and event.value is None for event in records[:6])
        assert [event.offset2 for event in records[:3]] == [100_000] * 3


@pytest.mark.parametrize("broker", ["mock"], indirect=True)
def test_what_is_not_settled_is_bounded(broker):
    count = 20_000
    fill(broker, [b"%d" % i for i in range(count)])
    with open_source(broker) as source:
        wait_for(source, 3800)
        source.idle(1)
        # Each counts a kibibyte besides its own bytes, up to 4 MiB, and what is fetched in between.
        given = len(source.given(RECORD))
        assert given <= 4096 + 256
        assert source.lag() == count - given
        # So much comes again.
        source.events.clear()
        source.rewind()
        wait_for(source, 3800)
        source.idle(1)
        assert len(source.given(RECORD)) <= 4096 + 256
        settled = 0
        while settled < count:
            records = wait_for(source, settled + 1)
            settle_all(source, records[settled:])
            settled = len(records)
        assert [record.offset for record in source.given(RECORD)] == list(range(count))


@pytest.mark.parametrize("broker", ["mock"], indirect=True)
def test_the_bytes_of_what_is_not_settled_are_bounded(broker):
    for partition in range(4):
        fill(broker, [b"x" * 900_000] * 5, partition)
    with open_source(broker, max_record=1 << 20) as source:
        wait_for(source, 4)
        source.idle(1)
        assert len(source.given(RECORD)) <= 8
        settled = 0
        while settled < 20:
            records = wait_for(source, settled + 1)
            settle_all(source, records[settled:])
            settled = len(records)


def test_a_topic_that_does_not_exist():
    server = Noida()
    try:
        with open_source(server, topic="nothing") as source:
            assert source.expect(DOWN).text == 'topic "nothing" does not exist'
            with Log("kafka", servers=server.servers, prefix="nothing", partitions=2) as log:
                log.expect(UP)
                assert source.expect(UP).partition == 2
                log.append_all(1, [b"x"])
            source.expect(RECORD)
    finally:
        server.remove()


def test_a_broker_that_goes_and_comes(broker):
    if isinstance(broker, MockKafka):
        pytest.skip("it can't be restarted")
    fill(broker, [b"before"])
    with open_source(broker) as source:
        source.expect(UP)
        settle_all(source, wait_for(source, 1))
        with broker.paused():
            assert source.expect(DOWN).text == f"{broker.servers} does not answer"
        source.expect(UP)
        fill(broker, [b"after"])
        wait_for(source, 2)
        broker.restart(with_data=True)
        source.expect(DOWN)
        source.expect(UP)
        fill(broker, [b"at last"])
        source.wait(lambda: source.given(RECORD)[-1].value == b"at last", "reading goes on")


@pytest.fixture
def single():
    """A cluster of one broker with a topic of one partition."""
    server = MockKafka(topics={"orders": 1})
    yield server
    server.kill()


def test_a_group_that_can_not_be_joined_is_told_of(single):
    single.command("error", JOIN_GROUP, INCONSISTENT_PROTOCOL, ALL)
    with open_source(single) as source:
        reason = source.expect(DOWN, lambda event: "can't be joined" in event.text).text
        assert reason.startswith('group "wsd" can\'t be joined: JoinGroup failed: ')
        # For as long as it is so, and not for some seconds.
        source.idle(7)
        assert source.given(UP) == [] and source.given(DOWN)[-1].text == reason
        single.command("clear", JOIN_GROUP)
        source.expect(UP)
        assert len(source.given(GRANTED)) == 1


def test_a_coordinator_that_can_not_be_found_is_told_of(single):
    """librdkafka tells nobody of that."""
    single.command("error", FIND_COORDINATOR, COORDINATOR_NOT_AVAILABLE, ALL)
    with open_source(single) as source:
        assert source.expect(DOWN).text == 'group "wsd" is not joined yet'
        source.idle(3)
        assert source.given(UP) == []
        single.command("clear", FIND_COORDINATOR)
        source.expect(UP)


def test_a_reader_for_whom_there_is_no_partition_stands_by(single):
    with open_source(single, client="a") as one:
        one.expect(GRANTED)
        with open_source(single, client="b") as other:

            def is_up():
                one.poll()
                return other.given(UP) or one.given(REVOKED)

            # Either of them may be the one that has none.
            other.poll_until(is_up, "the other has joined", 180)
            other.poll_until(lambda: one.poll() or other.given(UP), "the other is up", 180)
            assert len(held(one)) + len(held(other)) <= 1


@pytest.mark.parametrize(
    "code, reason",
    [
        (TOPIC_DENIED, 'user "ANONYMOUS" may not read topic "orders": '),
        (CORRUPT_MESSAGE, 'partition 0 of topic "orders" can\'t be read at offset 1: '),
    ],
)
def test_a_partition_that_can_not_be_fetched_is_told_of_until_it_can(single, code, reason):
    with open_source(single) as source:
        source.expect(UP)
        fill(single, [b"first"])
        settle_all(source, wait_for(source, 1))
        single.command("error", FETCH, code, ALL)
        assert source.expect(DOWN).text.startswith(reason)
        # librdkafka tells the first one once.
        source.idle(7)
        assert len(source.given(UP)) == 1
        single.command("clear", FETCH)
        # There is nothing more to read in it.
        source.poll_until(lambda: len(source.given(UP)) == 2, "it is read again")
        assert source.lag() == 0
        fill(single, [b"next"])
        assert [event.value for event in wait_for(source, 2)] == [b"first", b"next"]
        assert source.given(LOST) == []


def test_a_partition_that_can_not_be_fetched_after_a_rewind_leaves_nothing_out(single):
    fill(single, [b"%d" % i for i in range(5)])
    with open_source(single) as source:
        settle_all(source, wait_for(source, 5)[:2])
        source.poll_until(lambda: source.given(UP) and source.lag() == 0, "all is read")
        source.events.clear()
        single.command("error", FETCH, TOPIC_DENIED, ALL)
        source.rewind()
        source.wait(lambda: source.given(DOWN), "it is told of")
        # Until it was tried again, for which wsd polls.
        for _ in range(4):
            source.idle(3)
        assert source.given(RECORD) == []
        single.command("clear", FETCH)
        source.poll_until(lambda: len(source.given(RECORD)) == 3, "the rest comes again")
        assert [record.offset for record in source.given(RECORD)] == [2, 3, 4]


def test_a_group_whose_position_can_not_be_learnt_is_told_of_until_it_can(single):
    fill(single, [b"first"])
    single.command("error", OFFSET_FETCH, GROUP_DENIED, ALL)
    with open_source(single) as source:
        source.expect(DOWN, lambda event: event.text.startswith('user "ANONYMOUS" may not read topic "orders": '))
        # It was joined before that was known, and may have been told of as such.
        source.events.clear()
        source.idle(7)
        assert source.given(RECORD) == source.given(UP) == []
        single.command("clear", OFFSET_FETCH)
        source.poll_until(lambda: source.given(RECORD) and source.given(UP), "it is read")
        assert [event.value for event in source.given(RECORD)] == [b"first"]


def test_a_batch_that_can_not_be_decoded_is_told_of(single):
    fill(single, [b"first"])
    append_batch(single.servers, "orders", b"no gzip", attributes=GZIP)
    with open_source(single) as source:
        assert [event.value for event in wait_for(source, 1)] == [b"first"]
        settle_all(source, source.given(RECORD))
        reason = source.expect(DOWN, lambda event: "offset" in event.text).text
        assert reason.startswith('partition 0 of topic "orders" can\'t be read at offset 1: Decompression ')
        source.idle(7)
        assert source.events[-1].kind == DOWN and source.events[-1].text == reason


def test_a_broker_that_hangs_holds_up_no_end(broker):
    fill(broker, [b"x"])
    with open_source(broker) as source:
        settle_all(source, wait_for(source, 1))
        with broker.paused():
            source.close(500)


@pytest.mark.parametrize(
    "options, error",
    [
        ({"group": ""}, "group is missing"),
        ({"topic": ""}, "topic is missing"),
        ({"from": "now"}, 'from is "now", which is neither earliest nor latest'),
        ({"property.enable.auto.commit": "false"}, 'property "enable.auto.commit" is set by wsd'),
    ],
)
def test_options_that_cannot_be_used_are_named(options, error):
    with pytest.raises(Refused, match=error):
        Source("kafka", **{"servers": "127.0.0.1:9", "topic": "orders", "group": "wsd", **options})
