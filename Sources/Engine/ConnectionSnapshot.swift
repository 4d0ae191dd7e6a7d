import Rooms

/// One connection as an operator sees it.
package struct ConnectionSnapshot: Sendable {
    package var id: ConnectionID
    package var address: IPAddress
    package var port: UInt16
    /// The endpoint's path.
    package var endpoint: String
    package var messageProtocol: String
    /// Who it is: the user of its token, or a guest's name; nil where neither is known.
    package var user: String?
    package var channels: [String]
    /// Whether permessage-deflate was agreed on.
    package var isCompressed: Bool
    package var userAgent: String?
    /// Milliseconds since 1970.
    package var connectedAt: Int64
    /// Since the last bytes from the peer.
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

/// Some connections of one worker, in the order of their slots.
package struct ConnectionPage: Sendable {
    package var connections: [ConnectionSnapshot]
    /// The slot to go on from; nil after the last.
    package var next: UInt32?
}

/// What connections are put in order by, the most first.
package enum ConnectionOrder: String, CaseIterable, Sendable {
    case queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut, idle
}

/// A connection with what it is put in order by.
struct RankedConnection: Sendable {
    var value: UInt64
    var connection: ConnectionSnapshot
}

/// Which connections an operator means. Every given criterion must hold.
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
    /// Whether an ending is that of a connection that is meant.
    func selects(_ ending: Ending) -> Bool {
        if let ids, !(ending.id.map(ids.contains) ?? false) { return false }
        if let endpoint, endpoint != ending.endpoint { return false }
        if let user, ending.user.map(Name.init) != Name(user) { return false }
        if let channel, !ending.channels.contains(where: { Name($0) == Name(channel) }) { return false }
        return matchesAddress?(ending.address) ?? true
    }
}
