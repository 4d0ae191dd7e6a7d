package import Base

/// A channel with the number of connections in it.
package struct ChannelRow: Codable, Sendable, Hashable {
    /// The channel's name.
    package var name: String
    /// The number of connections in the channel.
    package var connections: Int

    /// A channel as it is listed.
    package init(name: String, connections: Int) {
        self.name = name
        self.connections = connections
    }
}

/// A channel with its number of messages.
package struct BusyChannel: Codable, Sendable, Hashable {
    /// The channel's name.
    package var name: String
    /// The number of connections in the channel.
    package var connections: Int
    /// Messages published per second, over the last few seconds.
    package var messagesPerSecond: Double
    /// Messages published since the channel was created.
    package var messages: Int

    /// A channel as it is returned.
    package init(name: String, connections: Int = 0, messagesPerSecond: Double, messages: Int) {
        self.name = name
        self.connections = connections
        self.messagesPerSecond = messagesPerSecond
        self.messages = messages
    }

    /// The channels with the highest message rates, the busiest first.
    ///
    /// Takes one pass, however many channels there are.
    package static func busiest(_ channels: some Sequence<BusyChannel>, limit: Int) -> [BusyChannel] {
        guard limit > 0 else { return [] }
        var best: [BusyChannel] = []
        for channel in channels {
            if best.count == limit {
                guard channel.isBusier(than: best[limit - 1]) else { continue }
                best.removeLast()
            }
            best.insert(channel, at: best.firstIndex { channel.isBusier(than: $0) } ?? best.count)
        }
        return best
    }

    private func isBusier(than other: BusyChannel) -> Bool {
        (messagesPerSecond, messages) > (other.messagesPerSecond, other.messages)
    }
}

/// A user in a channel.
package struct ChannelUser: Codable, Sendable, Hashable {
    /// The user's name.
    package var user: String
    /// The number of the user's connections in the channel.
    package var connections: Int
    /// The time of joining.
    package var since: Timestamp

    /// A user in a channel.
    package init(user: String, connections: Int, since: Timestamp) {
        self.user = user
        self.connections = connections
        self.since = since
    }
}
