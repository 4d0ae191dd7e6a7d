package import Base
package import Broker

extension RedisBroker {
    /// What a broker needs to know.
    package struct Options: Sendable {
        /// The server. One, at present.
        package var address: RedisAddress
        /// The user to log in as; nil is `default`, if there is a password.
        package var user: String?
        package var password: String?
        package var database = 0
        /// How TLS is used; nil is without.
        package var tls: TLS?
        /// The first part of all keys and of the names of all pub/sub channels.
        package var prefix = "wsd"
        /// The time within which a connection that does not work any more is noticed.
        package var probeInterval: Duration = .seconds(2)
        /// The time after which a node that is not heard of is gone, and its users with it.
        package var presenceTTL: Duration = .seconds(10)
        /// The time in which a connection has to be ready.
        package var connectTimeout: Duration = .seconds(5)
        /// The time from one round through the keys of quiet channels to the next.
        var keyRefreshInterval: Duration = .seconds(6 * 3_600)
        /// This node.
        package var node: NodeID
        /// What other nodes show of this one; nil is its identity alone.
        package var nodeDescription: NodeDescription?
        /// The name of this node's connections in `CLIENT LIST`.
        package var clientName = "wsd"

        package init(address: RedisAddress, node: NodeID) {
            self.address = address
            self.node = node
        }
    }

    /// How TLS is used.
    package struct TLS: Sendable {
        /// A file with the certificates of the authorities that are trusted; nil for those of the system.
        package var authorityFile: String?
        /// The name that the server's certificate has to be for; nil for the host of the address.
        package var serverName: String?
        /// Files with this client's certificate and key, if the server asks for them.
        package var certificateFile: String?
        package var keyFile: String?

        package init(
            authorityFile: String? = nil, serverName: String? = nil, certificateFile: String? = nil,
            keyFile: String? = nil
        ) {
            self.authorityFile = authorityFile
            self.serverName = serverName
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }
}
