package import Varlink

/// Why the hub didn't do what an administrator asked.
package enum ControlError: Error, Sendable, Hashable {
    /// No connection has this id: it never existed, or is gone.
    case noSuchConnection(id: String)
    /// Nobody is in the channel, and nothing is kept of it.
    case noSuchChannel(name: String)
    /// Part of a filter can't be understood; `field` is its name in ``ConnectionFilter``.
    case invalidFilter(field: String, value: String, reason: String)
    /// A kick that names no connection.
    case nothingSelected
    /// A close code that a server may not send; see ``CloseReason``.
    case invalidCloseCode(Int)
    /// A close reason that doesn't fit into a close frame.
    case reasonTooLong(byteCount: Int, limit: Int)
    /// A message that is longer than the hub lets messages be.
    case messageTooLarge(byteCount: Int, limit: Int)
    /// A configuration or a key that is wrong; everything that is.
    case reloadFailed([String])
    /// A token for a daemon that has no secret to sign it with.
    case noSigningKey
    /// A profile that can't be taken, and why.
    case profileFailed(String)
    /// A parameter that is none of the above and wrong all the same.
    case invalidParameter(String)

    /// The error as the interface, `io.wsd.Control` or `io.wsd.Status`, gives it.
    package func varlinkError(interface: String) -> VarlinkError {
        func error(_ member: String, _ parameters: [String: VarlinkValue] = [:]) -> VarlinkError {
            VarlinkError(name: "\(interface).\(member)", parameters: parameters)
        }
        switch self {
        case .noSuchConnection(let id):
            return error("NoSuchConnection", ["id": .string(id)])
        case .noSuchChannel(let name):
            return error("NoSuchChannel", ["channel": .string(name)])
        case .invalidFilter(let field, let value, let reason):
            return error(
                "InvalidFilter", ["field": .string(field), "value": .string(value), "reason": .string(reason)])
        case .nothingSelected:
            return error("NothingSelected")
        case .invalidCloseCode(let code):
            return error("InvalidCloseCode", ["code": .int(Int64(code))])
        case .reasonTooLong(let byteCount, let limit):
            return error("ReasonTooLong", ["bytes": .int(Int64(byteCount)), "limit": .int(Int64(limit))])
        case .messageTooLarge(let byteCount, let limit):
            return error("MessageTooLarge", ["bytes": .int(Int64(byteCount)), "limit": .int(Int64(limit))])
        case .reloadFailed(let errors):
            return error("ReloadFailed", ["errors": .array(errors.map { .string($0) })])
        case .noSigningKey:
            return error("NoSigningKey")
        case .profileFailed(let reason):
            return error("ProfileFailed", ["reason": .string(reason)])
        case .invalidParameter(let name):
            return .invalidParameter(name)
        }
    }
}
