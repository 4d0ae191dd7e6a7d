internal import Varlink

/// Something that happened in the hub, as `Monitor` and `Why` tell of it.
package struct Event: Codable, Sendable, Hashable {
    /// What kind of thing.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// A WebSocket opened.
        case connect
        /// A WebSocket began to end.
        case close
        /// A client was refused before or in its opening handshake.
        case refuse
        /// A slow consumer began to lose messages.
        case slow
        /// The configuration was read again, or set.
        case reload
        /// The hub began to send its connections away.
        case drain
        /// Connections can't be accepted.
        case trouble
    }

    /// Events like one that are not told one by one.
    package struct Others: Codable, Sendable, Hashable {
        /// How many.
        package let count: Int
        /// When the first of them came: RFC 3339, UTC, milliseconds.
        package let first: String
        /// When the last of them came.
        package let last: String
        /// Whether all are of the same address as the event that they stand with.
        package let sameAddress: Bool

        /// So many events.
        package init(count: Int, first: String, last: String, sameAddress: Bool) {
            self.count = count
            self.first = first
            self.last = last
            self.sameAddress = sameAddress
        }
    }

    /// When: RFC 3339, UTC, milliseconds.
    package var time: String
    /// What kind of thing.
    package var kind: Kind
    /// Why, as metrics label it; nil where there is nothing to label.
    package var cause: String?
    /// The close code.
    package var code: Int?
    /// For a person: the reason that was given.
    package var text: String?
    /// The connection.
    package var id: String?
    /// Its peer's IP address.
    package var address: String?
    /// The endpoint's path.
    package var endpoint: String?
    /// Who it is.
    package var user: String?
    /// The first of the channels that it is in, or the one that it was not let into.
    package var channels: [String]?
    /// When the WebSocket opened: RFC 3339, UTC, milliseconds.
    package var connectedSince: String?
    /// Bytes that waited for it.
    package var queuedBytes: Int?
    /// Messages it never got.
    package var droppedMessages: Int?
    /// Those of its kind and cause that came behind it and are not told one by one; nil where there are none.
    package var more: Others?

    /// The first of the channels.
    package var channel: String? { channels?.first }

    /// An event of which only the time and the kind are known.
    package init(_ kind: Kind, millisecondsSinceEpoch time: Int64) {
        self.kind = kind
        self.time = RFC3339.string(millisecondsSinceEpoch: time)
    }
}

extension ConnectionMatcher {
    /// Whether an event is about a connection that is meant.
    package func matches(_ event: Event) -> Bool {
        matches(
            id: event.id ?? "", address: event.address ?? "", endpoint: event.endpoint ?? "",
            channels: event.channels ?? [], user: event.user)
    }
}

/// `Monitor`: what happens, as it happens. Needs `more`, and ends when the caller goes away.
package enum Monitor {
    /// The method's name in its interface.
    package static let name = "Monitor"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, kinds }

        /// Only what is about these connections; nil means everything.
        package let filter: ConnectionFilter?
        /// Only these kinds; nil means all.
        package let kinds: [String]?

        /// What to tell of.
        package init(filter: ConnectionFilter? = nil, kinds: [String]? = nil) {
            self.filter = filter
            self.kinds = kinds
        }
    }

    /// What it returns each time.
    package struct Reply: Codable, Sendable, Hashable {
        /// What happened; empty in the first reply, which says that it has begun.
        package let events: [Event]
        /// Events so far that came too fast and were left out.
        package let lost: Int

        /// Some events.
        package init(events: [Event], lost: Int) {
            self.events = events
            self.lost = lost
        }
    }
}

/// `Why`: how the last connections ended that a filter means, and who was refused.
package enum Why {
    /// The method's name in its interface.
    package static let name = "Why"
    /// The most events in a reply, and what it has unless told otherwise.
    package static let replyLimit = 1000

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, limit }

        /// Which connections; nil means all.
        package let filter: ConnectionFilter?
        /// The most events.
        package let limit: Int?

        /// What to tell of.
        package init(filter: ConnectionFilter? = nil, limit: Int? = nil) {
            self.filter = filter
            self.limit = limit
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The newest first; one with ``Event/more`` where the last of these would be.
        package let events: [Event]

        /// Events as they are returned.
        package init(events: [Event]) { self.events = events }
    }
}
