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
    static func busiest(_ channels: some Sequence<ChannelActivity>, limit: Int) -> [ChannelActivity] {
        let ordered = channels.sorted { ($0.messagesPerSecond, $0.messages) > ($1.messagesPerSecond, $1.messages) }
        return Array(ordered.prefix(limit))
    }
}

/// A channel with how many are in it.
package struct ChannelCount: Sendable, Hashable {
    package var name: String
    package var connections: Int
}
