import WebSocket

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
