package import Operations
import Varlink

/// `GetStatus`: returns the status of the hub.
package enum GetStatus {
    /// The method's name in its interface.
    package static let name = "GetStatus"

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The hub at this moment.
        package let status: HubStatus

        /// A status as it is returned.
        package init(status: HubStatus) { self.status = status }
    }
}

/// `List`: lists the connections that a filter selects. Returns ``ConnectionPage``s.
package enum List {
    /// The method's name in its interface.
    package static let name = "List"
    /// The maximum number of connections in one page of a stream.
    package static let pageLimit = 256
    /// The maximum number of connections in a reply to a call without `more`, and the default.
    package static let replyLimit = 1000

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, after, limit, cluster }

        /// The selection; nil means all connections.
        package let filter: ConnectionFilter?
        /// The position to continue from.
        package let after: String?
        /// The maximum number of connections.
        package let limit: Int?
        /// Whether all nodes are asked; nil means this one only.
        package let cluster: Bool?

        /// The connections to list.
        package init(
            filter: ConnectionFilter? = nil, after: String? = nil, limit: Int? = nil, cluster: Bool? = nil
        ) {
            self.filter = filter
            self.after = after
            self.limit = limit
            self.cluster = cluster
        }
    }
}

/// `Show`: shows one connection.
package enum Show {
    /// The method's name in its interface.
    package static let name = "Show"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case id, cluster }

        /// The connection's id.
        package let id: String
        /// Whether all nodes are asked; nil means this one only.
        package let cluster: Bool?

        /// The connection to show.
        package init(id: String, cluster: Bool? = nil) {
            self.id = id
            self.cluster = cluster
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The connection.
        package let connection: ConnectionRow
        /// The names of the nodes that did not answer; nil if no other node was asked.
        package let silent: [String]?

        /// A connection as it is returned.
        package init(connection: ConnectionRow, silent: [String]? = nil) {
            self.connection = connection
            self.silent = silent
        }
    }
}

/// `Kick`: closes connections.
package enum Kick {
    /// The method's name in its interface.
    package static let name = "Kick"
    /// The default close code: policy violation, because the administrator's decision is the policy.
    package static let defaultCode = 1008
    /// The default close reason.
    package static let defaultReason = "closed by an administrator"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, code, reason, cluster }

        /// The selection of connections.
        package let filter: ConnectionFilter
        /// The close code; nil means ``Kick/defaultCode``.
        package let code: Int?
        /// The close reason; nil means ``Kick/defaultReason``.
        package let reason: String?
        /// Whether all nodes are asked; nil means this one only.
        package let cluster: Bool?

        /// The connections to close, and the reason.
        package init(
            filter: ConnectionFilter, code: Int? = nil, reason: String? = nil, cluster: Bool? = nil
        ) {
            self.filter = filter
            self.code = code
            self.reason = reason
            self.cluster = cluster
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The number of connections that are being closed.
        package let connections: Int
        /// The names of the nodes that did not answer, and whose connections are not counted; nil if no other node was
        /// asked.
        package let silent: [String]?

        /// A count as it is returned.
        package init(connections: Int, silent: [String]? = nil) {
            self.connections = connections
            self.silent = silent
        }
    }
}

/// `Broadcast`: sends a message to many connections.
package enum Broadcast {
    /// The method's name in its interface.
    package static let name = "Broadcast"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case message, data, channel, user, cluster }

        /// A text message; either this or ``data`` is given.
        package let message: String?
        /// A binary message, in Base64.
        package let data: String?
        /// The channel whose subscribers get the message; nil means everyone.
        package let channel: String?
        /// Restricts the message to this user's connections; nil means everyone.
        package let user: String?
        /// Whether it goes to the connections of all nodes; nil means those of this one. A message to everyone in a
        /// channel always goes to all nodes.
        package let cluster: Bool?

        /// A message and its recipients.
        package init(
            message: String? = nil, data: String? = nil, channel: String? = nil, user: String? = nil,
            cluster: Bool? = nil
        ) {
            self.message = message
            self.data = data
            self.channel = channel
            self.user = user
            self.cluster = cluster
        }
    }

    /// The method's reply.
    package typealias Reply = PublishResult
}

/// `Publish`: publishes a message in a channel.
package enum Publish {
    /// The method's name in its interface.
    package static let name = "Publish"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case channel, message, data }

        /// The channel.
        package let channel: String
        /// A text message; either this or ``data`` is given.
        package let message: String?
        /// A binary message, in Base64.
        package let data: String?

        /// A message for a channel.
        package init(channel: String, message: String? = nil, data: String? = nil) {
            self.channel = channel
            self.message = message
            self.data = data
        }
    }

    /// The method's reply.
    package typealias Reply = PublishResult
}

/// `Drain`: stops the daemon gracefully.
package enum Drain {
    /// The method's name in its interface.
    package static let name = "Drain"

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The progress of the drain.
        package let drain: DrainProgress

        /// A drain as it is returned.
        package init(drain: DrainProgress) { self.drain = drain }
    }
}

/// `Reload`: reads the configuration and the keys again.
package enum Reload {
    /// The method's name in its interface.
    package static let name = "Reload"
}

/// The result of a reload.
package struct ReloadOutcome: Codable, Sendable, Hashable {
    /// The keys of the configuration that changed and are in force now.
    package let changed: [String]
    /// The keys that changed and take effect only after a restart.
    package let needsRestart: [String]
    /// The keys that are set but not used, because systemd passes sockets instead; nil if there are none.
    package let unused: [String]?
    /// What is no error, but wants a look: about certificates; nil if there is nothing.
    package let notices: [String]?

    /// An outcome as it is returned.
    package init(changed: [String], needsRestart: [String], unused: [String]? = nil, notices: [String]? = nil) {
        self.changed = changed
        self.needsRestart = needsRestart
        self.unused = unused
        self.notices = notices
    }
}
