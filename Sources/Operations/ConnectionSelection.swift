package import Base

/// A selection of connections, for whatever an operator or a backend asks about connections or events. A connection
/// must match every criterion given; without any, all are selected.
package struct ConnectionSelection: Sendable, CustomStringConvertible {
    /// The ids, one of which must match: with them, a hub looks up each id instead of walking over all connections.
    package var ids: Set<ConnectionID>?
    /// The network of the client's address.
    package var network: IPNetwork?
    /// An address that the client must not have.
    package var exceptAddress: IPAddress?
    /// The path of the endpoint.
    package var endpoint: String?
    /// A channel that the connection is in.
    package var channel: String?
    /// The user that the client authenticated as.
    package var user: String?
    /// What was asked for in one line, for the log.
    package var description: String

    /// A selection.
    package init(
        ids: Set<ConnectionID>? = nil, network: IPNetwork? = nil, exceptAddress: IPAddress? = nil,
        endpoint: String? = nil, channel: String? = nil, user: String? = nil, description: String = ""
    ) {
        self.ids = ids
        self.network = network
        self.exceptAddress = exceptAddress
        self.endpoint = endpoint
        self.channel = channel
        self.user = user
        self.description = description
    }

    /// Whether a connection is selected. One of which something is not known doesn't match a criterion for it. Names
    /// are compared by their bytes.
    ///
    /// - Parameter isIn: whether the connection is in a channel.
    package func selects(
        id: ConnectionID?, address: IPAddress?, endpoint: @autoclosure () -> String?,
        user: @autoclosure () -> String?, isIn: (_ channel: String) -> Bool
    ) -> Bool {
        if let ids, !(id.map(ids.contains) ?? false) { return false }
        if let wanted = self.endpoint, endpoint().map(Name.init) != Name(wanted) { return false }
        if let channel, !isIn(channel) { return false }
        if let wanted = self.user, user().map(Name.init) != Name(wanted) { return false }
        if let network, !(address.map(network.contains) ?? false) { return false }
        if let exceptAddress, address == exceptAddress { return false }
        return true
    }

    /// Whether a connection in these channels is selected.
    package func selects(
        id: ConnectionID?, address: IPAddress?, endpoint: String?, user: String?, channels: [String]
    ) -> Bool {
        selects(id: id, address: address, endpoint: endpoint, user: user) { wanted in
            channels.contains { Name($0) == Name(wanted) }
        }
    }

    /// Whether a connection is selected.
    package func selects(_ row: ConnectionRow) -> Bool {
        selects(id: row.id, address: row.address, endpoint: row.endpoint, user: row.user, channels: row.channels)
    }

    /// Whether the connection of an event is selected.
    package func selects(_ event: Event) -> Bool {
        selects(
            id: event.id, address: event.address, endpoint: event.endpoint, user: event.user,
            channels: event.channels ?? [])
    }
}
