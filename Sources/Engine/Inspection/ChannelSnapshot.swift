package import Operations

/// What is wanted of a channel.
struct ChannelInspection: Sendable {
    /// Only messages with a smaller number; nil: the newest.
    var before: UInt64?
    /// The maximum number of messages.
    var limit: Int
    /// Whether the users are wanted.
    var wantsUsers: Bool
    var replies: Replies<Result<ChannelSnapshot?, BrokerUnavailable>>

    /// Answers that the broker could not be asked.
    func refuse() { replies.answer(.failure(BrokerUnavailable(reason: Worker.brokerUnreachable))) }
}

/// The state of a channel at its home, at one moment.
package struct ChannelSnapshot: Sendable {
    /// Whether users are counted, and whether messages are kept.
    package var hasPresence: Bool
    package var hasHistory: Bool
    package var epoch: String
    /// The number of the newest message.
    package var seq: UInt64
    /// The users in the order in which they came, if they were wanted.
    package var users: [ChannelUser]
    /// The messages as JSON objects, the oldest first.
    package var messages: [[UInt8]]
    /// Whether there are older messages than these.
    package var hasMore: Bool
}
