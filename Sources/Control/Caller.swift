package import Varlink

/// The caller of a method, for the log.
package enum Caller: Sendable, Hashable {
    /// A process at a control socket, and what it claims to be.
    case process(PeerCredentials, ClientClaim?)
    /// A client of the HTTP API.
    case client(address: String)
    /// Another node of the cluster, by its name, and the caller that it asks for, as fields of the log.
    case node(name: String, caller: [String: String])

    /// A consumer of this node, by the name of its source.
    case consumer(source: String)

    /// The field that only clients of the HTTP API have.
    package static let clientField = "api-client"

    /// The caller as fields of the log.
    package var fields: [String: String] {
        switch self {
        case .process(let peer, let claim):
            var fields = ["peer-uid": "\(peer.userID)", "peer-pid": "\(peer.processID)"]
            if let claim {
                fields["peer-command"] = claim.command
                if claim.userID != peer.userID { fields["peer-says-uid"] = "\(claim.userID)" }
            }
            return fields
        case .client(let address): return [Self.clientField: address]
        case .consumer(let source): return ["source": source]
        case .node(let name, let caller): return caller.merging(["asking-node": name]) { $1 }
        }
    }

    /// Whether it is a backend, wherever it is connected to.
    package var isBackend: Bool {
        if case .consumer = self { true } else { fields[Self.clientField] != nil }
    }
}
