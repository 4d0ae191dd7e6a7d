/// Where a broker is, and how one logs in there.
package struct BrokerURL: Sendable, Equatable, CustomStringConvertible {
    /// The way to the broker.
    package enum Scheme: String, Sendable, CaseIterable {
        /// TCP.
        case redis
        /// TCP with TLS.
        case rediss
        /// A Unix socket.
        case unix
        /// A master that Sentinels know.
        case sentinel = "redis+sentinel"
        case sentinelTLS = "rediss+sentinel"
        /// A cluster.
        case cluster = "redis+cluster"
        case clusterTLS = "rediss+cluster"
        /// A NATS server, or one of a cluster of them.
        case nats
        case natsTLS = "tls"
        /// Servers of a Kafka cluster.
        case kafka
        case kafkaTLS = "kafka+tls"
        /// Servers of a RabbitMQ cluster, each tried in turn.
        case amqp
        case amqps

        /// The kind of broker that has it.
        package var type: Settings.BrokerType {
            switch self {
            case .redis, .rediss, .unix, .sentinel, .sentinelTLS, .cluster, .clusterTLS: .redis
            case .nats, .natsTLS: .nats
            case .kafka, .kafkaTLS: .kafka
            case .amqp, .amqps: .rabbitmq
            }
        }

        package var usesTLS: Bool {
            switch self {
            case .rediss, .sentinelTLS, .clusterTLS, .natsTLS, .kafkaTLS, .amqps: true
            case .redis, .unix, .sentinel, .cluster, .nats, .kafka, .amqp: false
            }
        }

        package var isSentinel: Bool { self == .sentinel || self == .sentinelTLS }
        package var isCluster: Bool { self == .cluster || self == .clusterTLS }

        /// The same way with TLS.
        package var withTLS: Scheme {
            switch self {
            case .redis, .rediss, .unix: .rediss
            case .sentinel, .sentinelTLS: .sentinelTLS
            case .cluster, .clusterTLS: .clusterTLS
            case .nats, .natsTLS: .natsTLS
            case .kafka, .kafkaTLS: .kafkaTLS
            case .amqp, .amqps: .amqps
            }
        }

        /// Whether a URL may have several hosts.
        package var hasSeveralHosts: Bool { isSentinel || isCluster || type == .kafka || type == .rabbitmq }

        /// The port if none is given.
        package var port: Int {
            switch type {
            case .local, .redis: isSentinel ? 26_379 : 6_379
            case .nats: 4_222
            case .kafka: 9_092
            case .rabbitmq: usesTLS ? 5_671 : 5_672
            }
        }
    }

    /// A server, or a Sentinel.
    package struct Host: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address, without brackets.
        package var name: String
        package var port: Int

        package init(name: String, port: Int) {
            self.name = name
            self.port = port
        }

        package var description: String { "\(name.contains(":") ? "[\(name)]" : name):\(port)" }
    }

    package var scheme: Scheme
    /// One server; or the Sentinels, or some servers of the cluster. None for a Unix socket.
    package var hosts: [Host] = []
    /// The path of a Unix socket.
    package var path = ""
    /// The name of the master that Sentinels know.
    package var masterName = ""
    /// The virtual host of RabbitMQ.
    package var virtualHost = "/"
    /// The user and the password; nil where none is given.
    package var user: String?
    package var password: String?
    package var database = 0
    /// The URL as it was written.
    package let text: String

    /// The URL without user and password, for messages.
    package var description: String {
        let suffix = database == 0 ? "" : scheme == .unix ? "?db=\(database)" : "/\(database)"
        guard scheme != .unix else { return "unix://\(path)\(suffix)" }
        let list = hosts.map(\.description).joined(separator: ",")
        let place = scheme.isSentinel ? "/\(masterName)" : virtualHost == "/" ? "" : "/\(virtualHost)"
        return "\(scheme.rawValue)://\(list)\(place)\(suffix)"
    }

    /// A URL of which only the scheme and the text are known.
    package init(scheme: Scheme, text: String) {
        self.scheme = scheme
        self.text = text
    }
}
