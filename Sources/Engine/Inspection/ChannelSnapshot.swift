/// The state of a channel at its home, at one moment.
package struct ChannelSnapshot: Sendable {
    /// A user in the channel.
    package struct User: Sendable {
        package var name: String
        package var connections: Int
        /// Milliseconds since 1970.
        package var since: Int64
    }

    /// Whether users are counted, and whether messages are kept.
    package var hasPresence: Bool
    package var hasHistory: Bool
    package var epoch: String
    /// The number of the newest message.
    package var seq: UInt64
    /// The users in the order in which they came.
    package var users: [User]
    /// The messages as JSON objects, the oldest first.
    package var messages: [[UInt8]]
    /// Whether there are older messages than these.
    package var hasMore: Bool
}

/// A channel with its message rate.
package struct ChannelActivity: Sendable {
    package var name: String
    /// The rate over the last seconds.
    package var messagesPerSecond: Double
    /// The number of messages since the channel was created.
    package var messages: UInt64
    package var connections = 0

    /// The channels with the highest message rates, the busiest first.
    ///
    /// Takes one pass, however many channels there are.
    static func busiest(_ channels: some Sequence<ChannelActivity>, limit: Int) -> [ChannelActivity] {
        guard limit > 0 else { return [] }
        var best: [ChannelActivity] = []
        for channel in channels {
            if best.count == limit {
                guard channel.isBusier(than: best[limit - 1]) else { continue }
                best.removeLast()
            }
            best.insert(channel, at: best.firstIndex { channel.isBusier(than: $0) } ?? best.count)
        }
        return best
    }

    private func isBusier(than other: ChannelActivity) -> Bool {
        (messagesPerSecond, messages) > (other.messagesPerSecond, other.messages)
    }
}

/// A channel with its number of connections.
package struct ChannelCount: Sendable, Hashable {
    package var name: String
    package var connections: Int
}
