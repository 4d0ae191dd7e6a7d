package import Operations

/// The state of a channel at its home, at one moment.
package struct ChannelSnapshot: Sendable {
    /// Whether users are counted, and whether messages are kept.
    package var hasPresence: Bool
    package var hasHistory: Bool
    package var epoch: String
    /// The number of the newest message.
    package var seq: UInt64
    /// The users in the order in which they came.
    package var users: [ChannelUser]
    /// The messages as JSON objects, the oldest first.
    package var messages: [[UInt8]]
    /// Whether there are older messages than these.
    package var hasMore: Bool
}
