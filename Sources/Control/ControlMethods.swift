import Varlink

/// `GetStatus`: the hub at this moment.
package enum GetStatus {
    /// The method's name in its interface.
    package static let name = "GetStatus"

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The hub at this moment.
        package let status: HubStatus

        /// A status as it is returned.
        package init(status: HubStatus) { self.status = status }
    }
}

/// `List`: the connections that a filter selects. Returns ``ConnectionPage``s.
package enum List {
    /// The method's name in its interface.
    package static let name = "List"
    /// The most connections in one page of a stream.
    package static let pageLimit = 256
    /// The most connections in a reply to a call without `more`, and what it has unless told otherwise.
    package static let replyLimit = 1000

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, after, limit }

        /// Which connections; nil means all.
        package let filter: ConnectionFilter?
        /// Where to go on.
        package let after: String?
        /// The most connections to list.
        package let limit: Int?

        /// What to list.
        package init(filter: ConnectionFilter? = nil, after: String? = nil, limit: Int? = nil) {
            self.filter = filter
            self.after = after
            self.limit = limit
        }
    }
}

/// `Show`: one connection.
package enum Show {
    /// The method's name in its interface.
    package static let name = "Show"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case id }

        /// The connection's id.
        package let id: String

        /// Which connection to show.
        package init(id: String) { self.id = id }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The connection.
        package let connection: ConnectionInfo

        /// A connection as it is returned.
        package init(connection: ConnectionInfo) { self.connection = connection }
    }
}

/// `Kick`: close connections.
package enum Kick {
    /// The method's name in its interface.
    package static let name = "Kick"
    /// The close code unless told otherwise: policy violation, the policy being the administrator.
    package static let defaultCode = 1008
    /// The close reason unless told otherwise.
    package static let defaultReason = "closed by an administrator"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case filter, code, reason }

        /// Which connections.
        package let filter: ConnectionFilter
        /// The close code; nil means ``Kick/defaultCode``.
        package let code: Int?
        /// The close reason; nil means ``Kick/defaultReason``.
        package let reason: String?

        /// Which connections to close, and why.
        package init(filter: ConnectionFilter, code: Int? = nil, reason: String? = nil) {
            self.filter = filter
            self.code = code
            self.reason = reason
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// How many connections are being closed.
        package let connections: Int

        /// A count as it is returned.
        package init(connections: Int) { self.connections = connections }
    }
}

/// `Broadcast`: a message to many.
package enum Broadcast {
    /// The method's name in its interface.
    package static let name = "Broadcast"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case message, data, channel, user }

        /// A text message; either this or ``data`` is given.
        package let message: String?
        /// A binary message, in Base64.
        package let data: String?
        /// The channel whose subscribers get it; nil means everyone.
        package let channel: String?
        /// Narrows it to this user's connections; nil means everyone.
        package let user: String?

        /// A message and whom it is for.
        package init(
            message: String? = nil, data: String? = nil, channel: String? = nil, user: String? = nil
        ) {
            self.message = message
            self.data = data
            self.channel = channel
            self.user = user
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// How many connections it goes to.
        package let recipients: Int

        /// A count as it is returned.
        package init(recipients: Int) { self.recipients = recipients }
    }
}

/// `Drain`: end the daemon gracefully.
package enum Drain {
    /// The method's name in its interface.
    package static let name = "Drain"

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// The drain as it begins, or as far as it is.
        package let drain: DrainProgress

        /// A drain as it is returned.
        package init(drain: DrainProgress) { self.drain = drain }
    }
}

/// `Reload`: read the configuration and the keys again.
package enum Reload {
    /// The method's name in its interface.
    package static let name = "Reload"
}

/// What a reload did.
package struct ReloadOutcome: Codable, Sendable, Hashable {
    /// The keys of the configuration that changed and are in force now.
    package let changed: [String]
    /// The keys that changed and take effect after a restart only.
    package let needsRestart: [String]
    /// The keys that are given and not used, because systemd passes sockets in their place; nil for none.
    package let unused: [String]?

    /// An outcome as it is returned.
    package init(changed: [String], needsRestart: [String], unused: [String]? = nil) {
        self.changed = changed
        self.needsRestart = needsRestart
        self.unused = unused
    }
}
