import CLinux
import Rooms
import WebSocket

/// What becomes of a connection's token after it was let in.
extension Worker {
    /// What others know a connection by; nil for a `relay` client of nobody in particular.
    func name(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> String? {
        record.pointee.session.map { name(of: $0.pointee.identity, slot, record) }
    }

    /// The token's user, or a guest's name.
    func name(of identity: Identity, _ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> String {
        identity.user ?? "guest-\(id(slot, record))"
    }

    /// Writes the name as JSON into `nameText`; it is not kept for each connection.
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
        // Divided and not multiplied: a token may be good for thousands of years.
        let (ticks, rest) = max(0, time - clinux_realtime_milliseconds())
            .quotientAndRemainder(dividingBy: Int64(Worker.tickNanoseconds / 1_000_000))
        return ticks < Int64(Slab.never - now) - 1 ? now + UInt32(ticks) + (rest > 0 ? 1 : 0) : Slab.never
    }

    /// When something about the connection's token is due.
    func tokenDeadline(_ record: UnsafeMutablePointer<Connection>) -> UInt32 {
        guard let session = record.pointee.session, session.pointee.expiresAt != Slab.never else { return Slab.never }
        if isToBeAsked(record, session) { return session.pointee.expiresAt }
        let isAsked = session.pointee.isAskedToRefresh
        return session.pointee.expiresAt &+ ticks(isAsked ? configuration.refreshGrace : configuration.tokenLeeway)
    }

    /// Whether the client can still be asked for a newer token. Where a reload has made an end of tokens, one that was let in
    /// by a token may do what that grants until it expires, and comes back without.
    private func isToBeAsked(
        _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        isJSON(record) && configuration.verifyToken != nil && !session.pointee.isAskedToRefresh
    }

    private func isJSON(_ record: UnsafeMutablePointer<Connection>) -> Bool { record.pointee.encoding.isJSON }

    /// Asks for a newer token, or, where none has come in time, closes. False where it has closed.
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

    /// A client sends a newer token. Its next request is read when that has been checked.
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

    /// What the newer token says.
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

    /// Takes a client out of the channels that it may not be in any more, and tells it so.
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
