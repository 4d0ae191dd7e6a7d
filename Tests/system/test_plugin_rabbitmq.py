"""The plugin for RabbitMQ against a real rabbitmq-server."""

import contextlib
import itertools
import os
import time

import pika
import pytest

from brokerplugin import (
    APPENDED,
    CAUGHT_UP,
    DOWN,
    FAILED,
    FINAL,
    FROM_END,
    FROM_OFFSET,
    FROM_TIME,
    GRANTED,
    LOST,
    RECORD,
    REPLACED,
    REVOKED,
    TOO_LARGE,
    UNCERTAIN,
    UP,
    Log,
    Refused,
    Source,
)
from rabbitmqserver import RabbitMQServer
from redisserver import Authority
from waiting import wait_until

prefixes = (f"wsd{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RabbitMQServer(tmp_path_factory.mktemp("rabbitmq"))
    add_users(server)
    yield server
    server.stop()


def add_users(server):
    """One who may use all and create nothing, and one who may do nothing."""
    backend = "rabbit_auth_backend_internal"
    server.eval(
        f'{backend}:add_user(<<"weak">>, <<"secret">>, <<"test">>)',
        f'{backend}:add_user(<<"stranger">>, <<"secret">>, <<"test">>)',
        f'{backend}:set_permissions(<<"weak">>, <<"/">>, <<"^$">>, <<".*">>, <<".*">>, <<"test">>)',
    )


@pytest.fixture
def prefix():
    return next(prefixes)


@pytest.fixture
def opens(server, prefix):
    """Opens logs, which all are closed."""
    logs = []

    def opens(**options):
        logs.append(Log("rabbitmq", **{"servers": server.address, "prefix": prefix, "client": f"node{len(logs)}", **options}))
        return logs[-1]

    yield opens
    for log in logs:
        log.close(0)


@pytest.fixture
def channel(server):
    """What another program has."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.port, heartbeat=0))
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    # Some tests end the server.
    with contextlib.suppress(pika.exceptions.AMQPError):
        connection.close()


def read(log, partition, start=FROM_OFFSET, place=0):
    """Reads a partition from somewhere, up to its end; what came."""
    log.read(partition, start, place)
    end = log.expect(CAUGHT_UP, lambda event: event.partition == partition)
    return [event for event in log.given(RECORD) if event.partition == partition and event.offset < end.offset]


def reason(log):
    return log.expect(DOWN).text


def values(count, text=b"value"):
    return [b"%s %d" % (text, i) for i in range(count)]


def test_records_are_read_in_the_order_in_which_they_were_appended(opens):
    log = opens(partitions=3)
    assert log.expect(UP).partition == 3
    for partition in range(3):
        read(log, partition, FROM_END)
    wanted = [values(700, b"of %d:" % partition) for partition in range(3)]
    for value in zip(*wanted):
        for partition in range(3):
            assert log.append(partition, value[partition])
    log.wait(lambda: len(log.given(APPENDED)) == 2100 and len(log.given(RECORD)) == 2100, "all are appended and read")
    assert [log.values(partition) for partition in range(3)] == wanted
    for partition in range(3):
        offsets = [event.offset for event in log.given(RECORD) if event.partition == partition]
        assert offsets == sorted(set(offsets))
    assert len({event.token for event in log.given(APPENDED)}) == 2100


def test_keys_and_values_are_any_bytes_and_the_time_is_that_of_appending(opens):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    records = [(b"", b""), (bytes(range(256)), bytes(range(256)) * 5), ("Zimmer".encode(), b"\0"), (b"\xff" * 255, b"x" * 100_000)]
    before = time.time() * 1000
    for key, value in records:
        log.append(0, value, key)
    log.wait(lambda: len(log.given(RECORD)) == len(records), "they are read")
    assert [(event.key, event.value) for event in log.given(RECORD)] == records
    assert all(before - 1 <= event.timestamp <= time.time() * 1000 for event in log.given(RECORD))
    assert all(event.headers == [] for event in log.given(RECORD))


def test_an_empty_stream_has_an_end(opens):
    for start, place in ((FROM_OFFSET, 0), (FROM_TIME, 0), (FROM_END, 0)):
        log = opens()
        log.expect(UP)
        assert read(log, 0, start, place) == []
        log.close()


def test_reading_begins_where_it_is_told_to(opens):
    log = opens()
    log.expect(UP)
    log.append_all(0, values(100))
    middle = time.time() * 1000
    time.sleep(0.01)
    log.append_all(0, values(100, b"late"))
    all_records = read(log, 0)
    assert [event.value for event in all_records] == values(100) + values(100, b"late")
    for place in (0, 1, 99, 100, 150):
        other = opens()
        got = read(other, 0, FROM_OFFSET, all_records[place].offset)
        assert [event.offset for event in got] == [event.offset for event in all_records[place:]]
    assert [event.value for event in read(opens(), 0, FROM_TIME, int(middle))] == values(100, b"late")
    assert read(opens(), 0, FROM_TIME, int(time.time() * 1000) + 60_000) == []
    assert read(opens(), 0, FROM_END) == []


def test_a_place_behind_the_end_is_not_of_this_stream(opens):
    log = opens()
    log.expect(UP)
    log.append_all(0, values(10))
    log.read(0, FROM_OFFSET, 1000)
    replaced = log.expect(REPLACED)
    assert 10 <= replaced.offset < 1000
    assert len(read(log, 0)) == 10


def test_reading_begins_anew_elsewhere(opens):
    log = opens()
    log.expect(UP)
    log.append_all(0, values(1000))
    for _ in range(5):
        # Before the one before has come to its end.
        log.read(0, FROM_OFFSET, 0)
    log.read(0, FROM_OFFSET, 900)
    log.expect(CAUGHT_UP)
    read(log, 0, FROM_END)
    log.append_all(0, [b"last"])
    log.wait(lambda: log.values(0)[-1:] == [b"last"], "it is read")
    assert log.values(0).count(b"last") == 1


def test_what_others_publish_to_the_exchange_has_its_routing_key_as_key(opens, channel, prefix):
    log = opens(partitions=2)
    log.expect(UP)
    read(log, 0, FROM_END)
    headers = {"text": "hällo", "number": -7, "yes": True}
    channel.basic_publish(prefix, "room.1", b"hello", pika.BasicProperties(headers=headers, timestamp=1_700_000_000))
    channel.basic_publish(prefix, "", b"")
    log.wait(lambda: len(log.given(RECORD)) == 2, "they are read")
    first, second = log.given(RECORD)
    assert (first.key, first.value, first.timestamp) == (b"room.1", b"hello", 1_700_000_000_000)
    assert sorted(first.headers) == [("number", b"-7"), ("text", "hällo".encode()), ("yes", b"true")]
    assert (second.key, second.value, second.headers) == (b"", b"", [])


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"servers": "127.0.0.1:1"}, "127.0.0.1:1 can't be reached: Connection refused"),
        ({"servers": "no-such-host.invalid"}, "the name of no-such-host.invalid:5672 can't be resolved: "),
        ({"servers": "127.0.0.1:1,127.0.0.1:2"}, "127.0.0.1:1 can't be reached: Connection refused; 127.0.0.1:2 can't"),
        ({"password": "wrong"}, '{server} refused the password of user "guest"'),
        ({"user": "nobody"}, '{server} refused the password of user "nobody"'),
        ({"vhost": "nowhere"}, '{server} has no vhost "nowhere"'),
        ({"user": "stranger", "password": "secret"}, '{server} lets user "stranger" not into vhost "/"'),
        (
            {"user": "weak", "password": "secret"},
            'queue "{prefix}.0" does not exist in vhost "/" at {server}, and user "weak" may not create it: ACCESS_REFUSED',
        ),
        ({"tls": "true"}, "{server} does not speak TLS"),
    ],
)
def test_the_reason_says_what_is_wrong(opens, server, prefix, options, wanted):
    assert reason(opens(**options)).startswith(wanted.format(server=server.address, prefix=prefix))


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"servers": ""}, "servers is missing"),
        ({"servers": "a:b"}, 'servers has the port "b"'),
        ({"servers": "[::1"}, 'servers has "[::1"'),
        ({"prefix": ""}, "prefix is missing"),
        ({"prefix": "amq.x"}, 'prefix is "amq.x"'),
        ({"prefix": "x" * 251}, "which has more than 250 bytes"),
        ({"partitions": 0}, 'partitions is "0"'),
        ({"ca": "/x"}, "ca is given, but tls is not true"),
        ({"tls": "true", "ca": "/nonexistent"}, 'ca is "/nonexistent", which can\'t be read: No such file'),
        ({"tls": "true", "key": "/etc/hostname"}, "certificate is missing"),
    ],
)
def test_an_option_that_can_not_be_used_is_named(opens, options, wanted):
    with pytest.raises(Refused) as refused:
        opens(**options)
    assert wanted in str(refused.value)


def test_a_user_who_may_not_create_streams_may_use_them(opens):
    opens().expect(UP)
    log = opens(user="weak", password="secret")
    log.expect(UP)
    log.append_all(0, values(3))
    assert [event.value for event in read(log, 0)] == values(3)


def test_a_stream_with_other_arguments_is_used_and_a_queue_that_is_no_stream_is_not(opens, channel, prefix):
    opens().expect(UP)
    up = opens(retention=3_600_000).expect(UP)
    assert up.text.startswith(f'queue "{prefix}.0" is used as it is: PRECONDITION_FAILED') and "x-max-age" in up.text
    for number, arguments in enumerate(({}, {"x-queue-type": "quorum"}, {"x-max-length-bytes": 1000})):
        other = f"{prefix}-{number}"
        channel.queue_declare(f"{other}.0", durable=True, arguments=arguments)
        channel.basic_publish("", f"{other}.0", b"kept")
        for options in ({}, {"retention_bytes": 5000}):
            assert f'queue "{other}.0" exists at ' in (text := reason(opens(prefix=other, **options))) and "no stream" in text
        assert channel.queue_declare(f"{other}.0", passive=True).method.message_count == 1


def test_streams_that_others_made_are_counted(opens):
    assert opens(partitions=3).expect(UP).partition == 3
    assert opens(partitions=1).expect(UP).partition == 3


def test_servers_are_tried_in_turn(opens, server):
    log = opens(servers=f"127.0.0.1:1, {server.address}")
    log.expect(UP)
    assert log.given(DOWN) == []


def test_records_may_be_large(opens):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    wanted = [os.urandom(16 << 20), b"small", os.urandom((16 << 20) - 1)]
    log.append_all(0, wanted)
    log.wait(lambda: len(log.given(RECORD)) == 3, "they are read")
    assert log.values(0) == wanted


def test_a_record_that_would_not_be_read_fails_for_good(opens):
    log = opens(max_record=1000)
    log.expect(UP)
    read(log, 0, FROM_END)
    tokens = [log.append(0, value) for value in (b"before", b"x" * 1001, b"x" * 1000)]
    failed = log.expect(FAILED)
    assert failed.token == tokens[1] and failed.flags == FINAL | TOO_LARGE and "of more than 1000 bytes" in failed.text
    log.wait(lambda: len(log.given(APPENDED)) == 2 and len(log.given(RECORD)) == 2, "the others are read")
    assert log.values(0) == [b"before", b"x" * 1000]


def test_headers_may_be_as_large_as_a_frame(opens, channel, prefix):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    # With the frame of 131,072 bytes around it. The server adds the offset.
    text = "x" * (131_072 - 33)
    channel.basic_publish(prefix, "room", b"x", pika.BasicProperties(headers={"h": text}))
    assert log.expect(RECORD).headers == [("h", text.encode())]
    assert not log.given(DOWN)


def test_what_is_appended_is_bounded_and_all_of_it_is_answered(opens, server):
    log = opens()
    log.expect(UP)
    value, count = b"x" * 65536, 0
    with server.paused():
        while log.append(0, value):
            count += 1
    assert 700 < count < 800
    log.wait(lambda: len(log.given(APPENDED)) + len(log.given(FAILED)) == count, "all are answered")
    log.wait(lambda: log.append(0, value), "there is room again")


def test_what_waits_to_be_polled_is_bounded(opens):
    def memory():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    writer, log = opens(), opens()
    writer.expect(UP)
    log.expect(UP)
    read(log, 0, FROM_END)
    before = memory()
    value = b"x" * (1 << 20)
    for _ in range(30):
        writer.append_all(0, [value] * 10)
    assert memory() - before < 150 << 20
    log.wait(lambda: len(log.given(RECORD)) == 300, "all are read")
    assert log.given(DOWN) == []


def test_closing_sends_what_was_appended(opens):
    log = opens()
    log.expect(UP)
    for value in values(5000):
        assert log.append(0, value)
    log.close(30_000)
    assert [event.value for event in read(opens(), 0)] == values(5000)


def test_reading_and_appending_go_on_when_the_server_comes_back(opens, server):
    log = opens(partitions=2)
    log.expect(UP)
    for partition in range(2):
        read(log, partition, FROM_END)
    log.append_all(0, values(10))
    log.append_all(1, values(10))
    # Killed, RabbitMQ 3.10 would lose a stream that is only seconds old.
    server.stop()
    assert server.address in reason(log)
    assert log.append(0, b"no") is None
    server.start()
    log.expect(UP)
    log.append_all(0, values(10, b"new"))
    log.append_all(1, values(10, b"new"))
    log.wait(lambda: len(log.given(RECORD)) == 40, "all are read")
    assert log.values(0) == log.values(1) == values(10) + values(10, b"new")
    assert not log.given(LOST) and not log.given(REPLACED) and len(log.given(CAUGHT_UP)) == 2


def test_every_record_is_answered_once_when_the_server_ends(opens, server):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    sent = {}
    for value in values(20_000):
        if token := log.append(0, value):
            sent[token] = value
        if len(sent) == 10_000:
            server.stop()
    log.expect(DOWN)
    log.wait(lambda: len(log.given(APPENDED)) + len(log.given(FAILED)) == len(sent), "all are answered")
    assert {event.token for event in log.given(APPENDED) + log.given(FAILED)} == set(sent)
    assert all(server.address in event.text for event in log.given(FAILED))
    server.start()
    log.expect(UP, deadline=180)
    log.append_all(0, [b"last"])
    log.wait(lambda: log.values(0)[-1:] == [b"last"], "reading goes on", deadline=180)
    # What is confirmed is there; what is uncertain may be; what is neither is not.
    read_values = log.values(0)
    assert len(set(read_values)) == len(read_values)
    assert {sent[event.token] for event in log.given(APPENDED) if event.token in sent} <= set(read_values)
    certain = {sent[event.token] for event in log.given(FAILED) if not event.flags & UNCERTAIN}
    assert not certain & set(read_values)


def test_lost_data_is_noticed(opens, server):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    log.append_all(0, values(10))
    log.wait(lambda: len(log.given(RECORD)) == 10, "they are read")
    server.restart(with_data=False)
    add_users(server)
    assert log.expect(REPLACED).offset < 10
    log.append_all(0, values(3, b"new"))
    assert [event.value for event in read(log, 0)][-3:] == values(3, b"new")


def test_a_deleted_stream_is_made_again_and_is_another(opens, channel, prefix):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    log.append_all(0, values(10))
    log.wait(lambda: len(log.given(RECORD)) == 10, "they are read")
    channel.queue_delete(f"{prefix}.0")
    log.expect(REPLACED)
    log.wait(lambda: log.append(0, b"new"), "records are taken")
    log.wait(lambda: any(event.value == b"new" for event in read(log, 0)), "it is read")


def test_another_stream_that_has_become_as_long_is_noticed(opens, channel, prefix, server):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    log.append_all(0, values(10))
    log.wait(lambda: len(log.given(RECORD)) == 10, "they are read")
    channel.queue_delete(f"{prefix}.0")

    def is_as_long():
        # wsd declares it too, and RabbitMQ may refuse one of two who do that at the same moment.
        arguments = {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 64 << 20}
        try:
            with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.port)) as connection:
                other = connection.channel()
                other.confirm_delivery()
                other.queue_declare(f"{prefix}.0", durable=True, arguments=arguments)
                for value in values(50, b"another"):
                    other.basic_publish("", f"{prefix}.0", value)
        except pika.exceptions.AMQPError:
            return False
        return True

    wait_until(is_as_long, "there is another stream")
    log.expect(REPLACED)


def test_retention_that_overtakes_the_reader_is_noticed(opens, channel, prefix):
    arguments = {"x-queue-type": "stream", "x-max-length-bytes": 2_000_000, "x-stream-max-segment-size-bytes": 1_000_000}
    channel.queue_declare(f"{prefix}.0", durable=True, arguments=arguments)
    log = opens()
    log.expect(UP)
    for _ in range(5):
        log.append_all(0, [b"x" * 100_000] * 20)
    other = opens()
    other.read(0, FROM_OFFSET, 5)
    lost = other.expect(LOST)
    assert lost.offset > 5
    other.expect(CAUGHT_UP)
    assert all(event.offset >= lost.offset for event in other.given(RECORD))


@pytest.mark.parametrize("appends", [False, True])
def test_a_server_that_hangs_is_noticed(opens, server, appends):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    with server.paused():
        if appends:
            for value in values(100):
                log.append(0, value)
        assert "has not answered for 3 s" in reason(log)
        if appends:
            # What the server got before it stood still it may have confirmed.
            log.wait(lambda: len(log.given(FAILED)) + len(log.given(APPENDED)) == 100, "they are answered")
        # Who reads may notice before who appends.
        log.poll_until(lambda: log.append(0, b"no") is None, "nothing is taken")
    log.expect(UP)
    log.append_all(0, [b"last"])
    log.wait(lambda: log.values(0)[-1:] == [b"last"], "reading goes on")


@pytest.mark.parametrize("alarm", ["memory", "disk"])
def test_an_alarm_is_the_reason_until_it_is_over(opens, server, alarm):
    log, reader = opens(), opens()
    log.expect(UP)
    log.append_all(0, values(5))
    with getattr(server, f"{alarm}_alarm")():
        token = log.append(0, b"blocked")
        text = reason(log)
        assert text.startswith(f"{server.address} takes no messages, as it has an alarm: ") and alarm in text
        assert log.append(0, b"no") is None
        # Who only reads is not concerned.
        reader.read(0, FROM_OFFSET, 0)
        reader.wait(lambda: len(reader.given(RECORD)) >= 5, "records are read nevertheless")
    log.expect(UP)
    log.wait(lambda: token in {event.token for event in log.given(APPENDED)}, "it is appended when the alarm is over")
    reader.wait(lambda: reader.values(0)[-1:] == [b"blocked"], "it is read")
    reader.expect(CAUGHT_UP)


@pytest.fixture
def consumes(server, prefix):
    """Opens sources of one queue, which all are closed."""
    sources = []

    def consumes(**options):
        sources.append(Source("rabbitmq", **{"servers": server.address, "queue": prefix, "client": f"node{len(sources)}", **options}))
        return sources[-1]

    yield consumes
    for source in sources:
        source.close(0)


def take(source, count):
    """The next records of a source."""
    return [source.expect(RECORD) for _ in range(count)]


def publish(channel, queue, texts, **properties):
    for text in texts:
        channel.basic_publish("", queue, text, pika.BasicProperties(**properties))


def test_a_source_gives_messages_until_they_are_settled(consumes, channel, prefix):
    source = consumes()
    source.expect(UP)
    publish(channel, prefix, values(10), headers={"x-key": "mine", "n": 1}, content_type="text/plain")
    records = take(source, 10)
    assert source.given(GRANTED) and [event.value for event in records] == values(10)
    assert records[0].key == prefix.encode() and records[0].partition == 0
    assert sorted(records[0].headers) == [("content-type", b"text/plain"), ("n", b"1"), ("x-key", b"mine")]
    for event in records[:4] + records[6:7]:
        source.settle(event)
    source.close()
    again = consumes()
    assert [event.value for event in take(again, 5)] == [b"value 4", b"value 5", b"value 7", b"value 8", b"value 9"]


def test_one_reader_at_a_time_gets_messages(consumes, channel, prefix):
    first, second = consumes(), consumes()
    first.expect(UP)
    second.expect(UP)
    publish(channel, prefix, values(5))
    first.wait(lambda: first.given(RECORD) or second.poll() and second.given(RECORD), "one gets them")
    owner, other = (first, second) if first.given(RECORD) else (second, first)
    take(owner, 5)
    for event in owner.given(RECORD)[:2]:
        owner.settle(event)
    owner.close()
    assert not other.given(RECORD) and not other.given(GRANTED)
    assert [event.value for event in take(other, 3)] == values(5)[2:]
    assert other.given(GRANTED)


def test_a_message_with_a_fault_goes_to_the_dead_letters(consumes, channel, prefix):
    channel.queue_declare(f"{prefix}-dead")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{prefix}-dead"}
    channel.queue_declare(prefix, durable=True, arguments=arguments)
    source = consumes()
    publish(channel, prefix, values(3))
    good, bad, last = take(source, 3)
    source.settle(good)
    source.settle(bad, b"no channel")
    source.settle(last)
    source.close()
    assert channel.basic_get(f"{prefix}-dead", auto_ack=True)[2] == bad.value
    assert channel.queue_declare(prefix, passive=True).method.message_count == 0


def test_a_rewind_gives_again_what_is_not_settled(consumes, channel, prefix):
    source = consumes()
    source.expect(UP)
    publish(channel, prefix, values(20))
    records = take(source, 20)
    for event in records[:5]:
        source.settle(event)
    source.rewind()
    again = take(source, 15)
    assert [event.value for event in again] == values(20)[5:]
    assert again[0].offset > records[-1].offset
    # What came before the rewind can't be settled any more.
    source.settle(records[10])
    for event in again:
        source.settle(event)
    publish(channel, prefix, [b"last"])
    assert take(source, 1)[0].value == b"last"
    source.rewind()
    source.rewind()
    assert [event.value for event in take(source, 1)] == [b"last"]


def test_a_source_is_bound_to_an_exchange(consumes, channel, prefix):
    channel.exchange_declare(f"{prefix}-events", "topic", durable=True)
    source = consumes(exchange=f"{prefix}-events", binding="room.#")
    source.expect(UP)
    channel.basic_publish(f"{prefix}-events", "room.1.said", b"yes")
    channel.basic_publish(f"{prefix}-events", "other", b"no")
    channel.basic_publish(f"{prefix}-events", "room.2", b"yes, too")
    assert [(event.key, event.value) for event in take(source, 2)] == [(b"room.1.said", b"yes"), (b"room.2", b"yes, too")]


def test_the_prefetch_bounds_what_is_not_settled_and_the_lag_is_the_rest(consumes, channel, prefix):
    source = consumes(prefetch=10)
    source.expect(UP)
    publish(channel, prefix, values(100))
    records = take(source, 10)
    source.poll_until(lambda: source.lag() == 90, "the lag is known")
    assert len(source.given(RECORD)) == 10
    for event in records:
        source.settle(event)
    take(source, 10)


def test_a_message_beyond_the_limit_is_named_and_can_be_settled(consumes, channel, prefix):
    source = consumes(max_record=1000)
    source.expect(UP)
    publish(channel, prefix, [b"x" * 200_000, b"x" * 1000])
    large, small = take(source, 2)
    assert large.flags == TOO_LARGE and large.offset2 == 200_000 and not large.value
    assert len(small.value) == 1000
    source.settle(large, b"too large")
    source.settle(small)
    source.close()
    assert channel.queue_declare(prefix, passive=True).method.message_count == 0


def test_what_is_given_out_and_not_settled_is_bounded_by_its_size_too(consumes, channel, prefix):
    source = consumes()
    source.expect(UP)
    wanted = [b"%d" % i + b"x" * (1 << 20) for i in range(20)]
    publish(channel, prefix, wanted)
    given = []
    while len(given) < 20:
        given += take(source, 4)
        assert len(source.given(RECORD)) == len(given)
        # All has come to the plugin.
        source.poll_until(lambda: source.lag() == 0, "nothing is left in the queue")
        assert len(source.given(RECORD)) == len(given)
        for event in given[-4:]:
            source.settle(event)
    assert [event.value for event in given] == wanted


def test_a_reader_that_settles_nothing_learns_that_it_is_none_any_more(consumes, channel, server, prefix):
    source = consumes()
    source.expect(UP)
    wanted = [b"%d" % i + b"x" * (1 << 20) for i in range(8)]
    publish(channel, prefix, wanted, delivery_mode=2)
    records = take(source, 4)
    source.poll_until(lambda: source.lag() == 0, "nothing is left in the queue")
    with server.paused():
        source.expect(REVOKED)
    source.expect(UP)
    # What had come before is not given out, and counts no longer.
    again = take(source, 4)
    for event in records + again:
        source.settle(event)
    assert [event.value for event in again + take(source, 4)] == wanted


@pytest.mark.parametrize("count", [512, 513])
def test_more_headers_than_the_limit_are_not_cut_off(consumes, channel, prefix, count):
    source = consumes()
    source.expect(UP)
    headers = {f"h{i}": f"value {i}" for i in range(count)}
    publish(channel, prefix, [b"x"], headers=headers)
    publish(channel, prefix, [b"y"])
    x, y = take(source, 2)
    if count == 512:
        assert dict(x.headers) == {name: value.encode() for name, value in headers.items()} and x.flags == 0
    else:
        assert x.flags == TOO_LARGE and x.offset2 > 5000 and x.headers == [] and not x.value
    assert y.value == b"y" and y.headers == []
    source.settle(x, b"too many")
    source.settle(y)
    source.close()
    assert channel.queue_declare(prefix, passive=True).method.message_count == 0


def test_headers_count_for_the_size_of_a_message(consumes, channel, prefix):
    source = consumes(max_record=1000)
    source.expect(UP)
    for size in (60_000, 70_000):
        publish(channel, prefix, [b"x"], headers={"h": "x" * size})
    small, large = take(source, 2)
    assert small.flags == 0 and small.value == b"x" and len(small.headers[0][1]) == 60_000
    assert large.flags == TOO_LARGE and large.offset2 > 70_000 and large.headers == []


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"exchange": "nowhere"}, '{server} can\'t bind queue "{queue}" to exchange "nowhere": NOT_FOUND'),
        ({"user": "weak", "password": "secret"}, 'queue "{queue}" does not exist in vhost "/" at {server}, and user "weak" may not'),
        ({"password": "wrong"}, '{server} refused the password of user "guest"'),
    ],
)
def test_a_source_says_what_is_wrong(consumes, server, prefix, options, wanted):
    assert reason(consumes(**options)).startswith(wanted.format(server=server.address, queue=prefix))


@pytest.mark.parametrize("arguments", [{}, {"x-max-age": "1h", "x-max-length-bytes": 1_000_000}])
def test_a_stream_is_no_source(consumes, channel, prefix, arguments):
    channel.queue_declare(prefix, durable=True, arguments={"x-queue-type": "stream", **arguments})
    source = consumes()
    assert "is a stream" in reason(source)
    assert not source.given(UP)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x-queue-type": "quorum"}, {"x-max-length": 1000, "x-message-ttl": 60_000, "x-single-active-consumer": True}],
)
@pytest.mark.parametrize("offset", [17, True, "17"])
def test_a_message_does_not_make_a_queue_a_stream(consumes, channel, prefix, arguments, offset):
    channel.queue_declare(prefix, durable=True, arguments=arguments)
    source = consumes()
    publish(channel, prefix, [b"x"], headers={"x-stream-offset": offset})
    publish(channel, prefix, [b"y"])
    x, y = take(source, 2)
    assert (x.value, y.value) == (b"x", b"y") and [name for name, _ in x.headers] == ["x-stream-offset"]
    assert not source.given(DOWN)


def test_the_time_of_what_others_publish_is_not_theirs_to_say(opens, channel, prefix):
    log = opens()
    log.expect(UP)
    read(log, 0, FROM_END)
    channel.basic_publish(prefix, "room", b"x", pika.BasicProperties(headers={"x-time": 17, "x-stream-offset": 3}))
    record = log.expect(RECORD)
    assert record.value == b"x" and record.timestamp != 17


def test_a_source_goes_on_when_the_server_comes_back(consumes, channel, server, prefix):
    source = consumes()
    source.expect(UP)
    publish(channel, prefix, values(10), delivery_mode=2)
    records = take(source, 10)
    for event in records[:3]:
        source.settle(event)
    source.wait(lambda: source.idle(0.3) or True, "the settling is sent")
    # In an orderly way: by a crash the server may forget what was settled last.
    server.stop()
    source.expect(REVOKED)
    assert server.address in reason(source)
    server.start()
    source.expect(UP)
    again = take(source, 7)
    assert [event.value for event in again] == values(10)[3:]
    # It is not confused by what came before.
    source.settle(records[9])
    source.rewind()
    assert [event.value for event in take(source, 7)] == values(10)[3:]


def test_a_source_notices_a_server_that_hangs(consumes, server):
    source = consumes()
    source.expect(UP)
    with server.paused():
        assert "has not answered for 3 s" in reason(source)
    source.expect(UP)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "localhost")


@pytest.fixture(scope="module")
def strict(tmp_path_factory, authority):
    """A server that wants clients' certificates, and takes small messages alone."""
    lines = ("ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true", "max_message_size = 100000")
    server = RabbitMQServer(tmp_path_factory.mktemp("strict"), *lines, tls=authority)
    yield server
    server.stop()


@pytest.fixture
def opens_tls(opens, strict, authority):
    def opens_tls(host="localhost", **options):
        files = {"ca": authority.authority, "certificate": authority.certificate, "key": authority.key}
        return opens(servers=f"{host}:{strict.tls_port}", tls="true", **files | options)

    return opens_tls


def test_tls_with_a_certificate(opens_tls):
    log = opens_tls()
    log.expect(UP)
    read(log, 0, FROM_END)
    wanted = [os.urandom(90_000) for _ in range(200)] + values(2000)
    log.append_all(0, wanted)
    log.wait(lambda: len(log.given(RECORD)) == len(wanted), "they are read")
    assert log.values(0) == wanted


def test_what_is_wrong_with_tls_is_said(opens_tls, opens, strict, tmp_path, server):
    (other := tmp_path / "other").mkdir()
    other = Authority(other)
    text = reason(opens_tls(ca=other.authority))
    assert "is not signed by an authority in " in text and other.authority in text
    assert "is for another name" in reason(opens_tls(host="127.0.0.1"))
    assert "does it want a client's certificate" in reason(opens_tls(certificate="", key=""))
    assert "can't be used together" in reason(opens_tls(key=other.key))
    assert "is it a port for TLS" in reason(opens(servers=f"127.0.0.1:{strict.tls_port}"))
    assert "127.0.0.1:1 can't be reached: Connection refused" in reason(opens(servers="127.0.0.1:1", tls="true"))


def test_a_record_that_is_too_large_for_the_server_fails_for_good(opens, strict):
    log = opens(servers=strict.address)
    log.expect(UP)
    tokens = [log.append(0, value) for value in (b"before", b"x" * 100_001, b"after")]
    failed = log.expect(FAILED, lambda event: event.token == tokens[1])
    assert failed.flags & FINAL and "larger than configured max size 100000" in failed.text
    log.wait(lambda: len(log.given(APPENDED) + log.given(FAILED)) == 3, "the others are answered")
    log.wait(lambda: log.append(0, b"x" * 100_000), "it is connected again")
    downs = len(log.given(DOWN))
    # Now it is known.
    token = log.append(0, b"x" * 100_001)
    failed = log.expect(FAILED, lambda event: event.token == token)
    assert failed.flags & FINAL and "takes no records of more than 100000 bytes" in failed.text
    assert len(log.given(DOWN)) == downs


def test_a_server_may_take_larger_records_later(opens, strict):
    log = opens(servers=strict.address)
    log.expect(UP)
    token = log.append(0, b"x" * 100_001)
    assert log.expect(FAILED, lambda event: event.token == token).flags & FINAL
    log.wait(lambda: log.append(0, b"small"), "it is connected again")
    downs = len(log.given(DOWN))
    strict.eval("application:set_env(rabbit, max_message_size, 200000)")
    try:
        strict.ctl("close_all_connections", "test")
        log.wait(lambda: len(log.given(DOWN)) > downs, "it is connected no more")
        token = log.wait(lambda: log.append(0, b"x" * 150_000), "it is connected again")
        log.wait(lambda: token in {event.token for event in log.given(APPENDED) + log.given(FAILED)}, "it is answered")
        assert token in {event.token for event in log.given(APPENDED)}
    finally:
        strict.eval("application:set_env(rabbit, max_message_size, 100000)")
