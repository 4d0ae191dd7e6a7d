"""The plugin for Kafka against what stands in for Kafka: each test that can says so for both."""

import subprocess
import threading

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
    LOST,
    RECORD,
    REPLACED,
    TOO_LARGE,
    UNCERTAIN,
    UP,
    Log,
    Refused,
)
from kafkaproxy import KafkaProxy
from kafkaserver import (
    CLUSTER_DENIED,
    INIT_PRODUCER_ID,
    PRODUCE,
    RECORD_TOO_LARGE,
    TOPIC_DENIED,
    UNKNOWN_TOPIC,
    MockKafka,
    Noida,
)
from ports import free_port
from redisserver import Authority


@pytest.fixture
def mock():
    cluster = MockKafka(brokers=3, topics={"wsd": 4})
    yield cluster
    cluster.kill()


@pytest.fixture
def noida():
    server = Noida()
    yield server
    server.remove()


@pytest.fixture(params=["mock", "noida"])
def broker(request):
    return request.getfixturevalue(request.param)


def open_log(broker, **options):
    servers = broker if isinstance(broker, str) else broker.servers
    return Log("kafka", **{"servers": servers, "prefix": "wsd", "partitions": 4, "client": "a", **options})


def read_all(log, start=FROM_END, place=0):
    for partition in range(4):
        log.read(partition, start, place)
    count = len(log.given(CAUGHT_UP)) + 4
    log.wait(lambda: len(log.given(CAUGHT_UP)) == count, "the ends are reached")


# Appending and reading.


def test_records_of_a_partition_come_back_in_order(broker):
    with open_log(broker) as log:
        assert log.expect(UP).partition == 4
        read_all(log)
        values = [[b"%d of %d" % (i, partition) for i in range(500)] for partition in range(4)]
        for partition in range(4):
            log.append_all(partition, values[partition])
        log.wait(lambda: len(log.given(RECORD)) == 2000, "all records are read")
        assert [log.values(partition) for partition in range(4)] == values
        offsets = [event.offset for event in log.given(RECORD) if event.partition == 2]
        assert offsets == [event.offset for event in log.given(APPENDED) if event.partition == 2]
        assert all(event.key == b"k" and event.timestamp > 1e12 for event in log.given(RECORD))


def test_records_are_any_bytes(broker):
    values = [b"", b"\0", bytes(range(256)), b"x" * 1_000_000]
    with open_log(broker, property__compression_codec="zstd") as log:
        log.expect(UP)
        log.read(1, FROM_END)
        log.expect(CAUGHT_UP)
        log.append_all(1, values)
        log.wait(lambda: len(log.given(RECORD)) == len(values), "all records are read")
        assert log.values(1) == values


def test_what_is_in_the_log_is_read_from_an_offset_and_from_a_time(broker):
    with open_log(broker) as log:
        log.expect(UP)
        values = [b"%d" % i for i in range(100)]
        log.append_all(3, values)
        log.read(3, FROM_OFFSET, 40)
        assert log.expect(CAUGHT_UP).offset == 100
        assert log.values(3) == values[40:]
        now = log.given(RECORD)[-1].timestamp
        for time, expected in ((0, values), (now - 3_600_000, values), (now + 3_600_000, [])):
            log.events.clear()
            log._seen = 0
            log.read(3, FROM_TIME, time)
            assert log.expect(CAUGHT_UP).offset == 100
            assert log.values(3) == expected
        # An empty partition.
        log.read(2, FROM_TIME, now - 3_600_000)
        assert log.expect(CAUGHT_UP).offset == 0
        log.append_all(2, [b"first"])
        log.append_all(3, [b"last"])
        log.wait(lambda: log.values(2) == [b"first"] and log.values(3) == [b"last"], "what comes then is read")


def test_an_offset_behind_the_end_is_of_another_log(broker):
    with open_log(broker) as log:
        log.expect(UP)
        log.append_all(0, [b"1", b"2"])
        log.read(0, FROM_OFFSET, 2)
        assert log.expect(CAUGHT_UP).offset == 2
        log.read(0, FROM_OFFSET, 3)
        assert log.expect(REPLACED).offset == 2
        log.read(0, FROM_OFFSET, 0)
        log.expect(CAUGHT_UP)
        assert log.values(0) == [b"1", b"2"]


def test_what_retention_took_is_lost(mock):
    """A partition of the mock cluster keeps 5 MiB."""
    with open_log(mock) as log:
        log.expect(UP)
        log.append_all(0, [b"%d" % i + b"x" * 500_000 for i in range(20)])
        log.read(0, FROM_OFFSET, 3)
        lost = log.expect(LOST)
        assert 3 < lost.offset < 20
        log.expect(CAUGHT_UP)
        assert [event.offset for event in log.given(RECORD)] == list(range(lost.offset, 20))


def test_a_record_beyond_the_limit_is_only_told_of(mock):
    with open_log(mock, max_record=1000) as log:
        log.expect(UP)
        log.append_all(0, [b"x" * 1000, b"x" * 1001, b"y"])
        log.read(0, FROM_OFFSET, 0)
        log.expect(CAUGHT_UP)
        first, second, third = log.given(RECORD)
        assert (first.flags, second.flags, third.flags) == (0, TOO_LARGE, 0)
        assert second.value is None and second.offset2 == 1001 and third.value == b"y"


def test_what_was_appended_is_sent_before_it_closes(broker):
    log = open_log(broker)
    log.expect(UP)
    for i in range(1000):
        assert log.append(1, b"%d" % i)
    log.close()
    with open_log(broker) as log:
        log.expect(UP)
        log.read(1, FROM_OFFSET, 0)
        log.wait(lambda: len(log.values(1)) == 1000, "all are there")
        assert log.values(1) == [b"%d" % i for i in range(1000)]


def test_kcat_reads_and_writes_the_same(broker):
    with open_log(broker) as log:
        log.expect(UP)
        read_all(log)
        subprocess.run(
            ["kcat", "-P", "-b", broker.servers, "-t", "wsd", "-p", "2", "-K:"], input=b"room:hello\n", check=True, timeout=60
        )
        record = log.expect(RECORD)
        assert (record.partition, record.key, record.value) == (2, b"room", b"hello")
        log.append_all(3, [b"answer"])
        heard = subprocess.run(
            ["kcat", "-C", "-b", broker.servers, "-t", "wsd", "-p", "3", "-e", "-o", "0", "-f", "%k:%s\n"],
            check=True, timeout=60, capture_output=True,
        )
        assert heard.stdout == b"k:answer\n"


# Options.


@pytest.mark.parametrize(
    "options, error",
    [
        ({"servers": ""}, "servers is missing"),
        ({"prefix": ""}, "prefix is missing"),
        ({"prefix": "a b"}, '"a b" can\'t be the name of a topic'),
        ({"partitions": "0"}, 'partitions is "0", which is no whole number from 1 to 10000'),
        ({"tls": "yes"}, 'tls is "yes", which is neither true nor false'),
        ({"ca": "/etc/ca.pem"}, "ca is given, but tls is not true"),
        ({"tls": "true", "ca": "/nonexistent.pem"}, 'ca "/nonexistent.pem" can\'t be read: No such file or directory'),
        ({"tls": "true", "key": "/dev/null"}, "certificate and key are given both or not at all"),
        ({"user": "hub"}, 'the password of user "hub" is missing'),
        ({"password": "secret"}, "user is missing"),
        ({"mechanism": "GSSAPI", "user": "hub", "password": "secret"}, 'mechanism is "GSSAPI", which is none of PLAIN,'),
        ({"mechanism": "OAUTHBEARER"}, "needs a token as the password, or property.sasl.oauthbearer.method = oidc"),
        ({"property.linger.msec": "1"}, 'knows no property "linger.msec"'),
        ({"property.linger.ms": "soon"}, 'linger.ms "soon": '),
        ({"property.acks": "1"}, 'property "acks" is set by wsd'),
    ],
)
def test_options_that_cannot_be_used_are_named(options, error):
    with pytest.raises(Refused) as refused:
        Log("kafka", **{"servers": "127.0.0.1:9", "prefix": "wsd", **options})
    assert error in str(refused.value)
    assert "secret" not in str(refused.value)


# Reasons for down.


def test_nobody_listens_and_then_somebody_does(noida):
    noida.kill()
    with open_log(noida) as log:
        assert log.expect(DOWN).text == f"{noida.servers} can't be reached: Connection refused"
        assert log.append(0, b"x") is None
        noida.start()
        assert log.expect(UP).partition == 4


def test_a_name_that_nobody_has():
    with open_log("nobody.invalid:9092") as log:
        assert log.expect(DOWN).text.startswith("nobody.invalid:9092 can't be resolved: ")


def test_a_topic_that_must_not_be_seen(mock):
    mock.command("topicerror", "wsd", TOPIC_DENIED)
    with open_log(mock) as log:
        assert log.expect(DOWN).text == 'user "ANONYMOUS" may not see topic "wsd"'
        mock.command("topicerror", "wsd", 0)
        log.expect(UP)


def test_a_topic_that_is_missing_and_cannot_be_created(mock):
    """The mock cluster knows nothing of creating topics."""
    mock.command("topicerror", "wsd", UNKNOWN_TOPIC)
    with open_log(mock) as log:
        assert log.expect(DOWN).text.startswith('topic "wsd" does not exist, and can\'t be created: ')
        mock.command("topicerror", "wsd", 0)
        assert log.expect(UP).partition == 4


def test_appending_that_is_not_allowed(mock):
    with open_log(mock) as log:
        log.expect(UP)
        mock.command("error", PRODUCE, TOPIC_DENIED, 1)
        token = log.append(0, b"x")
        failed = log.expect(FAILED)
        assert failed.token == token and not failed.flags & FINAL
        assert log.expect(DOWN).text == 'appending to topic "wsd" fails: Broker: Topic authorization failed'
        # It is tried again with a connection of its own.
        log.expect(UP)
        log.append_all(0, [b"y"])


def test_a_producer_that_is_not_allowed(mock):
    mock.command("error", INIT_PRODUCER_ID, CLUSTER_DENIED, 1)
    with open_log(mock) as log:
        assert "Cluster authorization failed" in log.expect(DOWN).text
        log.expect(UP)
        log.append_all(0, [b"y"])


def test_tls(wsd_directory, noida):
    authority = Authority(wsd_directory)
    proxy = KafkaProxy(noida.port, authority=authority)
    with open_log(proxy, tls="true", ca=authority.authority) as log:
        log.expect(UP)
        log.append_all(0, [b"x"])
    with open_log(proxy, tls="true") as log:
        assert log.expect(DOWN).text == f"TLS with {proxy.servers} fails: certificate verify failed"
    with open_log(proxy) as log:
        assert log.expect(DOWN).text == f"{proxy.servers} closed the connection at once: it may want TLS (tls = true)"
    with open_log(noida, tls="true") as log:
        assert log.expect(DOWN).text == f"TLS with {noida.servers} fails: unexpected eof while reading"
    proxy.close()


def test_tls_with_the_certificate_of_another(wsd_directory, noida):
    authority = Authority(wsd_directory, "other.example")
    proxy = KafkaProxy(noida.port, authority=authority)
    with open_log(proxy, tls="true", ca=authority.authority) as log:
        assert log.expect(DOWN).text == f"TLS with {proxy.servers} fails: certificate verify failed"
    proxy.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_users(noida, mechanism):
    proxy = KafkaProxy(noida.port, users={"hub": "right"}, mechanism=mechanism)
    with open_log(proxy, mechanism=mechanism, user="hub", password="right") as log:
        log.expect(UP)
        log.append_all(0, [b"x"])
        # Refused from now on, where it connects anew.
        proxy.users = {"hub": "other"}
        proxy.cut()
        secret = "token" if mechanism == "OAUTHBEARER" else "password"
        refused = log.expect(DOWN, lambda event: "refused" in event.text).text
        assert refused.startswith(f'{proxy.servers} refused the {secret} of user "hub": ')
        assert "right" not in refused
        proxy.users = {"hub": "right"}
        log.expect(UP)
        log.append_all(0, [b"y"])
    with open_log(proxy) as log:
        down = log.expect(DOWN).text
        assert "closed the connection" in down
    proxy.close()


# Faults.


def test_brokers_down_and_up(mock):
    with open_log(mock) as log:
        log.expect(UP)
        read_all(log)
        log.append_all(0, [b"before"])
        for number in (1, 2, 3):
            mock.down(number)
        assert log.expect(DOWN).text
        assert log.append(0, b"x") is None
        for number in (1, 2, 3):
            mock.up(number)
        log.expect(UP)
        log.append_all(0, [b"after"])
        log.wait(lambda: log.values(0) == [b"before", b"after"], "reading goes on where it was")


def test_a_broker_that_is_down_keeps_nobody_from_the_others(mock):
    for partition in range(4):
        mock.command("leader", "wsd", partition, 1 + partition % 2)
    with open_log(mock, property__message_timeout_ms=2000) as log:
        log.expect(UP)
        read_all(log)
        log.append_all(0, [b"x"])
        log.append_all(1, [b"x"])
        mock.down(2)
        token = log.append(1, b"nobody takes it")
        log.append_all(0, [b"y"])
        assert log.expect(FAILED).token == token
        mock.up(2)
        log.append_all(1, [b"y"])
        log.wait(lambda: log.values(0) == log.values(1) == [b"x", b"y"], "both are read")
        assert log.given(DOWN) == []


def test_leaders_move_under_load(mock):
    """Nothing is lost, in order, and what the broker has twice is what it took for lost."""
    with open_log(mock) as log:
        log.expect(UP)
        read_all(log)
        for turn in range(6):
            for partition in range(4):
                mock.command("leader", "wsd", partition, 1 + (turn + partition) % 3)
            for i in range(50):
                for partition in range(4):
                    log.wait(lambda: log.append(partition, b"%d" % (turn * 50 + i)), "there is room")
        log.wait(lambda: len(log.given(APPENDED)) == 1200, "all are appended")
        for partition in range(4):
            log.wait(lambda: log.values(partition)[-1:] == [b"299"], "the last is read")
            assert log.values(partition) == [b"%d" % i for i in range(300)]


def test_a_partition_without_a_leader(mock):
    with open_log(mock) as log:
        log.expect(UP)
        mock.command("leader", "wsd", 2, -1)
        assert log.expect(DOWN).text == 'partition 2 of topic "wsd" has no leader'
        mock.command("leader", "wsd", 2, 1)
        log.expect(UP)


def test_a_broker_that_hangs(noida):
    with open_log(noida) as log:
        log.expect(UP)
        read_all(log)
        log.append_all(0, [b"before"])
        with noida.paused():
            assert log.expect(DOWN).text == f"{noida.servers} does not answer"
        log.expect(UP)
        log.append_all(0, [b"after"])
        log.wait(lambda: log.values(0) == [b"before", b"after"], "reading goes on")


def test_a_broker_that_hangs_holds_up_no_end(noida):
    log = open_log(noida)
    log.expect(UP)
    read_all(log)
    log.append_all(0, [b"x"])
    with noida.paused():
        for _ in range(100):
            log.append(0, b"y")
        ended = threading.Thread(target=log.close, args=(500,))
        ended.start()
        ended.join(10)
        assert not ended.is_alive()


def test_a_restart_with_data(noida):
    with open_log(noida) as log:
        log.expect(UP)
        read_all(log)
        log.append_all(0, [b"before"])
        noida.restart(with_data=True)
        log.expect(DOWN)
        log.expect(UP)
        log.append_all(0, [b"after"])
        log.wait(lambda: log.values(0) == [b"before", b"after"], "reading goes on")


def test_a_restart_without_data(noida):
    with open_log(noida) as log:
        log.expect(UP)
        read_all(log)
        log.append_all(0, [b"%d" % i for i in range(10)])
        log.wait(lambda: len(log.values(0)) == 10, "all is read")
        noida.restart(with_data=False)
        log.expect(DOWN)
        log.expect(UP)
        assert log.expect(REPLACED).offset == 0
        log.read(0, FROM_OFFSET, 0)
        log.append_all(0, [b"anew"])
        log.wait(lambda: log.values(0)[10:] == [b"anew"], "the new log is read")


def test_partitions_are_added(noida):
    with open_log(noida) as log:
        assert log.expect(UP).partition == 4
        log.append_all(0, [b"x"])
        noida.add_partitions("wsd", 6)
        assert log.expect(UP).partition == 6
        log.read(5, FROM_END)
        log.expect(CAUGHT_UP)
        log.append_all(5, [b"new"])
        log.wait(lambda: log.values(5) == [b"new"], "the new partition is read")
        assert log.given(DOWN) == []


def test_a_record_that_is_too_large_is_refused_for_good(mock):
    with open_log(mock) as log:
        log.expect(UP)
        mock.command("error", PRODUCE, RECORD_TOO_LARGE, 1)
        token = log.append(0, b"x")
        failed = log.expect(FAILED)
        assert (failed.token, failed.flags) == (token, FINAL)
        assert "too large" in failed.text
        # Larger than the client itself takes.
        token = log.append(0, b"x" * (65 << 20))
        failed = log.expect(FAILED)
        assert (failed.token, failed.flags) == (token, FINAL | TOO_LARGE)
        log.append_all(0, [b"y"])


def test_what_waits_is_bounded_and_answered(noida):
    with open_log(noida, property__message_timeout_ms=60000) as log:
        log.expect(UP)
        log.append_all(0, [b"x"])
        with noida.paused():
            tokens = []
            while token := log.append(0, b"z" * 10_000):
                tokens.append(token)
            assert 1000 < len(tokens) <= 10_000
        log.wait(lambda: len(log.given(APPENDED)) + len(log.given(FAILED)) > len(tokens), "each is answered")
        answered = [event.token for event in log.events if event.kind in (APPENDED, FAILED)]
        assert sorted(answered)[1:] == tokens
        log.append_all(0, [b"room again"])


def test_records_that_time_out_may_be_there(noida):
    with open_log(noida, property__message_timeout_ms=1000) as log:
        log.expect(UP)
        log.append_all(0, [b"x"])
        with noida.paused():
            log.append(0, b"y")
            log.expect(DOWN)
        # librdkafka finds that a record has timed out while the broker is silent, or not before it is there again.
        log.wait(lambda: len(log.given(FAILED)) + len(log.given(APPENDED)) == 2, "it is answered", 120)
        for failed in log.given(FAILED):
            assert failed.flags == UNCERTAIN and "timed out" in failed.text
