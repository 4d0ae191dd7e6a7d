package import Base

/// An event in the hub, as `Monitor` and `Why` report it.
package struct Event: Codable, Sendable, Hashable {
    /// The kind of an event.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// A WebSocket opened.
        case connect
        /// A WebSocket began to close.
        case close
        /// A client was refused before or in its opening handshake.
        case refuse
        /// A slow consumer began to lose messages.
        case slow
        /// The configuration was read again, or set.
        case reload
        /// The hub began to close its connections.
        case drain
        /// Connections can't be accepted.
        case trouble
    }

    /// Similar events that are summarised by one event.
    package struct Others: Codable, Sendable, Hashable {
        /// The number of events.
        package let count: Int
        /// The time of the first of them.
        package let first: Timestamp
        /// The time of the last of them.
        package let last: Timestamp
        /// Whether all of them have the same address as the event that summarises them.
        package let sameAddress: Bool

        /// A summary of similar events.
        package init(count: Int, first: Timestamp, last: Timestamp, sameAddress: Bool) {
            self.count = count
            self.first = first
            self.last = last
            self.sameAddress = sameAddress
        }
    }

    /// The time.
    package var time: Timestamp
    /// The kind of event.
    package var kind: Kind
    /// The cause, as in the labels of metrics; nil if the kind has none.
    package var cause: String?
    /// The close code.
    package var code: Int?
    /// The reason, for a human reader.
    package var text: String?
    /// The connection's id.
    package var id: ConnectionID?
    /// The client's IP address.
    package var address: IPAddress?
    /// The endpoint's path.
    package var endpoint: String?
    /// The user.
    package var user: String?
    /// The first channels of the connection, or the channel that it was refused for.
    package var channels: [String]?
    /// The time at which the WebSocket opened.
    package var connectedSince: Timestamp?
    /// Bytes that waited for the client.
    package var queuedBytes: Int?
    /// Messages that the client never got.
    package var droppedMessages: Int?
    /// The later events of the same kind and cause that this event summarises; nil if there are none.
    package var more: Others?
    /// The name of the node, in a list over all nodes.
    package var node: String?

    /// The first of the channels.
    package var channel: String? { channels?.first }

    /// An event with only a time and a kind.
    package init(_ kind: Kind, millisecondsSinceEpoch time: Int64) {
        self.kind = kind
        self.time = Timestamp(millisecondsSinceEpoch: time)
    }
}
