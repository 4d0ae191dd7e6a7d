import WebSocket

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
    /// The daemon was restarted, and the connection could not be handed on.
    case restarting
    /// A record of TLS did not open, or the peer ended TLS with an alert.
    case tlsError

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
        case .restarting: "restarting"
        case .tlsError: "tls_error"
        }
    }

    /// Whether the end is logged at the default level.
    package var isNoteworthy: Bool {
        switch self {
        case .none, .peerClosed, .peerGone, .reset, .draining, .tokenExpired, .restarting: false
        default: true
        }
    }
}

/// The cause of a refused request: the label in metrics and `wsctl`.
package enum RefusalCause: UInt8, CaseIterable, Sendable {
    case badRequest
    case origin
    case notFound
    case method
    case timeout
    case upgradeRequired
    case perAddressLimit
    case headerTooLarge
    case connectionLimit
    case descriptorLimit
    case draining
    /// The request has no token, or an invalid one.
    case unauthorized
    /// The client may not be in the endpoint's channel.
    case forbidden
    /// The endpoint's channel has `max_members` members.
    case channelLimit
    /// The memory held for clients is close to `limits.memory`.
    case memoryLimit
    /// The request is for a host that is not among `server.allowed_hosts`.
    case host
    /// The broker could not tell the state of the endpoint's channel.
    case broker
    /// The handshake of TLS failed.
    case tlsFailed
    /// Plain HTTP came to a port for TLS, or TLS to one for plain HTTP.
    case tlsMismatch

    /// The label, which never changes because metrics and scripts use it.
    package var label: String {
        switch self {
        case .badRequest: "bad_request"
        case .origin: "origin"
        case .notFound: "not_found"
        case .method: "method"
        case .timeout: "timeout"
        case .upgradeRequired: "upgrade_required"
        case .perAddressLimit: "per_address_limit"
        case .headerTooLarge: "header_too_large"
        case .connectionLimit: "connection_limit"
        case .descriptorLimit: "descriptor_limit"
        case .draining: "draining"
        case .unauthorized: "unauthorized"
        case .forbidden: "forbidden"
        case .channelLimit: "channel_limit"
        case .memoryLimit: "memory_limit"
        case .host: "host"
        case .broker: "broker"
        case .tlsFailed: "tls_failed"
        case .tlsMismatch: "tls_mismatch"
        }
    }

    /// The cause for a refusal by the protocol code, which only knows statuses.
    init(_ status: HTTPStatus) {
        self =
            switch status {
            case .forbidden: .origin
            case .notFound: .notFound
            case .methodNotAllowed: .method
            case .requestTimeout: .timeout
            case .upgradeRequired: .upgradeRequired
            case .tooManyRequests: .perAddressLimit
            case .requestHeaderFieldsTooLarge: .headerTooLarge
            case .serviceUnavailable: .connectionLimit
            default: .badRequest
            }
    }
}
