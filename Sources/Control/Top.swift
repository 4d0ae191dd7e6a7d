package import Operations
internal import Varlink

/// `Top`: returns the hub at this moment, with the first connections in an order and the busiest channels.
package enum Top {
    /// The method's name in its interface.
    package static let name = "Top"
    /// The maximum number of connections, and of channels, in a reply.
    package static let limit = 100

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case order, connections, channels }

        /// The order, a ``ConnectionOrder``; nil means by queued bytes.
        package let order: String?
        /// The maximum number of connections; nil means ten.
        package let connections: Int?
        /// The maximum number of channels; nil means ten.
        package let channels: Int?

        /// The order and the numbers to return.
        package init(order: ConnectionOrder? = nil, connections: Int? = nil, channels: Int? = nil) {
            self.order = order?.rawValue
            self.connections = connections
            self.channels = channels
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The status of the hub.
        package let status: HubStatus
        /// The first connections in the order.
        package let connections: [ConnectionRow]
        /// The busiest channels, the busiest first.
        package let channels: [BusyChannel]

        /// A reply.
        package init(status: HubStatus, connections: [ConnectionRow], channels: [BusyChannel]) {
            self.status = status
            self.connections = connections
            self.channels = channels
        }
    }
}
