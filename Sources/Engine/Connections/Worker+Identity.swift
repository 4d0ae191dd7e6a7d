import Base
import CLinux
import Channels
import Settings
import WebSocket

/// The life of a connection's token after the connection was admitted.
extension Worker {
    /// The name by which others know a connection; nil for a `relay` client without a user.
    func name(_ connection: Connection) -> String? {
        connection.session.map { name(of: $0.identity, connection) }
    }

    /// The token's user, or a guest's name.
    func name(of identity: Identity, _ connection: Connection) -> String {
        identity.user ?? "guest-\(connection.id)"
    }

    /// Writes the connection's name into `nameText`; it is not stored for each connection.
    func writeName(_ connection: Connection) {
        outbox.nameText.removeAll(keepingCapacity: true)
        if let user = connection.session?.identity.user {
            outbox.nameText.append(raw: user)
            return
        }
        outbox.nameText.append("guest-")
        outbox.nameText.append(raw: connection.id.description)
    }

    /// The tick at which the client has to be asked for a new token, or is closed.
    func tokenDeadline(_ connection: Connection) -> UInt32 {
        guard let session = connection.session, session.expiresAt != Slab.never else { return Slab.never }
        if isToBeAsked(connection, session) { return session.expiresAt }
        let isAsked = session.isAskedToRefresh
        return session.expiresAt &+ clock.ticks(isAsked ? configuration.auth.refreshGrace : configuration.auth.leeway)
    }

    /// Whether the client can still be asked for a new token. If a reload has abolished tokens, a client keeps the
    /// permissions of its token until that expires, and then reconnects without one.
    private func isToBeAsked(
        _ connection: Connection, _ session: Boxed<Session>
    ) -> Bool {
        connection.encoding.clientProtocol.hasRequests && configuration.verifyToken != nil && !session.isAskedToRefresh
    }

    /// Asks for a new token, or closes the connection if none has come in time. False if it has closed.
    func tokenExpired(_ connection: Connection) -> Bool {
        guard now >= tokenDeadline(connection), let session = connection.session else { return true }
        if isToBeAsked(connection, session) {
            session.isAskedToRefresh = true
            sendRefresh(connection)
            return true
        }
        let isOfCertificate = session.identity.expiresAt == certifiedIdentity(connection)?.expiresAt
        let reason = isOfCertificate ? "certificate expired" : "token expired"
        beginClose(connection, .tokenExpired, .unauthorized, reason, then: .closing)
        return false
    }

    /// Verifies a new token from a client. The client's next request is read after that.
    func refresh(
        _ connection: Connection, _ session: Boxed<Session>,
        token: String, id: [UInt8]
    ) {
        guard let verify = configuration.verifyToken else {
            sendError(connection, .unsupported, "this server asks nobody for a token", id: id)
            return
        }
        guard let cost = ingress.tokenChecks.begin(token, context.account, workerCount: configuration.workerCount)
        else {
            sendError(connection, .unavailable, TokenChecks.tooMany.reason, id: id)
            return
        }
        connection.flags.insert(.awaitsAnswer)
        let asking = reference(to: connection)
        let mailbox = handle.mailbox
        Task(priority: .forClients) {
            mailbox.post(.connections(.refreshed(asking, id: id, await verify(token), cost: cost)))
        }
    }

    /// Takes the result of verifying a new token.
    func refreshed(_ reference: ConnectionReference, _ id: [UInt8], _ outcome: Result<Identity, TokenRefusal>) {
        guard let connection = slab.find(reference), connection.phase == .open,
            let session = connection.session
        else { return }
        resume(connection, .awaitsAnswer)
        switch outcome {
        case .failure(let refusal):
            sendError(connection, refusal.isTemporary ? .unavailable : .badToken, refusal.message, id: id)
        case .success(let identity) where identity.user.map(Name.init) != session.identity.user.map(Name.init):
            sendError(connection, .badToken, "the token is another user's; its \"sub\" must stay the same", id: id)
        case .success(let identity):
            session.identity = identity
            session.expiresAt = clock.tick(at: identity.expiresAt)
            session.isAskedToRefresh = false
            id.withUnsafeBytes { id in
                sendAck(connection, id: id) {
                    guard let expiresAt = identity.expiresAt else { return }
                    outbox.text.append(",\"expires\":")
                    outbox.text.append(time: expiresAt)
                }
            }
            leaveWhatIsNotGranted(connection, session, reason: "the new token does not grant this channel")
            armOpen(connection)
        }
    }

    /// Removes a client from the channels that it may no longer be in, and tells it.
    func leaveWhatIsNotGranted(
        _ connection: Connection, _ session: Boxed<Session>,
        reason: String
    ) {
        for membership in session.memberships.all.reversed() {
            let channel = channels[membership.channel]
            guard !session.identity.maySubscribe(to: channel.name, channel.settings)
            else { continue }
            takeOut(connection, session, of: membership.channel, reason: reason)
        }
    }
}
