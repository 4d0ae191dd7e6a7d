package import Varlink

/// The reason why the hub didn't do what an administrator asked for.
package enum ControlError: Error, Sendable, Hashable {
    /// No connection has this id: it never existed or is closed. It may be on one of the nodes that did not answer.
    case noSuchConnection(id: String, silent: [String] = [])
    /// The channel has no members and no history.
    case noSuchChannel(name: String)
    /// Part of a filter is invalid; `field` is its name in ``ConnectionFilter``.
    case invalidFilter(field: String, value: String, reason: String)
    /// A kick that selects no connection.
    case nothingSelected
    /// A close code that a server may not send; see ``CloseReason``.
    case invalidCloseCode(Int)
    /// A close reason that doesn't fit into a close frame.
    case reasonTooLong(byteCount: Int, limit: Int)
    /// A message that is longer than the configuration allows.
    case messageTooLarge(byteCount: Int, limit: Int)
    /// A message that is too long to be sent to other nodes, in the form in which they get it.
    case questionTooLarge(byteCount: Int, limit: Int)
    /// Every error in a configuration or in its keys.
    case reloadFailed([String])
    /// The daemon has no secret to sign a token with.
    case noSigningKey
    /// A profile can't be taken; with the reason.
    case profileFailed(String)
    /// A question to all nodes on a node that has no broker.
    case noBroker
    /// The broker did not take a message, or could not be asked; with the reason.
    case unavailable(String)
    /// The broker would not take a message at another time either, as it is too large for it; with the reason.
    case rejected(String)
    /// A parameter that is invalid in another way.
    case invalidParameter(String)

    /// The error in the form of the interface, `io.wsd.Control` or `io.wsd.Status`.
    package func varlinkError(interface: String) -> VarlinkError {
        func error(_ member: String, _ parameters: [String: VarlinkValue] = [:]) -> VarlinkError {
            VarlinkError(name: "\(interface).\(member)", parameters: parameters)
        }
        switch self {
        case .noSuchConnection(let id, let silent):
            let nodes: [String: VarlinkValue] = silent.isEmpty ? [:] : ["silent": .array(silent.map { .string($0) })]
            return error("NoSuchConnection", nodes.merging(["id": .string(id)]) { $1 })
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
        case .questionTooLarge(let byteCount, let limit):
            return error("QuestionTooLarge", ["bytes": .int(Int64(byteCount)), "limit": .int(Int64(limit))])
        case .reloadFailed(let errors):
            return error("ReloadFailed", ["errors": .array(errors.map { .string($0) })])
        case .noSigningKey:
            return error("NoSigningKey")
        case .profileFailed(let reason):
            return error("ProfileFailed", ["reason": .string(reason)])
        case .noBroker:
            return error("NoBroker")
        case .unavailable(let reason):
            return error("Unavailable", ["reason": .string(reason)])
        case .rejected(let reason):
            return error("Rejected", ["reason": .string(reason)])
        case .invalidParameter(let name):
            return .invalidParameter(name)
        }
    }
}
