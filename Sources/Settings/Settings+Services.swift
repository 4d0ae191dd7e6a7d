import Base

extension Settings {
    /// `[control]`: the sockets for wsctl(1).
    package struct Control: Sendable, Equatable {
        /// The socket for full control, unless systemd passes one named "control"; an absolute path, or empty for no
        /// such socket.
        package var path = "/run/wsd/io.wsd.Control"
        /// The read-only socket, unless systemd passes one named "status"; a path like `path`, but a different one.
        package var statusPath = "/run/wsd/io.wsd.Status"
    }

    /// `[api]`: the HTTP API.
    package struct API: Sendable, Equatable {
        /// The addresses to listen on unless systemd passes a socket named "api"; empty for none.
        package var listen = [ListenAddress(address: .loopback, port: 8081)]
        /// The addresses for clients that begin with TLS, unless systemd passes a socket named "api-tls".
        package var listenTLS: [ListenAddress] = []
        /// The file with the keys for sending messages; nil for none.
        package var publishKeyFile: KeyFile?
        /// The file with the keys for reading.
        package var readKeyFile: KeyFile?
        /// The file with the keys for everything.
        package var adminKeyFile: KeyFile?
    }

    /// `[broker]`: the broker that carries messages between nodes.
    package struct Broker: Sendable, Equatable {
        /// The kind of broker.
        package var type = BrokerType.local
        /// The broker's URL; nil for `local`. It may contain a password, so it is never shown.
        package var url: BrokerURL?
        /// Several independent servers, each with a part of the channels; empty if there is one URL.
        package var urls: [BrokerURL] = []
        /// The file with the password; nil for none, or if it is in the URL.
        package var passwordFile: KeyFile?
        /// The file with the password for the Sentinels; nil for none.
        package var sentinelPasswordFile: KeyFile?
        /// The file with the key of a NATS user, or with credentials; nil for none.
        package var credentialsFile: KeyFile?
        /// The file with the certificates of the authorities that sign the broker's; nil for those of the system.
        package var authorityFile: KeyFile?
        /// The name by which other nodes and operators know this node; empty for the host's name.
        package var nodeName = ""
        /// The first part of every key and channel at the broker.
        package var prefix = "wsd"
        /// The time within which a broker that no longer delivers is noticed.
        package var probeInterval: Duration = .seconds(2)
        /// The maximum size of what waits for the broker.
        package var queueLimitByteCount = 16 * 1024 * 1024
        /// The maximum time that it waits.
        package var queueTimeout: Duration = .seconds(10)
        /// The time after which a node that is not heard of is gone, and its users with it.
        package var presenceTTL: Duration = .seconds(10)
        /// The number of NATS servers that keep a copy of each stream.
        package var natsReplicas = 1
        /// Where NATS keeps streams.
        package var natsStorage = NATSStorage.file
        /// The file with the certificate that a broker gets of this node, and the file with its key; nil for none.
        package var certificateFile: KeyFile?
        package var keyFile: KeyFile?
        /// The number of partitions that a log is made with; 0 is 8 for Kafka and 1 for RabbitMQ.
        package var partitions = 0
        /// The time for which a log that is made keeps records.
        package var retention: Duration = .seconds(3_600)
        /// The memory that the histories of all channels of a log take at most, in bytes.
        package var historyLimitByteCount = 256 * 1024 * 1024
        /// The number of servers of Kafka that keep a copy of each partition.
        package var kafkaReplicas = 1
        package var saslMechanism = SASLMechanism.plain
        /// Further settings of Kafka's client, each as NAME=VALUE.
        package var kafkaProperties: [String] = []
    }

    /// The places where NATS keeps streams.
    package enum NATSStorage: String, Sendable, CaseIterable {
        /// Files, so that streams survive a restart of all servers.
        case file
        /// Memory.
        case memory
    }

    /// The kinds of broker.
    package enum BrokerType: String, Sendable, CaseIterable {
        /// None: this node is alone.
        case local
        /// Redis, or Valkey.
        case redis
        /// NATS with JetStream.
        case nats
        /// Kafka, or what speaks its protocol.
        case kafka
        /// RabbitMQ with streams.
        case rabbitmq

        /// Whether the broker is a log that all nodes read, by a plugin.
        package var isLog: Bool { self == .kafka || self == .rabbitmq }
        /// The name for people.
        package var title: String {
            switch self {
            case .local: "none"
            case .redis: "Redis"
            case .nats: "NATS"
            case .kafka: "Kafka"
            case .rabbitmq: "RabbitMQ"
            }
        }
    }

    /// How a client of Kafka proves who it is.
    package enum SASLMechanism: String, Sendable, CaseIterable {
        case plain
        case scramSHA256 = "scram-sha-256"
        case scramSHA512 = "scram-sha-512"
        case oauthbearer
    }

    /// `[log]`: the log.
    package struct Log: Sendable, Equatable {
        /// The lowest level that is logged.
        package var level = LogLevel.info
        /// Whether each handshake and each close is logged.
        package var access = AccessLog.off

        /// Whether unremarkable events are logged.
        package var wantsEverything: Bool { access != .off || level == .debug || level == .trace }
    }

    /// The amount of access log that is written.
    package enum AccessLog: String, Sendable, CaseIterable {
        /// No lines.
        case off
        /// A limited number of lines per second, and the number of lines left out.
        case limited
        /// Every line.
        case all
    }

    /// The importance of a line in the log, from the lowest; the names are those of swift-log.
    package enum LogLevel: String, Sendable, CaseIterable {
        /// Every frame.
        case trace
        /// Information for developers.
        case debug
        /// Information for administrators.
        case info
        /// A noteworthy event.
        case notice
        /// A condition that may become an error.
        case warning
        /// A failure.
        case error
        /// A failure that ends the service.
        case critical
    }
}
