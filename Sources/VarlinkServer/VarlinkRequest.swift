package import Varlink

/// A call being carried out: what is asked, by whom, and the way to answer more than once.
package struct VarlinkRequest: Sendable {
    /// The method, without its interface.
    package let member: String
    /// Who calls.
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

    /// What the caller says of itself.
    package var client: ClientClaim? { call.client }

    /// The caller takes more than one reply.
    package var wantsMore: Bool { call.more && !call.oneway }

    /// The parameters as what the method takes.
    ///
    /// - Throws: `InvalidParameter`, naming it.
    package func parameters<Parameters: VarlinkParameters>(
        as type: Parameters.Type = Parameters.self
    ) throws(VarlinkError) -> Parameters {
        try call.parameters(as: type)
    }

    /// Answers once, with more to follow. Suspends until the peer has room for it, so that one who doesn't read holds
    /// one reply and not the whole list.
    ///
    /// - Throws: `ExpectedMore` when the caller takes one reply only, and whatever went wrong with the connection.
    package func yield(_ reply: some Encodable & Sendable) async throws {
        guard wantsMore else { throw VarlinkError.expectedMore }
        try await send(reply)
    }
}
