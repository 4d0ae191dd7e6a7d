internal import NIOCore
internal import NIOHTTP1

/// Takes the requests of a connection one after the other, and writes their answers.
///
/// The cost of a request is limited when its head arrives: a request without a key, or for an unknown path, gets no
/// body accepted. The next request is processed when the answer to the previous one has been sent.
final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// The maximum time a connection may wait for its next request, a request may take from its first byte to its last,
    /// and an answer may wait until some of it is taken.
    private static let patience: TimeAmount = .seconds(60)
    /// The maximum time a connection that is reserved for probes may wait for a request.
    private static let reservedPatience: TimeAmount = .seconds(5)
    /// The maximum time and number of bytes to read after the last answer. Closing a connection with unread input
    /// resets it, and the client loses the answer.
    private static let leavingTime: TimeAmount = .seconds(5)
    private static let leavingByteCount = 64 << 20
    /// The maximum length of an unwanted body that is read, so that the connection can be kept open.
    private static let idlyReadByteCount = 64 << 10
    /// The size of the pieces in which an answer is written, in bytes; each piece that is taken is a sign of life.
    private static let pieceByteCount = 64 << 10

    private enum State {
        /// Waits for a request.
        case idle
        case receiving(Incoming)
        /// Waits until the answer is made and written.
        case answering
        /// Has written the last answer.
        case leaving
    }

    /// A request that is being received.
    private struct Incoming {
        var head: HTTPRequestHead
        var request: Request
        /// The route to run when the request is complete, or the reason to refuse it.
        var verdict: Result<Router.Route, Problem>
        var byteCount = 0
    }

    private enum Event {
        case part(HTTPServerRequestPart)
        case failure(HTTPParserError)
        case end
    }

    private let router: Router
    private let intake: Intake
    private let count: ConnectionCount
    private let bodies: BodyBudget

    private var context: ChannelHandlerContext?
    /// The address of the client, recorded while it is connected.
    private var address = "unknown"
    private var place = ConnectionCount.Place.ordinary
    /// The connection as it is counted; nil before it is, and after.
    private var counted: (any Channel)?
    /// Whether a request with a key has come.
    private var isKnown = false
    private var state = State.idle
    /// Whether a byte of the next request has arrived.
    private var hasBegun = false
    /// The parsed parts of one portion that follow a request that is not answered yet.
    private var pending: CircularBuffer<Event> = []
    private var isAdvancing = false
    /// The bytes that it has taken of the budget for bodies.
    private var heldByteCount = 0
    /// Whether a task carries out a request, which it keeps. What the connection is counted for is held until then, even
    /// when the client has gone.
    private var isCarryingOut = false
    /// The task of a request that only reads, which is cancelled when the client goes away.
    private var looking: (task: Task<Void, Never>, isLasting: Bool)?
    private lazy var deadline = Deadline { [weak self] in self?.isOverdue() }

    init(_ router: Router, _ intake: Intake, _ count: ConnectionCount, _ bodies: BodyBudget) {
        self.router = router
        self.intake = intake
        self.count = count
        self.bodies = bodies
    }

    private var isReady: Bool {
        switch state {
        case .idle, .receiving: context != nil
        case .answering, .leaving: false
        }
    }

    /// Whether the parser may get more bytes.
    var wantsMore: Bool { isReady && pending.isEmpty }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        address = context.remoteAddress.map { $0.ipAddress ?? "unix" } ?? "unknown"
        counted = context.channel
        place = count.enter(context.channel)
        guard place != .none else { return context.close(promise: nil) }
        deadline.set(place == .reserved ? Self.reservedPatience : Self.patience, context.eventLoop)
        intake.feed()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        if !isCarryingOut { giveAllBack() }
        deadline.cancel()
        pending.removeAll()
        looking?.task.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { take(.part(unwrapInboundIn(data))) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError { take(.failure(error)) } else { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { take(.end) }
    }

    /// Called before bytes are passed on.
    func bytesAreComing() {
        guard case .idle = state, !hasBegun, let context else { return }
        hasBegun = true
        deadline.set(Self.patience, context.eventLoop)
    }

    /// Called when the client has closed its side. It may still wait for its answer, but hardly for minutes.
    func inputHasEnded() { if let looking, looking.isLasting { looking.task.cancel() } }

    private func take(_ event: Event) {
        guard context != nil else { return }
        pending.append(event)
        advance()
    }

    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        while isReady, let event = pending.popFirst() {
            switch event {
            case .part(.head(let head)): begin(head)
            case .part(.body(let part)): add(part)
            case .part(.end): end()
            case .failure(let error): refuse(Problem(error))
            case .end: context?.close(promise: nil)
            }
        }
        isAdvancing = false
        intake.feed()
    }

    private func begin(_ head: HTTPRequestHead) {
        guard let context else { return }
        let request = Request(head, address: address)
        let verdict = verdict(on: request, head)
        state = .receiving(Incoming(head: head, request: request, verdict: verdict))
        switch verdict {
        case .success:
            guard head.expectsContinue else { return }
            let head = HTTPResponseHead(version: head.version, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        case .failure(let problem):
            let isShort = !head.isChunked && !head.expectsContinue && head.declaredByteCount <= Self.idlyReadByteCount
            if !isShort || head.problem != nil { refuse(problem) }
        }
    }

    private func verdict(on request: Request, _ head: HTTPRequestHead) -> Result<Router.Route, Problem> {
        do throws(Problem) {
            if let problem = head.problem { throw problem }
            guard place == .ordinary || router.isProbe(request) else {
                throw Problem(
                    .serviceUnavailable,
                    "the API has \(APIServer.maximumConnections) connections, as many as it may; try again",
                    fields: [("Retry-After", "1")])
            }
            let route = try router.admit(request)
            if route.scope != nil, !isKnown, let context {
                isKnown = true
                count.know(context.channel)
            }
            guard head.declaredByteCount <= Self.longestBody(route) else { throw Self.tooLarge(route) }
            return .success(route)
        } catch { return .failure(error) }
    }

    /// A request that only reads needs no body.
    private static func longestBody(_ route: Router.Route) -> Int {
        route.method == .POST ? Router.maximumBodyByteCount : idlyReadByteCount
    }

    private static let tooMany = Problem(
        .serviceUnavailable,
        "the API holds \(APIServer.maximumBodiesByteCount) bytes of requests, as many as it may; try again",
        fields: [("Retry-After", "1")])

    private func giveBodyBack() {
        bodies.giveBack(heldByteCount)
        heldByteCount = 0
    }

    /// Gives back what a connection is counted for that is no more.
    private func giveAllBack() {
        giveBodyBack()
        if let counted { count.leave(counted) }
        counted = nil
    }

    private static func tooLarge(_ route: Router.Route) -> Problem {
        let wayOut = route.method == .POST ? "; send several requests" : ""
        return Problem(.payloadTooLarge, "the body may have \(longestBody(route)) bytes\(wayOut)")
    }

    private func add(_ part: ByteBuffer) {
        guard case .receiving(var incoming) = state else { return }
        // Otherwise there would be two references, and the body would be copied.
        state = .idle
        incoming.byteCount += part.readableBytes
        if case .success(let route) = incoming.verdict {
            guard incoming.byteCount <= Self.longestBody(route) else {
                state = .receiving(incoming)
                return refuse(Self.tooLarge(route))
            }
            if route.method == .POST {
                guard bodies.take(part.readableBytes) else {
                    state = .receiving(incoming)
                    return refuse(Self.tooMany)
                }
                heldByteCount += part.readableBytes
                incoming.request.body += part.readableBytesView
            }
        }
        state = .receiving(incoming)
    }

    private func end() {
        guard case .receiving(let incoming) = state, let context else { return }
        state = .answering
        let (head, request) = (incoming.head, incoming.request)
        switch incoming.verdict {
        case .failure(let problem):
            write(router.refusal(problem, of: request), head.version, head.method, keepsAlive: head.allowsAnother)
        case .success(let route):
            deadline.cancel()
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            let loop = context.eventLoop
            isCarryingOut = true
            let task = Task { [router] in
                let answer = await router.answer(request, by: route)
                loop.execute { bound.value.hasCarriedOut(head, answer) }
            }
            looking = route.method == .GET ? (task, route.isLasting) : nil
        }
    }

    private func hasCarriedOut(_ head: HTTPRequestHead, _ answer: Response) {
        isCarryingOut = false
        looking = nil
        guard context != nil else { return giveAllBack() }
        write(answer, head.version, head.method, keepsAlive: head.allowsAnother)
    }

    /// Answers with a problem before the request is complete, which ends the connection.
    private func refuse(_ problem: Problem) {
        var incoming: Incoming?
        if case .receiving(let begun) = state { incoming = begun }
        state = .answering
        let answer = router.refusal(problem, of: incoming?.request)
        write(answer, incoming?.head.version ?? .http1_1, incoming?.head.method ?? .GET, keepsAlive: false)
    }

    private func write(_ answer: Response, _ version: HTTPVersion, _ method: HTTPMethod, keepsAlive: Bool) {
        giveBodyBack()
        guard let context else { return }
        let keepsAlive = keepsAlive && place == .ordinary
        var head = HTTPResponseHead(version: version, status: answer.status)
        head.headers.add(name: "Content-Type", value: answer.contentType)
        head.headers.add(name: "Content-Length", value: "\(answer.body.count)")
        head.headers.add(name: "Cache-Control", value: "no-store")
        for (name, value) in answer.fields { head.headers.add(name: name, value: value) }
        if !keepsAlive {
            head.headers.add(name: "Connection", value: "close")
        } else if version == .http1_0 {
            head.headers.add(name: "Connection", value: "keep-alive")
        }
        deadline.set(Self.patience, context.eventLoop)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        var body = ByteBuffer(bytes: method == .HEAD ? [] : answer.body)
        while let piece = body.readSlice(length: min(Self.pieceByteCount, body.readableBytes)), piece.readableBytes > 0
        {
            let taken = context.eventLoop.makePromise(of: Void.self)
            taken.futureResult.assumeIsolated().whenSuccess { [weak self] in
                guard let self, let context = self.context, case .answering = state else { return }
                deadline.set(Self.patience, context.eventLoop)
            }
            context.write(wrapOutboundOut(.body(.byteBuffer(piece))), promise: taken)
        }
        let done = context.eventLoop.makePromise(of: Void.self)
        done.futureResult.assumeIsolated().whenComplete { result in self.hasWritten(result, keepsAlive: keepsAlive) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
    }

    private func hasWritten(_ result: Result<Void, any Error>, keepsAlive: Bool) {
        guard let context else { return }
        if case .failure = result { return context.close(promise: nil) }
        guard keepsAlive else { return leave(context) }
        state = .idle
        hasBegun = false
        deadline.set(Self.patience, context.eventLoop)
        advance()
    }

    /// Closes the connection so that the client still gets the last answer.
    private func leave(_ context: ChannelHandlerContext) {
        state = .leaving
        pending.removeAll()
        guard !intake.isInputClosed else { return context.close(promise: nil) }
        deadline.set(Self.leavingTime, context.eventLoop)
        context.close(mode: .output, promise: nil)
        intake.discard(atMost: Self.leavingByteCount)
    }

    private func isOverdue() {
        switch state {
        case .idle where !hasBegun, .answering, .leaving: context?.close(promise: nil)
        case .idle, .receiving: refuse(Problem(.requestTimeout, "a request must be there within 60 seconds"))
        }
    }
}
