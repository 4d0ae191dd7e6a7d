extension Configuration {
    /// One `[channels."PATTERN"]`: what holds for the channels of a pattern that no earlier one matches.
    package struct Channel: Sendable, Equatable {
        /// The names it is about; `*` stands for any run of characters.
        package var pattern: String
        /// Whether members may ask who is in the channel.
        package var presence = false
        /// Whether members are told who comes and goes.
        package var joinLeave = false
        /// How long a user whose connection broke still counts as here.
        package var leaveDelay: Duration = .seconds(2)
        /// Messages that are kept; 0 is none.
        package var history = 0
        /// How long they are kept.
        package var historyTTL: Duration = .seconds(300)
        /// The most that the channel's history may take.
        package var historyByteCount = 1024 * 1024
        /// Who may publish.
        package var publish = ChannelAccess.anyone
        /// Who may join.
        package var subscribe = ChannelAccess.anyone
        /// Connections that may be in it at the same time; 0 is no limit.
        package var maxMembers = 0
        /// Whether senders get their own messages, too.
        package var echo = true

        /// The settings of wsd.toml(5) where none are given.
        package init(pattern: String) { self.pattern = pattern }
    }

    /// Who may do something in a channel.
    package enum ChannelAccess: String, Sendable, CaseIterable {
        /// Every client.
        case anyone
        /// Whoever has a token.
        case users
        /// Whose token grants it.
        case granted
        /// No client.
        case nobody
    }
}
