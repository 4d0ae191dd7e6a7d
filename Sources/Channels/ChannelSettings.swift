/// The settings of the channels that match a pattern.
package struct ChannelSettings: Equatable, Sendable {
    /// Whether members may ask who is in the channel.
    package var presence = false
    /// Whether members are told who comes and goes.
    package var joinLeave = false
    /// The time for which a user whose connection broke still counts as present, in milliseconds.
    package var leaveDelay: Int64 = 2_000
    package var history = History.Limits(messageCount: 0, age: 300_000, byteCount: 1024 * 1024)
    package var publish = Access.anyone
    package var subscribe = Access.anyone
    /// The maximum number of connections in the channel; 0: no limit.
    package var maximumMembers = 0
    /// Whether a sender gets its own messages too.
    package var echo = true

    package init() {}

    package var tracksPresence: Bool { presence || joinLeave }
    /// Whether the channel's home has to count its members.
    package var isTracked: Bool { tracksPresence || maximumMembers > 0 }
    /// Whether members counted by other settings remain counted right.
    package func countsMembersLike(_ other: ChannelSettings) -> Bool {
        tracksPresence == other.tracksPresence && isTracked == other.isTracked
    }
    package var keepsHistory: Bool { history.messageCount > 0 }
}

/// The settings of every channel, by pattern.
package struct ChannelRules: Sendable {
    private let rules: [(pattern: ChannelPattern, settings: ChannelSettings)]

    /// - Parameter rules: the rules in order; the first whose pattern matches applies.
    package init(_ rules: [(pattern: ChannelPattern, settings: ChannelSettings)]) { self.rules = rules }

    package func settings(for name: String) -> ChannelSettings {
        rules.first { $0.pattern.matches(name) }?.settings ?? ChannelSettings()
    }
}

/// A pattern of channel names: `*` stands for any run of characters, including none, and any other character for
/// itself.
package struct ChannelPattern: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// Whether a name matches this pattern. The search only ever goes back to the last `*`, and is linear otherwise.
    package func matches(_ name: String) -> Bool {
        let star = UInt8(ascii: "*")
        let pattern = Array(text.utf8)
        let name = Array(name.utf8)
        var position = 0
        var index = 0
        var retry: (position: Int, index: Int)?
        while index < name.count {
            if position < pattern.count, pattern[position] == star {
                retry = (position, index)
                position += 1
            } else if position < pattern.count, pattern[position] == name[index] {
                position += 1
                index += 1
            } else if let last = retry {
                position = last.position + 1
                index = last.index + 1
                retry = (last.position, index)
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == star }
    }
}

/// The clients that are allowed to do something in a channel.
package enum Access: String, CaseIterable, Sendable {
    case anyone
    /// Clients whose token names a user.
    case users
    /// Clients whose token grants it for this channel.
    case granted
    /// No client; the backend and the operator are still allowed to.
    case nobody
}
