import WebSocket

/// Why a request was not let in: the label in metrics and `wsctl`.
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
    /// No token, or a bad one.
    case unauthorized
    /// The token does not let the client in here.
    case forbidden
    /// The endpoint's channel has its `max_members`.
    case channelLimit
    /// The request names a host that is none of `server.allowed_hosts`.
    case host

    /// The label, fixed for good: metrics and scripts know it.
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
        case .host: "host"
        }
    }

    /// The cause that goes with a refusal by the protocol code, which knows statuses only.
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
