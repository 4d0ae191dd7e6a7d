extension Settings {
    /// One `[[consume]]`: a source outside whose records are published in channels.
    package struct Consume: Sendable, Equatable {
        /// The kind of source.
        package var source = ConsumeSource.redisStream
        /// Where the source is; nil for the broker's own server. It may contain a password, so it is never shown.
        package var url: BrokerURL?
        /// The file with the password; nil for none, or if it is in the URL.
        package var passwordFile: KeyFile?
        /// The file with the certificates of the authorities that sign the server's; nil for those of the system.
        package var authorityFile: KeyFile?
        /// The file with the key, or the credentials, of a user of NATS; nil for none.
        package var credentialsFile: KeyFile?
        /// The key or name of the stream, or the name of the topic or queue.
        package var stream: String
        /// The subjects of a stream of NATS that are read; empty for all.
        package var subject = ""
        /// The exchange of RabbitMQ that a queue is bound to; empty if it is only read.
        package var exchange = ""
        /// The pattern of routing keys by which it is bound.
        package var binding = ""
        /// The consumer group, in which each record is published once.
        package var group = "wsd"
        /// Where a group that does not exist yet begins.
        package var from = ConsumeStart.new
        /// The channel of all records; empty if each record names its own.
        package var channel = ""
        /// The field with the name of a record's channel.
        package var channelField = "channel"
        /// The field with the message.
        package var dataField = "data"
        /// What the message is.
        package var format = ConsumeFormat.json
        /// The stream for records that can't be published; empty if they are only logged.
        package var deadLetter = ""

        /// A source, with the defaults of wsd.toml(5) for everything that is not given.
        package init(stream: String) { self.stream = stream }
    }

    /// The kinds of source.
    package enum ConsumeSource: String, Sendable, CaseIterable {
        /// A stream on a Redis server.
        case redisStream = "redis-stream"
        /// A topic of Kafka.
        case kafkaTopic = "kafka-topic"
        /// A queue of RabbitMQ.
        case rabbitmqQueue = "rabbitmq-queue"
        /// A stream of NATS' JetStream.
        case natsStream = "nats-stream"

        /// The kind of broker that it is at.
        package var type: BrokerType {
            switch self {
            case .redisStream: .redis
            case .kafkaTopic: .kafka
            case .rabbitmqQueue: .rabbitmq
            case .natsStream: .nats
            }
        }
    }

    /// Where a new consumer group begins.
    package enum ConsumeStart: String, Sendable, CaseIterable {
        /// With the records that come from then on.
        case new
        /// With the oldest record that there is.
        case beginning
    }

    /// What the messages of a source are.
    package enum ConsumeFormat: String, Sendable, CaseIterable {
        /// JSON values.
        case json
        /// Text, which clients of the `json` protocol get as a string.
        case text
        /// Bytes, for clients of the `relay` protocol.
        case binary
    }
}
