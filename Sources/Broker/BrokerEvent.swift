package import Base

/// Publications of one channel in their place in its order.
package struct DeliveredBatch: Sendable {
    package var channel: String
    /// The place of the last numbered publication in the batch; if it has none, that of the last one before it.
    package var position: MessagePosition
    /// The number of publications in it that have a number.
    package var numberedCount: Int
    /// The node that published the batch; nil for another program.
    package var node: NodeID?
    /// The number that the node gave to the batch.
    package var number: UInt64
    /// The publications, to be read by a `PublicationReader`.
    package var publications: [UInt8]

    package init(
        channel: String, position: MessagePosition, numberedCount: Int, node: NodeID?, number: UInt64,
        publications: [UInt8]
    ) {
        self.channel = channel
        self.position = position
        self.numberedCount = numberedCount
        self.node = node
        self.number = number
        self.publications = publications
    }

    /// The number of the first numbered publication in the batch, if there is one.
    package var firstSeq: UInt64 { position.seq &+ 1 &- UInt64(clamping: numberedCount) }
}

/// The result of something that a broker was asked to do, or something that happened in a channel or at the broker.
package enum BrokerEvent: Sendable {
    /// The channel is subscribed; what comes after the position is delivered. The history is what the broker keeps up
    /// to the position, oldest first; whoever takes it applies the limits.
    case subscribed(channel: String, MessagePosition, history: [DeliveredBatch])
    /// The next publications of a subscribed channel. Their numbers follow the last one.
    case delivered(DeliveredBatch)
    /// Publications of a subscribed channel may be missing: the next number is the one after this position.
    case gap(channel: String, MessagePosition)
    /// Publications of a subscribed channel may be missing, and nothing more of it is delivered until it is subscribed
    /// once more.
    case interrupted(channel: String)
    /// The broker has lost data, and the numbering of a subscribed channel has begun anew.
    case renumbered(channel: String, MessagePosition, history: [DeliveredBatch])
    /// The broker has taken a batch; the position is that of its last numbered publication.
    case accepted(channel: String, number: UInt64, MessagePosition)
    /// The broker has not taken a batch, or did not say that it has.
    case refused(channel: String, number: UInt64, BrokerRefusal)
    /// The users in a channel on all nodes; nil if the broker could not be asked.
    case members(channel: String, token: UInt64, [BrokerMember]?)
    /// Another node's message.
    case message([UInt8], from: NodeID)
    case health(BrokerHealth)
}

/// A user in a channel, on any node.
package struct BrokerMember: Sendable, Equatable {
    package var user: String
    /// The number of nodes that the user is connected to.
    package var nodeCount: Int
    /// The time since which the user is in the channel, in milliseconds since 1970.
    package var since: Int64

    package init(user: String, nodeCount: Int, since: Int64) {
        self.user = user
        self.nodeCount = nodeCount
        self.since = since
    }
}

/// The reason why a broker did not take a batch, for the person who looks for it.
package struct BrokerRefusal: Sendable, Equatable {
    package var reason: String
    /// Whether the broker may have taken the batch nevertheless.
    package var isUncertain: Bool
    /// Whether the broker would not take it at another time either, for instance as it is too large.
    package var isFinal: Bool

    package init(reason: String, isUncertain: Bool, isFinal: Bool = false) {
        self.reason = reason
        self.isUncertain = isUncertain
        self.isFinal = isFinal
    }
}

/// Whether a broker does its work.
package enum BrokerHealth: Sendable, Equatable {
    case up
    /// It does not, for this reason, since a time in milliseconds since 1970.
    case down(reason: String, since: Int64)
}
