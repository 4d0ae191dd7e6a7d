internal import Base
package import Settings

/// The settings of every channel, by pattern.
package struct ChannelRules: Sendable {
    private let rules: [(pattern: ChannelPattern, settings: ChannelSettings)]

    /// - Parameter rules: the rules in order; the first whose pattern matches applies.
    package init(_ rules: [(pattern: ChannelPattern, settings: ChannelSettings)]) { self.rules = rules }

    /// - Parameter channels: the configured channels in order.
    package init(channels: [Settings.Channel]) {
        self.init(channels.map { (ChannelPattern($0.pattern), $0.settings) })
    }

    /// The settings of a channel.
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

extension ChannelSettings {
    /// Whether the channel's home has to know who its members are.
    package var tracksPresence: Bool { presence || joinLeave }
    /// Whether the channel's home has to count its members.
    package var isTracked: Bool { tracksPresence || maxMembers > 0 }
    /// Whether members counted by other settings remain counted right.
    package func countsMembersLike(_ other: ChannelSettings) -> Bool {
        tracksPresence == other.tracksPresence && isTracked == other.isTracked
    }
    /// Whether messages are kept.
    package var keepsHistory: Bool { history > 0 }
    /// The limits of the channel's history.
    package var historyLimits: History.Limits {
        History.Limits(messageCount: history, age: historyTTL.milliseconds, byteCount: historyByteCount)
    }
}
