package import Operations
package import Varlink

/// `ListChannels`: lists the channels by name.
package enum ListChannels {
    /// The method's name in its interface.
    package static let name = "ListChannels"
    /// The maximum number of channels in a reply, and the default.
    package static let replyLimit = 1000

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case pattern, after, limit, cluster }

        /// Lists only channels that match this pattern, in which `*` stands for any run of characters; nil means all.
        package let pattern: String?
        /// Lists only channels after this name.
        package let after: String?
        /// The maximum number of channels.
        package let limit: Int?
        /// Whether all nodes are asked; nil means this one only.
        package let cluster: Bool?

        /// The selection of channels.
        package init(pattern: String? = nil, after: String? = nil, limit: Int? = nil, cluster: Bool? = nil) {
            self.pattern = pattern
            self.after = after
            self.limit = limit
            self.cluster = cluster
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The channels, in the order of their names.
        package let channels: [ChannelRow]
        /// The name to continue after; nil at the end of the list.
        package let next: String?
        /// The names of the nodes that did not answer, and whose connections are not counted; nil if no other node was
        /// asked.
        package let silent: [String]?

        /// A part of the list.
        package init(channels: [ChannelRow], next: String?, silent: [String]? = nil) {
            self.channels = channels
            self.next = next
            self.silent = silent
        }
    }
}

/// `ShowChannel`: shows the users in a channel and its history.
package enum ShowChannel {
    /// The method's name in its interface.
    package static let name = "ShowChannel"
    /// The maximum number of messages in a reply.
    package static let messageLimit = 1000

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case channel, before, limit }

        /// The channel's name.
        package let channel: String
        /// Returns only messages with a smaller number; nil means the newest.
        package let before: Int?
        /// The maximum number of messages; nil means none.
        package let limit: Int?

        /// The channel to show, and the part of its history.
        package init(channel: String, before: Int? = nil, limit: Int? = nil) {
            self.channel = channel
            self.before = before
            self.limit = limit
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The channel.
        package let channel: ChannelDetail

        /// A channel as it is returned.
        package init(channel: ChannelDetail) { self.channel = channel }
    }
}

/// One channel at one moment.
package struct ChannelDetail: Codable, Sendable, Hashable {
    /// The channel's name.
    package let name: String
    /// The identifier of the numbering; nil if no message has been numbered.
    package let epoch: String?
    /// The number of the newest message.
    package let seq: Int
    /// The users in the channel, in the order of joining; nil if the channel's settings have no presence.
    package let users: [ChannelUser]?
    /// The messages kept, the oldest first; nil if the channel keeps none.
    package let messages: [VarlinkValue]?
    /// Whether there are older messages.
    package let more: Bool
    /// The messages as clients get them, byte for byte; not part of a Varlink reply.
    package var rawMessages: [[UInt8]] = []

    private enum CodingKeys: String, CodingKey { case name, epoch, seq, users, messages, more }

    /// A channel as it is returned.
    package init(
        name: String, epoch: String?, seq: Int, users: [ChannelUser]?, messages: [VarlinkValue]?, more: Bool,
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
