import Base
import CLinux
import Rooms
import WebSocket

/// The life of a connection's token after the connection was admitted.
extension Worker {
    /// The name by which others know a connection; nil for a `relay` client without a user.
    func name(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> String? {
        record.pointee.session.map { name(of: $0.pointee.identity, slot, record) }
    }

    /// The token's user, or a guest's name.
    func name(of identity: Identity, _ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> String {
        identity.user ?? "guest-\(id(slot, record))"
    }

    /// Writes the connection's name as JSON into `nameText`; it is not stored for each connection.
    func writeName(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        nameText.removeAll(keepingCapacity: true)
        if let user = record.pointee.session?.pointee.identity.user {
            nameText.append(string: user)
            return
        }
        nameText.append("\"guest-")
        nameText.append(UInt64(index))
        nameText.append(".")
        nameText.append(UInt64(slot))
        nameText.append(".")
        nameText.append(UInt64(record.pointee.generation))
        nameText.append("\"")
    }

    /// The tick of a time in milliseconds since 1970; `Slab.never` for none.
    func tick(at time: Int64?) -> UInt32 {
        guard let time else { return Slab.never }
        // This divides instead of multiplying, because a token may be valid for thousands of years.
        let (ticks, rest) = max(0, time - clinux_realtime_milliseconds())
            .quotientAndRemainder(dividingBy: Int64(Worker.tickNanoseconds / 1_000_000))
        return ticks < Int64(Slab.never - now) - 1 ? now + UInt32(ticks) + (rest > 0 ? 1 : 0) : Slab.never
    }

    /// The tick at which the client has to be asked for a new token, or is closed.
    func tokenDeadline(_ record: UnsafeMutablePointer<Connection>) -> UInt32 {
        guard let session = record.pointee.session, session.pointee.expiresAt != Slab.never else { return Slab.never }
        if isToBeAsked(record, session) { return session.pointee.expiresAt }
        let isAsked = session.pointee.isAskedToRefresh
        return session.pointee.expiresAt &+ ticks(isAsked ? configuration.refreshGrace : configuration.tokenLeeway)
    }

    /// Whether the client can still be asked for a new token. If a reload has abolished tokens, a client keeps the
    /// permissions of its token until that expires, and then reconnects without one.
    private func isToBeAsked(
        _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        isJSON(record) && configuration.verifyToken != nil && !session.pointee.isAskedToRefresh
    }

    private func isJSON(_ record: UnsafeMutablePointer<Connection>) -> Bool { record.pointee.encoding.isJSON }

    /// Asks for a new token, or closes the connection if none has come in time. False if it has closed.
    func tokenExpired(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> Bool {
        guard now >= tokenDeadline(record), let session = record.pointee.session else { return true }
        if isToBeAsked(record, session) {
            session.pointee.isAskedToRefresh = true
            sendRefresh(slot, record)
            return true
        }
        beginClose(slot, record, .tokenExpired, .unauthorized, "token expired", then: .closing)
        return false
    }

    /// Verifies a new token from a client. The client's next request is read after that.
    func refresh(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>,
        token: String, id: [UInt8]
    ) {
        guard let verify = configuration.verifyToken else {
            sendError(slot, record, .unsupported, "this server asks nobody for a token", id: id)
            return
        }
        record.pointee.flags.insert(.awaitsAnswer)
        let connection = self.id(slot, record)
        let mailbox = handle.mailbox
        Task { mailbox.post(.refreshed(connection, id: id, await verify(token))) }
    }

    /// Takes the result of verifying a new token.
    func refreshed(_ connection: ConnectionID, _ id: [UInt8], _ outcome: Result<Identity, TokenRefusal>) {
        let slot = Int(connection.slot)
        guard let record = slab.find(slot: slot, generation: connection.generation), record.pointee.phase == .open,
            let session = record.pointee.session
        else { return }
        resume(slot, record, .awaitsAnswer)
        switch outcome {
        case .failure(let refusal):
            sendError(slot, record, refusal.isTemporary ? .unavailable : .badToken, refusal.message, id: id)
        case .success(let identity) where identity.user.map(Name.init) != session.pointee.identity.user.map(Name.init):
            sendError(slot, record, .badToken, "the token is another user's; its \"sub\" must stay the same", id: id)
        case .success(let identity):
            session.pointee.identity = identity
            session.pointee.expiresAt = tick(at: identity.expiresAt)
            session.pointee.isAskedToRefresh = false
            id.withUnsafeBytes { id in
                sendAck(slot, record, id: id) {
                    guard let expiresAt = identity.expiresAt else { return }
                    text.append(",\"expires\":")
                    text.append(time: expiresAt)
                }
            }
            leaveWhatIsNotGranted(slot, record, session, reason: "the new token does not grant this channel")
            armOpen(slot, record)
        }
    }

    /// Removes a client from the channels that it may no longer be in, and tells it.
    func leaveWhatIsNotGranted(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>,
        reason: String
    ) {
        for place in session.pointee.memberships.indices.reversed() {
            let membership = session.pointee.memberships[place]
            let channel = channels[membership.channel]
            guard membership.state != .revoked,
                !session.pointee.identity.maySubscribe(to: channel.name, channel.settings)
            else { continue }
            takeOut(slot, record, session, place: place, reason: reason)
        }
    }
}
