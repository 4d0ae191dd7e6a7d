/// The cause of a connection's end: the label in metrics and `wsctl`, and the word in the log.
package enum CloseCause: UInt8, CaseIterable, Sendable {
    /// The connection is not ending.
    case none
    /// The peer sent a close frame.
    case peerClosed
    /// The peer closed its end of the connection without a close frame.
    case peerGone
    /// The peer's host reset the connection.
    case reset
    case protocolError
    case invalidData
    case messageTooBig
    case slowConsumer
    case writeTimeout
    case pongTimeout
    case rateLimited
    case kicked
    case draining
    case tokenExpired
    case notPermitted
    case internalError
    /// The connection was among those that held the most memory when `limits.memory` was exceeded.
    case memoryLimit
    /// The connection began a message and did not complete it within `websocket.message_timeout`.
    case messageTimeout

    /// The label, which never changes because metrics and scripts use it.
    package var label: String {
        switch self {
        case .none: "open"
        case .peerClosed: "peer_closed"
        case .peerGone: "peer_gone"
        case .reset: "reset"
        case .protocolError: "protocol_error"
        case .invalidData: "invalid_data"
        case .messageTooBig: "message_too_big"
        case .slowConsumer: "slow_consumer"
        case .writeTimeout: "write_timeout"
        case .pongTimeout: "pong_timeout"
        case .rateLimited: "rate_limited"
        case .kicked: "kicked"
        case .draining: "draining"
        case .tokenExpired: "token_expired"
        case .notPermitted: "not_permitted"
        case .internalError: "internal_error"
        case .memoryLimit: "memory_limit"
        case .messageTimeout: "message_timeout"
        }
    }

    /// Whether the end is logged at the default level.
    package var isNoteworthy: Bool {
        switch self {
        case .none, .peerClosed, .peerGone, .reset, .draining, .tokenExpired: false
        default: true
        }
    }
}
