package import Varlink

/// Who asks the hub for something; for the log.
package enum Caller: Sendable, Hashable {
    /// A process at a control socket.
    case process(PeerCredentials)
    /// A client of the HTTP API.
    case client(address: String)
}
