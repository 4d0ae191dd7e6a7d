import Base
import CLinux
import Channels
import Glibc
import Operations
import Settings
import Synchronization
import WebSocket

extension Worker {
    /// The field that tells a refused client when to retry.
    static let retryAfter = "Retry-After: 5"
    static let shuttingDown = Refusal(
        .serviceUnavailable, "this server is shutting down", fields: [retryAfter])

    /// Continues with a request head: `bytes` are all its bytes so far, the first `scannedCount` of which were scanned
    /// before.
    func continueHandshake(
        _ connection: Connection, _ bytes: UnsafeMutableRawBufferPointer,
        scannedCount: Int
    ) {
        if scannedCount == 0, bytes.first == Worker.clientHelloByte, !connection.flags.contains(.secure) {
            let reason = "this port does not speak TLS: use http or ws, or see server.listen_tls"
            return refuse(connection, Refusal(.badRequest, reason), cause: .tlsMismatch)
        }
        let limit = configuration.server.maxHeaderByteCount
        ingress.work += Worker.handshakeWork + 4 * (bytes.count - scannedCount)
        switch RequestParser.parse(UnsafeRawBufferPointer(bytes), scannedCount: scannedCount, limit: limit) {
        case .incomplete:
            keepHead(connection, UnsafeRawBufferPointer(bytes))
        case .refused(let refusal):
            refuse(connection, refusal)
        case .complete(let head, let byteCount):
            dropHead(connection)
            switch answer(connection, head) {
            case .refuse(let refusal, let cause):
                let known = refusedAs(connection, head)
                refuse(connection, refusal, cause: cause, known, includesBody: head.method != "HEAD")
            case .page(let segment):
                sendPage(connection, segment)
            case .challenge(let token, let directory, let includesBody):
                read(token, in: directory, includesBody: includesBody, connection, refusedAs(connection, head))
            case .upgrade(let pending):
                holdRest(UnsafeMutableRawBufferPointer(rebasing: bytes[byteCount...]), connection)
                admit(connection, head, pending)
            }
        }
    }

    /// What a report of the refusal of a request says of its client.
    private func refusedAs(_ connection: Connection, _ head: RequestHead) -> RefusedAs {
        RefusedAs(
            path: head.path, address: clientAddress(connection.address, head), userAgent: head.value("user-agent"))
    }

    /// The first byte of a client that begins with TLS, and of no request.
    private static let clientHelloByte: UInt8 = 22

    /// Keeps the bytes that a client sent after its request, until it is admitted.
    private func holdRest(_ rest: UnsafeMutableRawBufferPointer, _ connection: Connection) {
        guard !rest.isEmpty else { return }
        takeIdleInput(connection)
        guard let input = connection.input else { return }
        input.value.held.keep(rest)
        countInput(input)
    }

    /// The work of a handshake besides its bytes: some 20 microseconds.
    private static let handshakeWork = 16 * 1024

    enum Answer {
        /// A whole response.
        case page(Segment)
        /// That to a challenge of a certificate authority, which has to be read.
        case challenge(String, ChallengeDirectory, includesBody: Bool)
        case upgrade(PendingOpen)
        case refuse(Refusal, RefusalCause)
    }

    private func answer(_ connection: Connection, _ head: RequestHead) -> Answer {
        if let refusal = Handshake.checkCommon(head) { return .refuse(refusal, .badRequest) }
        if drain != nil {
            return .refuse(Worker.shuttingDown, .draining)
        }
        guard configuration.allowsHost(head.value("host") ?? "") else {
            let reason = "this server is not asked by this name in the Host field; see server.allowed_hosts"
            return .refuse(Refusal(.misdirectedRequest, reason), .host)
        }
        if let page = configuration.pages[head.path] { return answer(page, head, connection) }
        if let directory = configuration.challenges, let token = ChallengeDirectory.token(in: head.path) {
            return answer(toChallenge: token, directory, head)
        }
        guard let endpoint = configuration.endpoint(at: head.path) else {
            return .refuse(Refusal(.notFound, "nothing is served at this path"), .notFound)
        }
        let accept: String
        switch Handshake.evaluate(head) {
        case .refused(let refusal): return .refuse(refusal, RefusalCause(refusal.status))
        case .upgrade(let value): accept = value
        }
        let origins = head.values("origin")
        guard origins.count <= 1 else {
            return .refuse(Refusal(.badRequest, "more than one Origin field"), .badRequest)
        }
        if let origin = origins.first, !configuration.allowsOrigin(origin, head.value("host") ?? "") {
            return .refuse(
                Refusal(
                    .forbidden, "pages of \(Worker.shown(origin)) may not connect; see server.allowed_origins"), .origin
            )
        }
        let compression =
            configuration.websocket.compression
            ? PermessageDeflate.negotiate(head.values("sec-websocket-extensions")) : nil
        var since: MessagePosition?
        if let epoch = FormQuery.value("epoch", in: head.query),
            let seq = FormQuery.value("seq", in: head.query).flatMap({ UInt64($0) })
        {
            since = MessagePosition(epoch: epoch, seq: seq)
        }
        return .upgrade(
            PendingOpen(
                accept: accept, endpoint: endpoint, address: clientAddress(connection.address, head),
                compression: compression, userAgent: head.value("user-agent"), since: since))
    }

    /// The maximum number of addresses read from X-Forwarded-For; earlier ones in a longer field are ignored.
    private static let maximumProxies = 32

    /// The client behind trusted proxies: the last address in X-Forwarded-For that is not itself a trusted proxy.
    private func clientAddress(_ peer: IPAddress, _ head: RequestHead) -> IPAddress {
        guard configuration.isTrustedProxy(peer) || isProxyAtUnixSocket(peer) else { return peer }
        var client = peer
        var proxies = 0
        head.forEachElementFromTheEnd("x-forwarded-for") { part in
            guard proxies < Worker.maximumProxies, let address = IPAddress(perhapsInBrackets: part.text) else {
                return false
            }
            client = address
            proxies += 1
            return configuration.isTrustedProxy(address)
        }
        return client
    }

    /// Whether a peer has connected to a Unix socket, and any proxies are trusted.
    private func isProxyAtUnixSocket(_ peer: IPAddress) -> Bool {
        peer == .none && !configuration.server.trustedProxies.isEmpty
    }

    /// An origin for a response; one that is long or has unusual characters is not repeated.
    private static func shown(_ origin: String) -> String {
        (1...128).contains(origin.utf8.count) && origin.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            ? origin : "this origin"
    }

    /// Sends an HTTP response; nothing follows it.
    func sendPage(_ connection: Connection, _ segment: Segment) {
        beginEnding(connection)
        outbox.turn.push(outbox.turn.add(segment), start: 0, end: segment.count, to: connection)
        finish(connection)
    }

    /// Refuses a request, and ends the connection once the response is sent.
    func refuse(
        _ connection: Connection, _ refusal: Refusal, cause: RefusalCause? = nil,
        _ known: RefusedAs = RefusedAs(), includesBody: Bool = true
    ) {
        if let secure = secureLink(connection), !secure.value.isEstablished {
            let hasBegun = secure.value.heldByteCount > 0
            return refuseSilently(
                connection, cause ?? RefusalCause(refusal.status), refusal.reason, isReported: hasBegun)
        }
        // A spare connection of a browser, on which nothing was ever sent, is not reported.
        let isSilent = connection.head == nil && refusal.status == .requestTimeout
        dropHead(connection)
        beginEnding(connection)
        var known = known
        if let pending = connection.pendingOpen {
            known.address = pending.address
            known.userAgent = pending.userAgent
            connection.keep(nil)
            stopAdmitting(connection)
        }
        let start = outbox.direct.count
        outbox.direct.append(raw: Handshake.response(refusal, includesBody: includesBody))
        outbox.turn.push(Turn.direct, start: start, end: outbox.direct.count, to: connection)
        count(
            refusal: cause ?? RefusalCause(refusal.status), known.address ?? connection.address, refusal.reason,
            known, port: connection.port, status: refusal.status, silently: isSilent)
        finish(connection)
    }

    func count(
        refusal cause: RefusalCause, _ address: IPAddress, _ reason: String, _ known: RefusedAs = RefusedAs(),
        port: UInt16 = 0, status: HTTPStatus = .serviceUnavailable, silently: Bool = false
    ) {
        telemetry.statistics.refused[Int(cause.rawValue)] &+= 1
        guard !silently else { return }
        var event = Event(.refuse, millisecondsSinceEpoch: clinux_realtime_milliseconds())
        event.cause = cause.label
        if !reason.isEmpty { event.text = reason }
        event.address = address
        event.endpoint = known.keptPath
        event.user = known.user
        event.channels = known.channel.map { [$0] }
        telemetry.endings.append(event, cause)
        var told = EngineEvent(event)
        told.port = port
        told.status = status
        if context.reportsEverything.load(ordering: .relaxed) { told.userAgent = known.userAgent }
        context.report(told)
    }

    func keepHead(_ connection: Connection, _ bytes: UnsafeRawBufferPointer) {
        dropHead(connection)
        connection.keep(.head(Array(bytes)))
        context.account.input.add(bytes.count + Worker.headOverhead)
    }

    /// The memory for keeping a head besides its bytes.
    private static let headOverhead = MemoryLayout<PhaseState>.stride + 48

    func dropHead(_ connection: Connection) {
        guard let head = connection.head else { return }
        context.account.input.add(-(head.count + Worker.headOverhead))
        connection.keep(nil)
    }
}
