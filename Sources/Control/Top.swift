internal import Varlink

/// `Top`: returns the hub at this moment, with the first connections in an order and the busiest channels.
package enum Top {
    /// The method's name in its interface.
    package static let name = "Top"
    /// The maximum number of connections, and of channels, in a reply.
    package static let limit = 100

    /// The order of connections; the largest value comes first.
    package enum Order: String, Codable, Sendable, CaseIterable {
        case queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut, idle
    }

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case order, connections, channels }

        /// The order, one of ``Order``; nil means by queued bytes.
        package let order: String?
        /// The maximum number of connections; nil means ten.
        package let connections: Int?
        /// The maximum number of channels; nil means ten.
        package let channels: Int?

        /// The order and the numbers to return.
        package init(order: Order? = nil, connections: Int? = nil, channels: Int? = nil) {
            self.order = order?.rawValue
            self.connections = connections
            self.channels = channels
        }
    }

    /// A channel with its number of messages.
    package struct BusyChannel: Codable, Sendable, Hashable {
        /// The channel's name.
        package let name: String
        /// The number of connections in the channel.
        package let connections: Int
        /// Messages published per second, over the last few seconds.
        package let messagesPerSecond: Double
        /// Messages published since the channel was created.
        package let messages: Int

        /// A channel as it is returned.
        package init(name: String, connections: Int, messagesPerSecond: Double, messages: Int) {
            self.name = name
            self.connections = connections
            self.messagesPerSecond = messagesPerSecond
            self.messages = messages
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The status of the hub.
        package let status: HubStatus
        /// The first connections in the order.
        package let connections: [ConnectionInfo]
        /// The busiest channels, the busiest first.
        package let channels: [BusyChannel]

        /// A reply.
        package init(status: HubStatus, connections: [ConnectionInfo], channels: [BusyChannel]) {
            self.status = status
            self.connections = connections
            self.channels = channels
        }
    }
}
