package import Base

/// A connection with the data that an administrator sees. The properties are the fields that control clients and the
/// HTTP API get, under the same names.
package struct ConnectionRow: Codable, Sendable, Hashable {
    /// Whether a connection still carries messages.
    package enum State: String, Codable, Sendable, CaseIterable {
        /// The connection carries messages.
        case open
        /// The closing handshake is under way.
        case closing
    }

    /// The connection's id.
    package var id: ConnectionID
    /// The peer's IP address, after trusted proxies.
    package var address: IPAddress
    /// The peer's TCP port.
    package var port: Int
    /// The endpoint's path, such as `/ws`.
    package var endpoint: String
    /// The endpoint's protocol, such as `relay`.
    package var `protocol`: String
    /// The channels that the connection is subscribed to.
    package var channels: [String]
    /// Whether permessage-deflate was negotiated.
    package var compression: Bool
    /// The user that the client authenticated as, or a guest's name; nil if there is neither.
    package var user: String?
    /// The client's User-Agent, exactly as it was sent: never show it without escaping.
    package var userAgent: String?
    /// The version and the cipher of TLS, such as "TLS 1.3, AES-128-GCM"; nil without TLS.
    package var tls: String?
    /// The subject of the client's certificate; nil if it has shown none.
    package var certificateSubject: String?
    /// The names in the client's certificate; nil if it has shown none.
    package var certificateNames: [String]?
    /// The time of the opening handshake.
    package var connectedSince: Timestamp
    /// Seconds since the last bytes came from the peer.
    package var idleSeconds: Double
    /// Messages the peer sent.
    package var messagesIn: Int
    /// Messages sent to the peer.
    package var messagesOut: Int
    /// Bytes the peer sent.
    package var bytesIn: Int
    /// Bytes sent to the peer.
    package var bytesOut: Int
    /// Bytes that wait for the peer to read.
    package var queuedBytes: Int
    /// Messages that wait for the peer to read.
    package var queuedMessages: Int?
    /// Messages that the peer never got because it reads too slowly.
    package var droppedMessages: Int
    /// Whether the connection still carries messages.
    package var state: State
    /// The name of its node, in a list over all nodes.
    package var node: String?

    /// A connection as it is at one moment.
    package init(
        id: ConnectionID, address: IPAddress, port: Int, endpoint: String, protocol: String, channels: [String],
        compression: Bool = false, user: String? = nil, userAgent: String? = nil, connectedSince: Timestamp,
        idleSeconds: Double, messagesIn: Int, messagesOut: Int, bytesIn: Int, bytesOut: Int, queuedBytes: Int,
        queuedMessages: Int? = nil, droppedMessages: Int, state: State
    ) {
        self.id = id
        self.address = address
        self.port = port
        self.endpoint = endpoint
        self.protocol = `protocol`
        self.channels = channels
        self.compression = compression
        self.user = user
        self.userAgent = userAgent
        self.connectedSince = connectedSince
        self.idleSeconds = idleSeconds
        self.messagesIn = messagesIn
        self.messagesOut = messagesOut
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.queuedBytes = queuedBytes
        self.queuedMessages = queuedMessages
        self.droppedMessages = droppedMessages
        self.state = state
    }
}

/// The property that connections are sorted by, the largest value first.
package enum ConnectionOrder: String, Codable, CaseIterable, Sendable {
    case queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut, idle
}
