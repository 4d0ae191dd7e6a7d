internal import NIOCore

/// Pauses when no connection can be accepted, mostly for lack of file descriptors.
///
/// Without it, NIO tries again at once and continually, because the listener stays readable. The pause uses autoRead;
/// swallowing read(), as NIO's AcceptBackoffHandler does, leaves the listener registered, and the loop spinning.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let pause: TimeAmount = .milliseconds(100)

    private let report: @Sendable (String) -> Void
    private let throttle = Throttle()
    private var isPaused = false

    init(report: @escaping @Sendable (String) -> Void) { self.report = report }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is IOError else { return context.fireErrorCaught(error) }
        throttle { report("the HTTP API can accept no connection: \(error)") }
        guard !isPaused else { return }
        isPaused = true
        let channel = context.channel
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.isPaused = false
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
