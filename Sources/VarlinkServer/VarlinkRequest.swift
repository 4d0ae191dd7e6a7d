package import Varlink

/// A call that is being executed: its parameters, its caller, and the means to reply more than once.
package struct VarlinkRequest: Sendable {
    /// The method, without its interface.
    package let member: String
    /// The caller.
    package let peer: PeerCredentials
    private let call: VarlinkCall
    private let send: @Sendable (any Encodable & Sendable) async throws -> Void

    /// A request; `send` writes a reply that others follow, and returns when the peer's socket has taken it.
    init(
        member: String, peer: PeerCredentials, call: VarlinkCall,
        send: @escaping @Sendable (any Encodable & Sendable) async throws -> Void
    ) {
        self.member = member
        self.peer = peer
        self.call = call
        self.send = send
    }

    /// The method's full name, as it was called.
    package var fullName: String { call.method }

    /// The caller's description of itself.
    package var client: ClientClaim? { call.client }

    /// Whether the caller accepts more than one reply.
    package var wantsMore: Bool { call.more && !call.oneway }

    /// The parameters in the method's type.
    ///
    /// - Throws: `InvalidParameter` with the parameter's name.
    package func parameters<Parameters: VarlinkParameters>(
        as type: Parameters.Type = Parameters.self
    ) throws(VarlinkError) -> Parameters {
        try call.parameters(as: type)
    }

    /// Sends a reply, with more to follow. Suspends until the peer has room for it, so that a peer that doesn't read
    /// holds one reply and not the whole list.
    ///
    /// - Throws: `ExpectedMore` if the caller accepts only one reply, and the connection's errors.
    package func yield(_ reply: some Encodable & Sendable) async throws {
        guard wantsMore else { throw VarlinkError.expectedMore }
        try await send(reply)
    }
}
