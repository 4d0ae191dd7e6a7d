/// Who may do something in a channel.
package enum Access: String, CaseIterable, Sendable {
    case anyone
    /// Whoever a token names.
    case users
    /// Whose token grants it for this channel.
    case granted
    /// No client; the backend and the operator still may.
    case nobody
}
