internal import Base
package import Operations
internal import Varlink

/// A selection of connections as control clients and programs of the HTTP API ask for it; see
/// ``selection()``.
package struct ConnectionFilter: Codable, Sendable, Hashable {
    package enum CodingKeys: String, CodingKey, CaseIterable {
        case ids, ip, endpoint, channel, user, all
    }

    /// The ids, one of which must match.
    package var ids: [String]?
    /// The address or network of the client: `192.0.2.7`, `2001:db8::/32`.
    package var ip: String?
    /// The path of the endpoint.
    package var endpoint: String?
    /// A channel that the connection is subscribed to.
    package var channel: String?
    /// The user that the client authenticated as.
    package var user: String?
    /// Every connection. It has to be said explicitly, so that a forgotten filter doesn't close all of them.
    package var all: Bool

    /// A filter. Without arguments it selects everything for commands that only read, and is an error for those that
    /// close.
    package init(
        ids: [String]? = nil, ip: String? = nil, endpoint: String? = nil, channel: String? = nil, user: String? = nil,
        all: Bool = false
    ) {
        self.ids = ids
        self.ip = ip
        self.endpoint = endpoint
        self.channel = channel
        self.user = user
        self.all = all
    }

    package init(from decoder: any Decoder) throws {
        try decoder.rejectUnknownKeys(besides: CodingKeys.self)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        ids = try container.decodeIfPresent([String].self, forKey: .ids)
        ip = try container.decodeIfPresent(String.self, forKey: .ip)
        endpoint = try container.decodeIfPresent(String.self, forKey: .endpoint)
        channel = try container.decodeIfPresent(String.self, forKey: .channel)
        user = try container.decodeIfPresent(String.self, forKey: .user)
        all = try container.decodeIfPresent(Bool.self, forKey: .all) ?? false
    }

    /// Whether any criterion narrows the selection; an empty list of ids is no criterion.
    package var hasCriteria: Bool {
        !(ids ?? []).isEmpty || ip != nil || endpoint != nil || channel != nil || user != nil
    }
}

extension ConnectionFilter {
    /// Checks the filter.
    ///
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)`` for a value that isn't an address or a network,
    ///   and for `all` together with another criterion, because one of the two must be a mistake.
    package func selection() throws(ControlError) -> ConnectionSelection {
        if all && hasCriteria {
            throw .invalidFilter(field: "all", value: "true", reason: "asks for all and for some at once")
        }
        var selection = ConnectionSelection(endpoint: endpoint, channel: channel, user: user)
        if let ip {
            guard let network = IPNetwork(ip) else {
                throw .invalidFilter(
                    field: "ip", value: ip, reason: "neither an IP address nor a network such as 10.0.0.0/8")
            }
            selection.network = network
        }
        // What is no id selects no connection.
        selection.ids = ids.map { Set($0.compactMap { ConnectionID($0) }) }
        let fields = [("ip", ip), ("endpoint", endpoint), ("channel", channel), ("user", user)]
            .compactMap { name, value in value.map { "\(name)=\($0)" } }
        let shownIDs = (ids ?? []).prefix(16).map { "id=\($0.prefix(64))" }
        selection.description = all ? "all" : (shownIDs + fields).joined(separator: " ")
        return selection
    }
}
