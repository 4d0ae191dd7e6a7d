package import Operations
internal import Varlink

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
        /// In the last reply, whether the daemon ends for a restart; nil in the others.
        package let restarts: Bool?

        /// A reply with events.
        package init(events: [Event], lost: Int, restarts: Bool? = nil) {
            self.events = events
            self.lost = lost
            self.restarts = restarts
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
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, limit, cluster }

        /// The selection of connections; nil means all.
        package let filter: ConnectionFilter?
        /// The maximum number of events.
        package let limit: Int?
        /// Whether all nodes are asked; nil means this one only.
        package let cluster: Bool?

        /// The selection of events.
        package init(filter: ConnectionFilter? = nil, limit: Int? = nil, cluster: Bool? = nil) {
            self.filter = filter
            self.limit = limit
            self.cluster = cluster
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The events, the newest first; an event with ``Event/more`` is at the place of the last event that it
        /// summarises.
        package let events: [Event]
        /// The names of the nodes that did not answer; nil if no other node was asked.
        package let silent: [String]?

        /// Events as they are returned.
        package init(events: [Event], silent: [String]? = nil) {
            self.events = events
            self.silent = silent
        }
    }
}
