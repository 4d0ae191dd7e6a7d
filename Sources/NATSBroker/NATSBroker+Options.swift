package import Base
package import Broker
package import BrokerSupport

extension NATSBroker {
    /// What a broker needs to know.
    package struct Options: Sendable {
        /// Where servers of a cluster are; others are learnt from them.
        package var servers: [NATSAddress]
        package var login = NATSLogin.none
        /// How TLS is used; nil is without.
        package var tls: BrokerTLS?
        /// The first part of the names of all streams and subjects.
        package var prefix = "wsd"
        /// The number of servers that keep a copy of each stream.
        package var replicas = 1
        /// Whether streams are in files, and survive a restart of all servers.
        package var storesInFiles = true
        /// The time within which a connection that does not work any more is noticed.
        package var probeInterval: Duration = .seconds(2)
        /// The time after which a node that is not heard of is gone, and its users with it.
        package var presenceTTL: Duration = .seconds(10)
        /// The time in which a connection has to be ready.
        package var connectTimeout: Duration = .seconds(5)
        /// The time after which a request that has no answer is made again.
        var requestTimeout: Duration = .seconds(2)
        /// The time from one round through quiet channels to the next.
        var refreshInterval: Duration = .seconds(6 * 3_600)
        /// This node.
        package var node: NodeID
        /// What other nodes show of this one; nil is its identity alone.
        package var nodeDescription: NodeDescription?
        /// The name of this node's connection in the server's list.
        package var clientName = "wsd"
        /// The table of the configuration that these are from, for reasons.
        package var table = "broker"

        package init(_ servers: [NATSAddress], node: NodeID) {
            self.servers = servers
            self.node = node
        }
    }
}

/// Where a NATS server listens.
package struct NATSAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name, an IPv4 or an IPv6 address, without brackets.
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// An address as servers tell them of each other: `host:port` or `[IPv6]:port`; nil for anything else.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return nil
        }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
