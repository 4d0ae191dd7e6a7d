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

        package var usesTLS: Bool {
            switch self {
            case .rediss, .sentinelTLS, .clusterTLS: true
            case .redis, .unix, .sentinel, .cluster: false
            }
        }

        package var isSentinel: Bool { self == .sentinel || self == .sentinelTLS }
        package var isCluster: Bool { self == .cluster || self == .clusterTLS }

        /// The port if none is given.
        package var port: Int { isSentinel ? 26_379 : 6_379 }
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
        return "\(scheme.rawValue)://\(list)\(scheme.isSentinel ? "/\(masterName)" : "")\(suffix)"
    }

    /// A URL of which only the scheme and the text are known.
    package init(scheme: Scheme, text: String) {
        self.scheme = scheme
        self.text = text
    }
}
