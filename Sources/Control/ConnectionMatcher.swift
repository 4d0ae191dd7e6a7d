package import Base

/// A filter prepared for comparison with many connections: checked, with the network parsed and the ids in a set.
package struct ConnectionMatcher: Sendable, CustomStringConvertible {
    /// The filter in one line, for the log.
    package let description: String
    /// The selected ids: with them, a hub looks up each id instead of walking over all connections.
    package let selectedIDs: Set<String>?
    /// The selected address or network.
    package let network: IPNetwork?
    /// The path of the selected endpoint.
    package let endpoint: String?
    /// The selected channel.
    package let channel: String?
    /// The selected user.
    package let user: String?

    /// Checks a filter.
    ///
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)`` for a value that isn't an address or a network,
    ///   and for `all` together with another criterion, because one of the two must be a mistake.
    package init(_ filter: ConnectionFilter) throws(ControlError) {
        if filter.all && filter.hasCriteria {
            throw .invalidFilter(field: "all", value: "true", reason: "asks for all and for some at once")
        }
        if let ip = filter.ip {
            guard let prefix = IPNetwork(ip) else {
                throw .invalidFilter(
                    field: "ip", value: ip, reason: "neither an IP address nor a network such as 10.0.0.0/8")
            }
            network = prefix
        } else {
            network = nil
        }
        let fields = [
            ("ip", filter.ip), ("endpoint", filter.endpoint), ("channel", filter.channel), ("user", filter.user),
        ].compactMap { name, value in value.map { "\(name)=\($0)" } }
        let ids = (filter.ids ?? []).prefix(16).map { "id=\($0.prefix(64))" }
        description = filter.all ? "all" : (ids + fields).joined(separator: " ")
        selectedIDs = filter.ids.map { Set($0) }
        endpoint = filter.endpoint
        channel = filter.channel
        user = filter.user
    }

    /// Whether a connection matches. The cheapest criteria come first; the address, which has to be parsed, comes last.
    package func matches(
        id: String, address: String, endpoint: String, channels: some Sequence<String>, user: String?
    ) -> Bool {
        if let selectedIDs, !selectedIDs.contains(id) { return false }
        if let wanted = self.endpoint, wanted != endpoint { return false }
        if let wanted = self.user, wanted != user { return false }
        if let channel, !channels.contains(channel) { return false }
        if let network, !(IPAddress(address).map(network.contains) ?? false) { return false }
        return true
    }

    /// Whether a connection matches.
    package func matches(_ connection: ConnectionInfo) -> Bool {
        matches(
            id: connection.id, address: connection.address, endpoint: connection.endpoint,
            channels: connection.channels, user: connection.user)
    }
}
