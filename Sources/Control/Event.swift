import Base
internal import Varlink

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
        /// The time of the first of them: RFC 3339, UTC, milliseconds.
        package let first: String
        /// The time of the last of them.
        package let last: String
        /// Whether all of them have the same address as the event that summarises them.
        package let sameAddress: Bool

        /// A summary of similar events.
        package init(count: Int, first: String, last: String, sameAddress: Bool) {
            self.count = count
            self.first = first
            self.last = last
            self.sameAddress = sameAddress
        }
    }

    /// The time: RFC 3339, UTC, milliseconds.
    package var time: String
    /// The kind of event.
    package var kind: Kind
    /// The cause, as in the labels of metrics; nil if the kind has none.
    package var cause: String?
    /// The close code.
    package var code: Int?
    /// The reason, for a human reader.
    package var text: String?
    /// The connection's id.
    package var id: String?
    /// The client's IP address.
    package var address: String?
    /// The endpoint's path.
    package var endpoint: String?
    /// The user.
    package var user: String?
    /// The first channels of the connection, or the channel that it was refused for.
    package var channels: [String]?
    /// The time at which the WebSocket opened: RFC 3339, UTC, milliseconds.
    package var connectedSince: String?
    /// Bytes that waited for the client.
    package var queuedBytes: Int?
    /// Messages that the client never got.
    package var droppedMessages: Int?
    /// The later events of the same kind and cause that this event summarises; nil if there are none.
    package var more: Others?

    /// The first of the channels.
    package var channel: String? { channels?.first }

    /// An event with only a time and a kind.
    package init(_ kind: Kind, millisecondsSinceEpoch time: Int64) {
        self.kind = kind
        self.time = RFC3339.string(millisecondsSinceEpoch: time)
    }
}

extension ConnectionMatcher {
    /// Whether the matcher selects the connection of an event.
    package func matches(_ event: Event) -> Bool {
        matches(
            id: event.id ?? "", address: event.address ?? "", endpoint: event.endpoint ?? "",
            channels: event.channels ?? [], user: event.user)
    }
}

/// `Monitor`: returns events as they happen. Needs `more`, and ends when the caller closes its connection.
package enum Monitor {
    /// The method's name in its interface.
    package static let name = "Monitor"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, kinds }

        /// Returns only events about these connections; nil means all events.
        package let filter: ConnectionFilter?
        /// Returns only events of these kinds; nil means all.
        package let kinds: [String]?

        /// The selection of events.
        package init(filter: ConnectionFilter? = nil, kinds: [String]? = nil) {
            self.filter = filter
            self.kinds = kinds
        }
    }

    /// Each of the method's replies.
    package struct Reply: Codable, Sendable, Hashable {
        /// The events; empty in the first reply, which says that watching has begun.
        package let events: [Event]
        /// The number of events so far that came too fast and were left out.
        package let lost: Int

        /// A reply with events.
        package init(events: [Event], lost: Int) {
            self.events = events
            self.lost = lost
        }
    }
}

/// `Why`: returns how the last selected connections ended or were refused.
package enum Why {
    /// The method's name in its interface.
    package static let name = "Why"
    /// The maximum number of events in a reply, and the default.
    package static let replyLimit = 1000

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, limit }

        /// The selection of connections; nil means all.
        package let filter: ConnectionFilter?
        /// The maximum number of events.
        package let limit: Int?

        /// The selection of events.
        package init(filter: ConnectionFilter? = nil, limit: Int? = nil) {
            self.filter = filter
            self.limit = limit
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The events, the newest first; an event with ``Event/more`` is at the place of the last event that it
        /// summarises.
        package let events: [Event]

        /// Events as they are returned.
        package init(events: [Event]) { self.events = events }
    }
}
