package import Base
package import Broker
package import BrokerSupport

extension RedisBroker {
    /// What a broker needs to know.
    package struct Options: Sendable {
        /// Where the servers are.
        package var servers: Servers
        /// The user to log in as; nil is `default`, if there is a password.
        package var user: String?
        package var password: String?
        package var database = 0
        /// How TLS is used; nil is without.
        package var tls: BrokerTLS?
        /// The first part of all keys and of the names of all pub/sub channels.
        package var prefix = "wsd"
        /// The time within which a connection that does not work any more is noticed.
        package var probeInterval: Duration = .seconds(2)
        /// The time after which a node that is not heard of is gone, and its users with it.
        package var presenceTTL: Duration = .seconds(10)
        /// The time in which a connection has to be ready.
        package var connectTimeout: Duration = .seconds(5)
        /// The most that is taken from a server.
        var decoderLimits = RESPDecoder.Limits()
        /// The time from one round through the keys of quiet channels to the next.
        var keyRefreshInterval: Duration = .seconds(6 * 3_600)
        /// This node.
        package var node: NodeID
        /// What other nodes show of this one; nil is its identity alone.
        package var nodeDescription: NodeDescription?
        /// The name of this node's connections in `CLIENT LIST`.
        package var clientName = "wsd"

        package init(_ servers: Servers, node: NodeID) {
            self.servers = servers
            self.node = node
        }

        package init(address: RedisAddress, node: NodeID) { self.init(.independent([address]), node: node) }
    }

    /// Where servers are, and what they know of each other.
    package enum Servers: Sendable, Hashable {
        /// One server, or several that know nothing of each other: each channel is on one of them.
        case independent([RedisAddress])
        /// A master that Sentinels know.
        case sentinel(Sentinel)
        /// A cluster, by some of its servers.
        case cluster([RedisAddress])
    }

    /// The Sentinels that know where a master is.
    package struct Sentinel: Sendable, Hashable {
        /// The master's name.
        package var masterName: String
        package var addresses: [RedisAddress]
        /// The user to log in as at the Sentinels; nil is `default`, if there is a password.
        package var user: String?
        package var password: String?

        package init(
            masterName: String, addresses: [RedisAddress], user: String? = nil, password: String? = nil
        ) {
            self.masterName = masterName
            self.addresses = addresses
            self.user = user
            self.password = password
        }
    }
}
