/// What a channel's home knows of it at one moment.
package struct ChannelSnapshot: Sendable {
    /// One who is there.
    package struct User: Sendable {
        package var name: String
        package var connections: Int
        /// Milliseconds since 1970.
        package var since: Int64
    }

    /// Whether users are counted, and messages kept.
    package var hasPresence: Bool
    package var hasHistory: Bool
    package var epoch: String
    /// The number of the newest message.
    package var seq: UInt64
    /// In the order in which they came.
    package var users: [User]
    /// JSON objects, the oldest first.
    package var messages: [[UInt8]]
    /// Whether there are older messages than these.
    package var hasMore: Bool
}

/// A channel in which much is said.
package struct ChannelActivity: Sendable {
    package var name: String
    /// Over the last seconds.
    package var messagesPerSecond: Double
    /// Since the channel came to be.
    package var messages: UInt64
    package var connections = 0

    /// Those in which most is said, the busiest first.
    ///
    /// One look at each, however many there are.
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

/// A channel with how many are in it.
package struct ChannelCount: Sendable, Hashable {
    package var name: String
    package var connections: Int
}
