package import Base
internal import Varlink

/// `Nodes`: returns the nodes that share channels through the broker, with figures of each.
package enum Nodes {
    /// The method's name in its interface.
    package static let name = "Nodes"

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The nodes, in the order of their names.
        package let nodes: [NodeRow]
        /// The names of the nodes that did not answer, and so have no figures.
        package let silent: [String]

        /// The nodes as they are returned.
        package init(nodes: [NodeRow], silent: [String]) {
            self.nodes = nodes
            self.silent = silent
        }
    }
}

/// A node at one moment. It has no figures if it did not answer.
package struct NodeRow: Codable, Sendable, Hashable {
    /// The name: the host's, unless it is configured.
    package var name: String
    /// The identity of this run of the node.
    package var id: String
    /// Whether it is the node that was asked.
    package var isThis: Bool
    /// The daemon's version.
    package var version: String
    /// The addresses that it listens on for clients.
    package var addresses: [String]
    /// The time at which it started.
    package var since: Timestamp
    /// Whether it accepts connections.
    package var state: HubStatus.State?
    /// The reason why it accepts no new connections; nil if it does.
    package var notReady: String?
    /// Connections open or closing now.
    package var connections: Int?
    /// The maximum number of connections.
    package var maxConnections: Int?
    /// Messages received from clients per second, over the last half of a second.
    package var messagesInPerSecond: Double?
    /// Messages sent to clients per second.
    package var messagesOutPerSecond: Double?
    /// The number of processors in use.
    package var load: Double?
    /// Seconds that a question and its answer took through the broker; nil for the node that was asked.
    package var lagSeconds: Double?

    /// A node without figures.
    package init(
        name: String, id: String, isThis: Bool, version: String, addresses: [String], since: Timestamp
    ) {
        self.name = name
        self.id = id
        self.isThis = isThis
        self.version = version
        self.addresses = addresses
        self.since = since
    }
}
