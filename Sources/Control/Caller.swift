package import Varlink

/// The caller of a method, for the log.
package enum Caller: Sendable, Hashable {
    /// A process at a control socket, and what it claims to be.
    case process(PeerCredentials, ClientClaim?)
    /// A client of the HTTP API.
    case client(address: String)
}
