package import Varlink

/// Who asks the hub for something; for the log.
package enum Caller: Sendable, Hashable {
    /// A process at a control socket, and what it says of itself.
    case process(PeerCredentials, ClientClaim?)
    /// A client of the HTTP API.
    case client(address: String)
}
