import CLinux
import Glibc
import Rooms
import Synchronization
import WebSocket

/// The way from a complete request to an open WebSocket: checks the client's token, the limits, and its permission for
/// the endpoint's channel.
///
/// Results from elsewhere (the check of a token's signature, the answer of a channel's home) arrive as letters; until
/// then the connection is `.admitting`, and its `PendingOpen` waits in `pendingOpens`.
extension Worker {
    /// Continues with a valid request for a WebSocket.
    func admit(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ head: RequestHead, _ pending: consuming PendingOpen
    ) {
        guard let verify = configuration.verifyToken else {
            admit(slot, record, as: Identity(), pending)
            return
        }
        switch Token.find(in: head, cookie: configuration.tokenCookie) {
        case .none:
            let missing = TokenRefusal(label: "missing", message: Token.howToSend)
            refuseToken(slot, record, missing, pending, isMissing: true)
        case .malformed(let reason):
            let malformed = TokenRefusal(label: "malformed", message: reason)
            refuseToken(slot, record, malformed, pending, isMissing: false)
        case .found(let token):
            record.pointee.phase = .admitting
            pendingOpens[slot] = pending
            let connection = id(slot, record)
            let mailbox = handle.mailbox
            Task { mailbox.post(.verified(connection, await verify(token))) }
        }
    }

    /// Takes the result of verifying the token of a waiting connection.
    func verified(_ connection: ConnectionID, _ outcome: Result<Identity, TokenRefusal>) {
        let slot = Int(connection.slot)
        guard let record = slab.find(slot: slot, generation: connection.generation),
            record.pointee.phase == .admitting, let pending = pendingOpens.removeValue(forKey: slot)
        else { return }
        switch outcome {
        case .failure(let refusal):
            refuseToken(slot, record, refusal, pending, isMissing: false)
        case .success(let identity): admit(slot, record, as: identity, pending)
        }
    }

    /// Refuses a client because of its token. The challenge names the error, unless there was no token (RFC 6750,
    /// section 3). If the token can't be checked at the moment, the client is not at fault and gets 503.
    private func refuseToken(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ refusal: TokenRefusal,
        _ pending: PendingOpen, isMissing: Bool
    ) {
        let known = RefusedAs(
            path: configuration.endpoints[pending.endpoint].path, user: refusal.user, address: pending.address,
            userAgent: pending.userAgent)
        guard !refusal.isTemporary else {
            let refusal = Refusal(.serviceUnavailable, refusal.message, fields: [Worker.retryAfter])
            refuse(slot, record, refusal, cause: .unauthorized, known)
            return
        }
        let description = String(decoding: refusal.message.utf8.map(Token.quotable), as: UTF8.self)
        let challenge =
            isMissing ? "" : ", error=\"invalid_token\", error_description=\"\(description)\""
        refuse(
            slot, record,
            Refusal(.unauthorized, refusal.message, fields: ["WWW-Authenticate: Bearer realm=\"wsd\"" + challenge]),
            cause: .unauthorized, known)
    }

    private func admit(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, as identity: Identity, _ pending: consuming PendingOpen
    ) {
        let endpoint = configuration.endpoints[pending.endpoint]
        stopOpening(record)
        record.pointee.address = pending.address
        let settings = channels.settings(for: endpoint.channel)
        let known = RefusedAs(
            path: endpoint.path, user: identity.user, channel: endpoint.channel.isEmpty ? nil : endpoint.channel,
            userAgent: pending.userAgent)
        guard endpoint.channel.isEmpty || identity.maySubscribe(to: endpoint.channel, settings) else {
            let reason = "this endpoint's channel, \(endpoint.channel), is not open to you"
            refuse(slot, record, Refusal(.forbidden, reason), cause: .forbidden, known)
            return
        }
        guard pressure < .full else {
            refuse(slot, record, Worker.shortOfMemory, cause: .memoryLimit, known)
            return
        }
        switch context.admission.admit(pending.address) {
        case .admitted(let isCounted):
            record.pointee.flags.insert(isCounted ? [.admitted, .addressCounted] : .admitted)
        case .refused(.perAddressLimit):
            let reason = "too many connections from this address; see server.max_connections_per_ip"
            let refusal = Refusal(.tooManyRequests, reason, fields: [Worker.retryAfter])
            refuse(slot, record, refusal, cause: .perAddressLimit, known)
            return
        case .refused(let cause):
            let reason = "the server is full; see server.max_connections"
            refuse(
                slot, record, Refusal(.serviceUnavailable, reason, fields: [Worker.retryAfter]), cause: cause, known)
            return
        }
        pending.session = session(identity, endpoint.messageProtocol)
        record.pointee.encoding = Encoding(endpoint.messageProtocol, pending.compression)
        record.pointee.phase = .admitting
        let since = pending.since
        pendingOpens[slot] = pending
        guard endpoint.messageProtocol == .json, !endpoint.channel.isEmpty else {
            guard openPending(slot, record) else { return }
            if endpoint.messageProtocol == .json {
                sendWelcome(slot, record, channel: nil, nil)
            } else {
                subscribe(slot, record, to: endpoint.channel)
            }
            readPending(slot, record)
            return
        }
        let request = JoinRequest(
            connection: id(slot, record), name: name(of: identity, slot, record), isMember: false, id: [], since: since)
        requestJoin(request, slot, record, to: channels.intern(endpoint.channel))
    }

    /// Stops counting a connection as opening.
    func stopOpening(_ record: UnsafeMutablePointer<Connection>) {
        guard record.pointee.flags.contains(.opening) else { return }
        context.admission.endOpening(
            record.pointee.address, isCounted: record.pointee.flags.contains(.openingCounted))
        record.pointee.flags.subtract([.opening, .openingCounted])
    }

    static let shortOfMemory = Refusal(
        .serviceUnavailable, "too much is held for other clients; see limits.memory", fields: [retryAfter])

    /// The session of a client; nil for a `relay` client without a user, which needs none.
    private func session(
        _ identity: Identity, _ messageProtocol: EngineConfiguration.Endpoint.MessageProtocol
    ) -> Session? {
        guard messageProtocol == .json || identity.user != nil else { return nil }
        return Session(
            identity: identity, errorTokens: Float(configuration.errorsPerMinute), errorTokensAt: now,
            expiresAt: tick(at: identity.expiresAt))
    }

    /// Completes the handshake of an admitted connection; false if it is refused after all, because a drain has begun
    /// or a reload has made tokens mandatory.
    func openPending(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> Bool {
        guard let pending = pendingOpens[slot] else { return false }
        guard drain == nil else {
            refuse(slot, record, Worker.shuttingDown, cause: .draining)
            return false
        }
        // A reload has made tokens mandatory since the request came.
        guard !lacksToken(pending.session?.identity) else {
            let missing = TokenRefusal(label: "missing", message: Token.howToSend)
            refuseToken(slot, record, missing, pending, isMissing: true)
            return false
        }
        if let session = pending.session {
            let pointer = UnsafeMutablePointer<Session>.allocate(capacity: 1)
            pointer.initialize(to: session)
            record.pointee.session = pointer
        }
        record.pointee.phase = .open
        record.pointee.flags.insert(.opened)
        record.pointee.endpoint = UInt16(pending.endpoint)
        statistics.handshakes.record(nanoseconds: nanoseconds &- UInt64(record.pointee.connectedAt))
        record.pointee.connectedAt = clinux_realtime_milliseconds()
        record.pointee.userAgent = userAgents.retain(pending.userAgent)
        record.pointee.tokens = Float(burst)
        record.pointee.tokensAt = now
        statistics.connections += 1
        connectionsByEndpoint[pending.endpoint, default: 0] += 1
        statistics.opened &+= 1
        let start = direct.count
        direct.append(raw: Handshake.response(accept: pending.accept, compression: pending.compression))
        turn.push(Turn.direct, start: start, end: direct.count, to: record, slot: slot)
        armOpen(slot, record)
        if context.reportsEverything.load(ordering: .relaxed) {
            let endpoint = configuration.endpoints[pending.endpoint]
            context.report(
                .opened(
                    id(slot, record), record.pointee.address, port: record.pointee.port, endpoint: endpoint.path,
                    user: name(slot, record), channel: endpoint.channel, userAgent: pending.userAgent))
        }
        return true
    }

    /// Reads the input that came while the connection waited.
    func readPending(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        stopAdmitting(slot, record)
        guard let input = record.pointee.input else { return }
        readFrames(slot, record, input.pointee.held.bytes)
    }

    /// Removes a connection's `PendingOpen`, and reads from its socket again.
    @discardableResult
    func stopAdmitting(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> PendingOpen? {
        if record.pointee.flags.contains(.holdsInput) {
            record.pointee.flags.remove(.holdsInput)
            setInterest(slot, record)
        }
        return pendingOpens.removeValue(forKey: slot)
    }

    /// Frees a connection's session and `PendingOpen`.
    func dropSession(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        if record.pointee.phase == .admitting { pendingOpens[slot] = nil }
        guard let session = record.pointee.session else { return }
        session.deinitialize(count: 1)
        session.deallocate()
        record.pointee.session = nil
    }
}
