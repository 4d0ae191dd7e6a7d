import Base
import CLinux
import Channels
import Glibc
import Operations
import Settings
import Synchronization
import TLSHandshake
import WebSocket

/// The way from a complete request to an open WebSocket: checks the client's token, the limits, and its permission for
/// the endpoint's channel.
///
/// Results from elsewhere (the check of a token's signature, the answer of a channel's home) arrive as messages; until
/// then the connection is `.admitting`, and its `PendingOpen` waits with it.
extension Worker {
    /// Continues with a valid request for a WebSocket.
    func admit(
        _ connection: Connection, _ head: RequestHead, _ pending: consuming PendingOpen
    ) {
        let certified = certifiedIdentity(connection)
        if let user = certified?.user, !UserName.isValid(user) {
            let reason = "no user is named by this certificate; see tls.client_identity"
            return refuse(connection, Refusal(.forbidden, reason), cause: .forbidden, known(pending))
        }
        guard let verify = configuration.verifyToken else {
            admit(connection, as: certified ?? Identity(), pending)
            return
        }
        switch Token.find(in: head, cookie: configuration.auth.cookie) {
        case .none:
            if let certified { return admit(connection, as: certified, pending) }
            let missing = TokenRefusal(label: "missing", message: Token.howToSend)
            refuseToken(connection, missing, pending, isMissing: true)
        case .malformed(let reason):
            let malformed = TokenRefusal(label: "malformed", message: reason)
            refuseToken(connection, malformed, pending, isMissing: false)
        case .found(let token):
            guard let cost = ingress.tokenChecks.begin(token, context.account, workerCount: configuration.workerCount)
            else {
                return refuse(connection, TokenChecks.tooMany, cause: .memoryLimit, known(pending))
            }
            connection.advance(.requested)
            connection.keep(.admission(pending))
            let asking = reference(to: connection)
            let mailbox = handle.mailbox
            Task(priority: .forClients) {
                mailbox.post(.connections(.verified(asking, await verify(token), cost: cost)))
            }
        }
    }

    /// The user that the client's certificate names, though perhaps not a valid one, until it expires; nil if it has none, or if
    /// certificates make nobody a user.
    func certifiedIdentity(_ connection: Connection) -> Identity? {
        guard let certificate = secureLink(connection)?.value.clientCertificate, let user = certificate.user else {
            return nil
        }
        return Identity(user: user, expiresAt: certificate.expiresAt.map { $0 * 1_000 })
    }

    private func known(_ pending: PendingOpen) -> RefusedAs {
        RefusedAs(
            path: configuration.endpoints[pending.endpoint].path, address: pending.address, userAgent: pending.userAgent
        )
    }

    /// Takes the result of verifying the token of a waiting connection.
    func verified(_ reference: ConnectionReference, _ outcome: Result<Identity, TokenRefusal>) {
        guard let connection = slab.find(reference),
            connection.phase == .admitting, let pending = connection.pendingOpen
        else { return }
        switch outcome {
        case .failure(let refusal):
            refuseToken(connection, refusal, pending, isMissing: false)
        case .success(let identity):
            // A token that was stolen is of no use with another certificate.
            if let certified = certifiedIdentity(connection)?.user, identity.user.map(Name.init) != Name(certified) {
                let message = "the token is another user's than the certificate; its \"sub\" must be the same"
                var refusal = TokenRefusal(label: "certificate", message: message)
                refusal.user = identity.user
                return refuseToken(connection, refusal, pending, isMissing: false)
            }
            admit(connection, as: identity, pending)
        }
    }

    /// Refuses a client because of its token. The challenge names the error, unless there was no token (RFC 6750,
    /// section 3). If the token can't be checked at the moment, the client is not at fault and gets 503.
    private func refuseToken(
        _ connection: Connection, _ refusal: TokenRefusal,
        _ pending: PendingOpen, isMissing: Bool
    ) {
        var known = known(pending)
        known.user = refusal.user
        guard !refusal.isTemporary else {
            let refusal = Refusal(.serviceUnavailable, refusal.message, fields: [Worker.retryAfter])
            refuse(connection, refusal, cause: .unauthorized, known)
            return
        }
        let description = String(decoding: refusal.message.utf8.map(Token.quotable), as: UTF8.self)
        let challenge =
            isMissing ? "" : ", error=\"invalid_token\", error_description=\"\(description)\""
        refuse(
            connection,
            Refusal(.unauthorized, refusal.message, fields: ["WWW-Authenticate: Bearer realm=\"wsd\"" + challenge]),
            cause: .unauthorized, known)
    }

    private func admit(
        _ connection: Connection, as identity: Identity, _ pending: consuming PendingOpen
    ) {
        let endpoint = configuration.endpoints[pending.endpoint]
        stopOpening(connection)
        connection.address = pending.address
        let settings = channels.settings(for: endpoint.channel)
        let known = RefusedAs(
            path: endpoint.path, user: identity.user, channel: endpoint.channel.isEmpty ? nil : endpoint.channel,
            userAgent: pending.userAgent)
        guard endpoint.channel.isEmpty || identity.maySubscribe(to: endpoint.channel, settings) else {
            let reason = "this endpoint's channel, \(endpoint.channel), is not open to you"
            refuse(connection, Refusal(.forbidden, reason), cause: .forbidden, known)
            return
        }
        guard ingress.pressure < .full else {
            refuse(connection, Worker.shortOfMemory, cause: .memoryLimit, known)
            return
        }
        switch context.admission.admit(pending.address) {
        case .admitted(let isCounted):
            connection.flags.insert(isCounted ? [.admitted, .addressCounted] : .admitted)
        case .refused(.perAddressLimit):
            let reason = "too many connections from this address; see server.max_connections_per_ip"
            let refusal = Refusal(.tooManyRequests, reason, fields: [Worker.retryAfter])
            refuse(connection, refusal, cause: .perAddressLimit, known)
            return
        case .refused(let cause):
            let reason = "the server is full; see server.max_connections"
            refuse(
                connection, Refusal(.serviceUnavailable, reason, fields: [Worker.retryAfter]), cause: cause, known)
            return
        }
        pending.session = session(identity, endpoint.protocol)
        connection.encoding = Encoding(endpoint.protocol, pending.compression)
        connection.advance(.requested)
        let since = pending.since
        connection.keep(.admission(pending))
        if !endpoint.protocol.hasRequests, context.broker != nil {
            return requestSubscription(connection, to: endpoint.channel)
        }
        guard endpoint.protocol.hasRequests, !endpoint.channel.isEmpty else {
            guard openPending(connection) else { return }
            if endpoint.protocol.hasRequests {
                sendWelcome(connection, channel: nil, nil)
            } else {
                subscribe(connection, to: endpoint.channel)
            }
            readPending(connection)
            return
        }
        let request = JoinRequest(
            connection: reference(to: connection), name: name(of: identity, connection), isMember: false, id: [],
            since: since)
        requestJoin(request, connection, to: channels.intern(endpoint.channel))
    }

    static let shortOfMemory = Refusal(
        .serviceUnavailable, "too much is held for other clients; see limits.memory", fields: [retryAfter])

    /// The session of a client; nil for a `relay` client without a user, which needs none.
    private func session(
        _ identity: Identity, _ clientProtocol: ClientProtocol
    ) -> Session? {
        guard clientProtocol.hasRequests || identity.user != nil else { return nil }
        return Session(
            identity: identity, errorBucket: RateBucket(holding: configuration.limits.errorsPerMinute, now: now),
            expiresAt: clock.tick(at: identity.expiresAt))
    }

    /// Completes the handshake of an admitted connection; false if it is refused after all, because a drain has begun
    /// or a reload has made tokens mandatory.
    func openPending(_ connection: Connection) -> Bool {
        guard let pending = connection.pendingOpen else { return false }
        guard drain == nil else {
            refuse(connection, Worker.shuttingDown, cause: .draining)
            return false
        }
        // A reload has made tokens mandatory since the request came.
        guard !lacksToken(pending.session?.identity) else {
            let missing = TokenRefusal(label: "missing", message: Token.howToSend)
            refuseToken(connection, missing, pending, isMissing: true)
            return false
        }
        connection.session = pending.session.map { Boxed($0) }
        connection.keep(nil)
        connection.advance(.opened)
        connection.flags.insert(.opened)
        connection.endpoint = UInt16(pending.endpoint)
        telemetry.statistics.handshakes.record(nanoseconds: nanoseconds &- UInt64(connection.connectedAt))
        connection.connectedAt = clinux_realtime_milliseconds()
        connection.userAgent = telemetry.userAgents.retain(pending.userAgent)
        connection.messageBucket = RateBucket(holding: burst, now: now)
        telemetry.statistics.connections += 1
        telemetry.connectionsByEndpoint[pending.endpoint, default: 0] += 1
        telemetry.statistics.opened &+= 1
        let start = outbox.direct.count
        outbox.direct.append(raw: Handshake.response(accept: pending.accept, compression: pending.compression))
        outbox.turn.push(Turn.direct, start: start, end: outbox.direct.count, to: connection)
        armOpen(connection)
        if context.reportsEverything.load(ordering: .relaxed) {
            let channel = configuration.endpoints[pending.endpoint].channel
            var told = EngineEvent(event(.connect, connection, channels: channel.isEmpty ? [] : [channel]))
            told.isNoteworthy = false
            told.port = connection.port
            told.userAgent = pending.userAgent
            context.report(told)
        }
        return true
    }

    /// Reads the input that came while the connection waited.
    func readPending(_ connection: Connection) {
        stopAdmitting(connection)
        if let input = connection.input { readFrames(connection, input.value.held.bytes) }
        noticeSecureEnd(connection)
    }

    /// Reads from the socket of a connection again whose admission is decided.
    func stopAdmitting(_ connection: Connection) {
        if connection.flags.contains(.holdsInput) {
            connection.flags.remove(.holdsInput)
            setInterest(connection)
        }
    }

    func dropSession(_ connection: Connection) {
        guard let session = connection.session else { return }
        session.free()
        connection.session = nil
    }
}
