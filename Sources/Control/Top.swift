internal import Varlink

/// `Top`: the hub at this moment, with the connections that come first in an order and the busiest channels.
package enum Top {
    /// The method's name in its interface.
    package static let name = "Top"
    /// The most connections, and the most channels, in a reply.
    package static let limit = 100

    /// What connections are put in order by, the most first.
    package enum Order: String, Codable, Sendable, CaseIterable {
        case queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut, idle
    }

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case order, connections, channels }

        /// ``Order``; nil means by what waits for them.
        package let order: String?
        /// At most so many; nil means ten.
        package let connections: Int?
        /// At most so many; nil means ten.
        package let channels: Int?

        /// What to show.
        package init(order: Order? = nil, connections: Int? = nil, channels: Int? = nil) {
            self.order = order?.rawValue
            self.connections = connections
            self.channels = channels
        }
    }

    /// A channel with how much is said in it.
    package struct BusyChannel: Codable, Sendable, Hashable {
        /// Its name.
        package let name: String
        /// Connections that are in it.
        package let connections: Int
        /// Messages published in a second, over the last few.
        package let messagesPerSecond: Double
        /// Messages published since it came to be.
        package let messages: Int

        /// A channel as it is returned.
        package init(name: String, connections: Int, messagesPerSecond: Double, messages: Int) {
            self.name = name
            self.connections = connections
            self.messagesPerSecond = messagesPerSecond
            self.messages = messages
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The hub.
        package let status: HubStatus
        /// Connections, the first first.
        package let connections: [ConnectionInfo]
        /// Channels, the busiest first.
        package let channels: [BusyChannel]

        /// What was found.
        package init(status: HubStatus, connections: [ConnectionInfo], channels: [BusyChannel]) {
            self.status = status
            self.connections = connections
            self.channels = channels
        }
    }
}
