internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// How many connections there are.
final class ConnectionCount: Sendable {
    private let count = Atomic(0)

    /// Counts one more; false where there are too many.
    func enter() -> Bool { count.add(1, ordering: .relaxed).newValue <= APIServer.maximumConnections }
    func leave() { count.subtract(1, ordering: .relaxed) }
}

/// Collects requests and writes their answers. The pipeline hands over one request after the other.
final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let router: Router
    private let count: ConnectionCount
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var isAnswering = false
    /// What only looks, and so ends with who asked for it.
    private var looking: Task<Void, Never>?

    init(_ router: Router, _ count: ConnectionCount) {
        self.router = router
        self.count = count
    }

    func channelActive(context: ChannelHandlerContext) {
        if !count.enter() { context.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        count.leave()
        looking?.cancel()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Nobody waits for an answer, so nobody is cut off in the middle of one.
        if event is IdleStateHandler.IdleStateEvent, !isAnswering { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            let declared = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
            isTooLarge = declared > Router.maximumBodyByteCount
            if isTooLarge {
                refuseBody(context)
            } else if head.headers[canonicalForm: "expect"].contains(where: { $0.lowercased() == "100-continue" }) {
                let head = HTTPResponseHead(version: head.version, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        case .body(let part):
            guard !isTooLarge else { return }
            guard body.count + part.readableBytes <= Router.maximumBodyByteCount else { return refuseBody(context) }
            body += part.readableBytesView
        case .end:
            guard !isTooLarge, let head else { return }
            answer(context, head)
        }
    }

    /// What is still to come of it isn't read.
    private func refuseBody(_ context: ChannelHandlerContext) {
        isTooLarge = true
        guard let head else { return }
        let problem = Problem(
            .payloadTooLarge, "the body may have \(Router.maximumBodyByteCount) bytes; send several requests")
        write(problem.answer, head, keepsAlive: false, context)
    }

    private func answer(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        isAnswering = true
        let address = context.remoteAddress.map { $0.ipAddress ?? "unix" } ?? "unknown"
        let request = Request(head, body: body, address: address)
        body = []
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let task = Task { [router] in
            let answer = await router.answer(request)
            loop.execute {
                let (handler, context) = bound.value
                handler.isAnswering = false
                handler.looking = nil
                handler.write(answer, head, keepsAlive: head.isKeepAlive, context)
            }
        }
        looking = head.method == .GET ? task : nil
    }

    private func write(_ answer: Answer, _ request: HTTPRequestHead, keepsAlive: Bool, _ context: ChannelHandlerContext)
    {
        var head = HTTPResponseHead(version: request.version, status: answer.status)
        head.headers.add(name: "Content-Type", value: answer.contentType)
        head.headers.add(name: "Content-Length", value: "\(answer.body.count)")
        head.headers.add(name: "Cache-Control", value: "no-store")
        for (name, value) in answer.fields { head.headers.add(name: name, value: value) }
        if !keepsAlive { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        let done = context.eventLoop.makePromise(of: Void.self)
        if !keepsAlive {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            done.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
    }
}
