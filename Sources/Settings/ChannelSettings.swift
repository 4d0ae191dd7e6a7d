/// The settings of a channel. A channel that matches no pattern has the defaults.
package struct ChannelSettings: Sendable, Equatable {
    /// Whether members may ask for the users in the channel.
    package var presence = false
    /// Whether members are notified when a user joins or leaves.
    package var joinLeave = false
    /// How long a user whose connection broke still counts as present.
    package var leaveDelay: Duration = .seconds(2)
    /// The number of messages that are kept; 0 for none.
    package var history = 0
    /// How long messages are kept.
    package var historyTTL: Duration = .seconds(300)
    /// The maximum memory for the channel's history.
    package var historyByteCount = 1024 * 1024
    /// The clients that may publish.
    package var publish = Access.anyone
    /// The clients that may join.
    package var subscribe = Access.anyone
    /// The maximum number of connections in the channel; 0 for no limit.
    package var maxMembers = 0
    /// Whether senders also get their own messages.
    package var echo = true

    /// The default settings of wsd.toml(5).
    package init() {}
}

/// The clients that may do something in a channel.
package enum Access: String, Sendable, CaseIterable {
    /// Every client.
    case anyone
    /// Clients whose token names a user.
    case users
    /// Clients whose token grants it for this channel.
    case granted
    /// No client; the backend and the operator still may.
    case nobody
}
