import Settings
import Testing

@testable import Configuration

@Suite("Consumers")
struct ConsumeTests {
    private let base = "[[consume]]\nsource = \"redis-stream\"\nstream = \"orders\"\n"
    private let broker = "[broker]\ntype = \"redis\"\nurl = \"redis://a\"\n"

    @Test("A stream alone is read at the broker, by the group wsd, and each record names its channel")
    func defaults() throws {
        let consumers = try loaded(broker + base).configuration.consumers
        #expect(consumers == [Settings.Consume(stream: "orders")])
        #expect(consumers[0].group == "wsd" && consumers[0].channelField == "channel" && consumers[0].format == .json)
        #expect(try loaded("").configuration.consumers.isEmpty)
        #expect(try loaded("consume = []").configuration.consumers.isEmpty)
    }

    @Test(
        "Each mistake is told with its place and the way out",
        arguments: [
            ("", "consume.url: without it the source is at broker.url, and that names no server of Redis"),
            ("url = \"redis+cluster://a\"", "consume.url: a stream is read from a single Redis server or the master"),
            ("url = \"redis://u@a\"", "consume.url: it names a user and no password"),
            (
                "url = \"redis://:p@a\"\npassword_file = \"/a\"",
                "consume.password_file: consume.url has a password, too; leave one of them out"
            ),
            ("url = \"redis://a\"\nca_file = \"/a\"", "consume.ca_file: the connection to redis://a:6379 has no TLS"),
            (
                "url = \"redis://a\"\nchannel = \"x\"\nchannel_field = \"y\"",
                "consume.channel_field: every record goes to consume.channel, \"x\"; leave one of them out"
            ),
            ("url = \"redis://a\"\ndead_letter = \"orders\"", "consume.dead_letter: \"orders\" is the stream itself"),
            ("url = \"redis://a\"\ngroup = \"\"", "consume.group: \"\" is no name; give 1 to 255 bytes"),
            ("url = \"redis://a\"\nformat = \"xml\"", "consume.format: \"xml\" is unknown"),
            ("url = \"redis://a\"\nfrom = \"newest\"", "consume.from: \"newest\" is unknown"),
            ("url = \"redis://a\"\nchanel = \"x\"", "unknown key \"chanel\" in [[consume]]; did you mean \"channel\"?"),
            (
                "url = \"redis://a\"\n[[consume]]\nsource = \"redis-stream\"\nstream = \"orders\"\nurl = \"redis://a\"",
                "consume.group: \"wsd\" reads \"orders\" already (f:3)"
            ),
        ])
    func mistakes(lines: String, error: String) {
        let found = errors(base + lines)
        #expect(found.count == 1 && found[0].contains(error), "\(found)")
    }

    @Test("The source and the stream are required, and are in tables")
    func required() {
        #expect(
            errors("[[consume]]\nurl = \"redis://a\"") == [
                "f:1:1: consume: it has no source; give one, such as source = \"redis-stream\"",
                "f:1:1: consume: it has no stream; give one, such as stream = \"orders\"",
            ])
        #expect(
            errors("[consume]\nstream = \"a\"") == [
                "f:1:2: consume: there can be several, so write [[consume]] above its keys"
            ])
        #expect(
            errors(broker + "[[consume]]\nsource = \"pulsar\"\nstream = \"a\"") == [
                "f:5:10: consume.source: \"pulsar\" is unknown; give \"redis-stream\", \"kafka-topic\", \"rabbitmq-queue\" or \"nats-stream\""
            ])
    }

    @Test(
        "Each kind of source has its own keys",
        arguments: [
            ("kafka-topic", "url = \"kafka://a,b\"\ngroup = \"g\"\nfrom = \"beginning\"", nil),
            ("rabbitmq-queue", "url = \"amqps://a/v\"\nexchange = \"e\"\nbinding = \"#\"", nil),
            ("rabbitmq-queue", "url = \"amqp://a\"", nil),
            (
                "kafka-topic", "url = \"redis://a\"",
                "consume.url: redis://a:6379 is no server of Kafka, where a kafka-topic is"
            ),
            (
                "kafka-topic", "",
                "consume.url: without it the source is at broker.url, and that names no server of Kafka"
            ),
            ("kafka-topic", "url = \"kafka://a\"\ndead_letter = \"d\"", "consume.dead_letter: a topic has none"),
            ("rabbitmq-queue", "url = \"amqp://a\"\ndead_letter = \"d\"", "consume.dead_letter: a queue has its own"),
            ("rabbitmq-queue", "url = \"amqp://a\"\ngroup = \"d\"", "consume.group: a queue has no groups"),
            (
                "rabbitmq-queue", "url = \"amqp://a\"\nbinding = \"d\"",
                "consume.binding: \"d\" needs consume.exchange, the exchange that the queue is bound to"
            ),
            ("kafka-topic", "url = \"kafka://a\"\nexchange = \"d\"", "consume.exchange: a kafka-topic has none"),
            ("nats-stream", "url = \"nats://a\"\nsubject = \"orders.*.a.>\"\ngroup = \"g\"", nil),
            ("nats-stream", "url = \"tls://token@a\"\nca_file = \"/a\"", nil),
            ("nats-stream", "url = \"nats://a\"\ncredentials_file = \"/a\"", nil),
            (
                "nats-stream", "url = \"nats://u:p@a\"\ncredentials_file = \"/a\"",
                "consume.credentials_file: consume.url says who this is, too"
            ),
            (
                "nats-stream", "url = \"nats://a\"\ncredentials_file = \"/a\"\npassword_file = \"/b\"",
                "consume.credentials_file: consume.password_file says who this is, too"
            ),
            (
                "kafka-topic", "url = \"kafka://a\"\ncredentials_file = \"/a\"",
                "consume.credentials_file: a kafka-topic has none"
            ),
            ("redis-stream", "url = \"redis://a\"\nsubject = \"d\"", "consume.subject: a redis-stream has none"),
            ("nats-stream", "url = \"nats://a\"\nsubject = \"a..b\"", "\"a..b\" is no subject of NATS"),
            ("nats-stream", "url = \"nats://a\"\nsubject = \"a.>.b\"", "\"a.>.b\" is no subject of NATS"),
            ("nats-stream", "url = \"nats://a\"\nsubject = \"a*\"", "\"a*\" is no subject of NATS"),
            ("nats-stream", "url = \"nats://a\"\ngroup = \"a.b\"", "consume.group: NATS has no name such as \"a.b\""),
            ("nats-stream", "url = \"nats://a\"\ndead_letter = \"d\"", "reports such a record as terminated"),
            ("nats-stream", "url = \"redis://a\"", "consume.url: redis://a:6379 is no server of NATS"),
            (
                "nats-stream", "",
                "consume.url: without it the source is at broker.url, and that names no server of NATS"
            ),
        ] as [(String, String, String?)])
    func kinds(source: String, lines: String, error: String?) {
        let found = errors("[[consume]]\nsource = \"\(source)\"\nstream = \"orders\"\n" + lines)
        if let error { #expect(found.count == 1 && found[0].contains(error), "\(found)") } else { #expect(found == []) }
    }

    @Test("A stream of NATS is at the broker, one server or a cluster, unless told otherwise")
    func atTheBroker() {
        let table = "[[consume]]\nsource = \"nats-stream\"\nstream = "
        #expect(errors("[broker]\ntype = \"nats\"\nurl = \"nats://a\"\n\(table)\"ORDERS\"") == [])
        #expect(errors("[broker]\ntype = \"nats\"\nurls = [\"nats://a\", \"nats://b\"]\n\(table)\"ORDERS\"") == [])
        let found = errors("[broker]\ntype = \"nats\"\nurl = \"nats://a\"\n\(table)\"orders.>\"")
        #expect(found.count == 1 && found[0].contains("the subjects that are read are consume.subject"), "\(found)")
    }

    @Test("What is printed can be read again, and a change waits for a restart")
    func printing() throws {
        let text = broker + base + "channel = \"x\"\ngroup = \"g\"\ndead_letter = \"d\"\nfrom = \"beginning\""
        let first = try loaded(text)
        #expect(first.printed.contains("[[consume]]\nsource = \"redis-stream\""))
        let changes = first.changes(from: try loaded(broker))
        #expect(changes.map(\.key) == ["consume[0]"] && changes.allSatisfy { $0.change == .restart })
    }
}
