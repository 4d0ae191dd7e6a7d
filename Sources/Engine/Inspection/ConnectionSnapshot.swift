import Rooms

/// A connection as an operator sees it.
package struct ConnectionSnapshot: Sendable {
    package var id: ConnectionID
    package var address: IPAddress
    package var port: UInt16
    /// The endpoint's path.
    package var endpoint: String
    package var messageProtocol: String
    /// The user of the connection's token, or a guest's name; nil if there is neither.
    package var user: String?
    package var channels: [String]
    /// Whether permessage-deflate was negotiated.
    package var isCompressed: Bool
    package var userAgent: String?
    /// Milliseconds since 1970.
    package var connectedAt: Int64
    /// The time since the last bytes from the peer.
    package var idle: Duration
    package var messagesIn: UInt64
    package var messagesOut: UInt64
    package var bytesIn: UInt64
    package var bytesOut: UInt64
    package var queuedBytes: Int
    package var queuedMessages: Int
    package var dropped: UInt32
    package var isClosing: Bool
}

/// A page of one worker's connections, in the order of their slots.
package struct ConnectionPage: Sendable {
    package var connections: [ConnectionSnapshot]
    /// The slot to continue from; nil after the last.
    package var next: UInt32?
}

/// The property that connections are sorted by, the largest value first.
package enum ConnectionOrder: String, CaseIterable, Sendable {
    case queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut, idle
}

/// A connection with the value that it is sorted by.
struct RankedConnection: Sendable {
    var value: UInt64
    var connection: ConnectionSnapshot
}

/// A selection of connections. A connection must match every criterion given.
package struct ConnectionSelection: Sendable {
    package var ids: Set<ConnectionID>?
    package var matchesAddress: (@Sendable (IPAddress) -> Bool)?
    package var endpoint: String?
    package var channel: String?
    package var user: String?

    package init(
        ids: Set<ConnectionID>? = nil,
        matchesAddress: (@Sendable (IPAddress) -> Bool)? = nil,
        endpoint: String? = nil,
        channel: String? = nil,
        user: String? = nil
    ) {
        self.ids = ids
        self.matchesAddress = matchesAddress
        self.endpoint = endpoint
        self.channel = channel
        self.user = user
    }
}

extension ConnectionSelection {
    /// Whether an ending is that of a selected connection.
    func selects(_ ending: Ending) -> Bool {
        if let ids, !(ending.id.map(ids.contains) ?? false) { return false }
        if let endpoint, endpoint != ending.endpoint { return false }
        if let user, ending.user.map(Name.init) != Name(user) { return false }
        if let channel, !ending.channels.contains(where: { Name($0) == Name(channel) }) { return false }
        return matchesAddress?(ending.address) ?? true
    }
}
