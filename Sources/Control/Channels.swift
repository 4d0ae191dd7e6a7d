package import Varlink

/// `ListChannels`: the channels, by name.
package enum ListChannels {
    /// The method's name in its interface.
    package static let name = "ListChannels"
    /// The most channels in a reply, and what it has unless told otherwise.
    package static let replyLimit = 1000

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case pattern, after, limit }

        /// Only channels of this pattern, in which `*` is any run of characters; nil means all.
        package let pattern: String?
        /// Only those behind this name.
        package let after: String?
        /// The most channels to list.
        package let limit: Int?

        /// What to list.
        package init(pattern: String? = nil, after: String? = nil, limit: Int? = nil) {
            self.pattern = pattern
            self.after = after
            self.limit = limit
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The channels, in the order of their names.
        package let channels: [ChannelInfo]
        /// Where the list goes on; nil at its end.
        package let next: String?

        /// A part of the list.
        package init(channels: [ChannelInfo], next: String?) {
            self.channels = channels
            self.next = next
        }
    }
}

/// A channel with how many are in it.
package struct ChannelInfo: Codable, Sendable, Hashable {
    /// Its name.
    package let name: String
    /// Connections that are in it.
    package let connections: Int

    /// A channel as it is listed.
    package init(name: String, connections: Int) {
        self.name = name
        self.connections = connections
    }
}

/// `ShowChannel`: who is in a channel, and what was said there.
package enum ShowChannel {
    /// The method's name in its interface.
    package static let name = "ShowChannel"
    /// The most messages in a reply.
    package static let messageLimit = 1000

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case channel, before, limit }

        /// The channel's name.
        package let channel: String
        /// Only messages with a smaller number; nil means the newest.
        package let before: Int?
        /// The most messages; nil means none.
        package let limit: Int?

        /// What to show.
        package init(channel: String, before: Int? = nil, limit: Int? = nil) {
            self.channel = channel
            self.before = before
            self.limit = limit
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The channel.
        package let channel: ChannelDetail

        /// A channel as it is returned.
        package init(channel: ChannelDetail) { self.channel = channel }
    }
}

/// One channel at one moment.
package struct ChannelDetail: Codable, Sendable, Hashable {
    /// One who is there.
    package struct User: Codable, Sendable, Hashable {
        /// Who it is.
        package let user: String
        /// How many connections of theirs are in the channel.
        package let connections: Int
        /// Since when: RFC 3339, UTC, milliseconds.
        package let since: String

        /// One who is there.
        package init(user: String, connections: Int, since: String) {
            self.user = user
            self.connections = connections
            self.since = since
        }
    }

    /// Its name.
    package let name: String
    /// Which numbering the numbers are of; nil where nothing has been numbered.
    package let epoch: String?
    /// The number of the newest message.
    package let seq: Int
    /// Who is there, those first who came first; nil where the channel's settings have no presence.
    package let users: [User]?
    /// What was said, the oldest first; nil where nothing is kept.
    package let messages: [VarlinkValue]?
    /// Whether there are older messages.
    package let more: Bool
    /// The messages as clients get them, byte for byte; not in what goes by Varlink.
    package var rawMessages: [[UInt8]] = []

    private enum CodingKeys: String, CodingKey { case name, epoch, seq, users, messages, more }

    /// A channel as it is returned.
    package init(
        name: String, epoch: String?, seq: Int, users: [User]?, messages: [VarlinkValue]?, more: Bool,
        rawMessages: [[UInt8]] = []
    ) {
        self.rawMessages = rawMessages
        self.name = name
        self.epoch = epoch
        self.seq = seq
        self.users = users
        self.messages = messages
        self.more = more
    }
}
