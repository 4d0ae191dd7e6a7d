/// The clients that are allowed to do something in a channel.
package enum Access: String, CaseIterable, Sendable {
    case anyone
    /// Clients whose token names a user.
    case users
    /// Clients whose token grants it for this channel.
    case granted
    /// No client; the backend and the operator are still allowed to.
    case nobody
}
