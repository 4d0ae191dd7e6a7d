extension Configuration {
    /// One `[channels."PATTERN"]`: the settings of the channels that match its pattern and no earlier one.
    package struct Channel: Sendable, Equatable {
        /// The pattern of names; `*` stands for any run of characters.
        package var pattern: String
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
        package var publish = ChannelAccess.anyone
        /// The clients that may join.
        package var subscribe = ChannelAccess.anyone
        /// The maximum number of connections in the channel; 0 for no limit.
        package var maxMembers = 0
        /// Whether senders also get their own messages.
        package var echo = true

        /// The default settings of wsd.toml(5).
        package init(pattern: String) { self.pattern = pattern }
    }

    /// The clients that may do something in a channel.
    package enum ChannelAccess: String, Sendable, CaseIterable {
        /// Every client.
        case anyone
        /// Clients that have a token.
        case users
        /// Clients whose token grants it.
        case granted
        /// No client.
        case nobody
    }
}
