import Varlink

/// Which connections are meant. Everything given must hold; what is absent doesn't matter.
package struct ConnectionFilter: Codable, Sendable, Hashable {
    package enum CodingKeys: String, CodingKey, CaseIterable {
        case ids, ip, endpoint, channel, user, all
    }

    /// One of these.
    package var ids: [String]?
    /// From this address, or from this network: `192.0.2.7`, `2001:db8::/32`.
    package var ip: String?
    /// On the endpoint of this path.
    package var endpoint: String?
    /// Subscribed to this channel.
    package var channel: String?
    /// Authenticated as this user.
    package var user: String?
    /// Every connection: said out loud, so that a forgotten filter doesn't close them all.
    package var all: Bool

    /// A filter; without arguments one that selects everything where looking is all that is done, and nothing to close.
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

    /// Whether anything narrows the selection; an empty list of ids is no criterion by itself.
    package var hasCriteria: Bool {
        !(ids ?? []).isEmpty || ip != nil || endpoint != nil || channel != nil || user != nil
    }
}
