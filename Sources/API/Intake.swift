internal import NIOCore

/// Hands what comes over a connection to the parser in small portions, and only while the next request may be looked at.
///
/// The parser turns bytes into many times as much memory, and knows no end: a segment of short requests would lie there as
/// a thousand parsed ones. So the bytes wait here, and the socket is read only when none do.
final class Intake: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What the parser gets at once, in bytes: some fifty of the shortest requests.
    private static let portionByteCount = 1024
    /// The most that may wait, in bytes. Only who half-closes comes near it: NIO then reads all that the kernel holds.
    private static let mostWaitingByteCount = 1 << 20

    /// Whoever takes the requests; it owns this.
    weak var handler: RequestHandler?
    /// Whether the peer has said that it sends no more. Bytes may still wait.
    private(set) var isInputClosed = false

    private var context: ChannelHandlerContext?
    private var waiting = ByteBuffer()
    private var isFeeding = false
    /// Whether the end has been passed on, behind the last byte.
    private var hasPassedEnd = false
    /// How much more is thrown away before the connection is, in bytes; nil while requests are taken.
    private var discardable: Int?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if let left = discardable {
            discardable = left - bytes.readableBytes
            if left < bytes.readableBytes { context.close(promise: nil) }
            return
        }
        guard waiting.readableBytes + bytes.readableBytes <= Self.mostWaitingByteCount else {
            return context.close(promise: nil)
        }
        if waiting.readableBytes == 0 { waiting = bytes } else { waiting.writeBuffer(&bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if discardable == nil { feed() } else { context.read() }
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event as? ChannelEvent == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
        isInputClosed = true
        guard discardable == nil else { return context.close(promise: nil) }
        handler?.inputHasEnded()
        feed()
    }

    /// Hands over what waits for as long as it is wanted, and has more read when all is gone.
    func feed() {
        guard !isFeeding, discardable == nil, let context, let handler else { return }
        isFeeding = true
        defer { isFeeding = false }
        while handler.wantsMore, waiting.readableBytes > 0 {
            handler.bytesAreComing()
            let count = min(Self.portionByteCount, waiting.readableBytes)
            if let portion = waiting.readSlice(length: count) { context.fireChannelRead(wrapInboundOut(portion)) }
        }
        guard waiting.readableBytes == 0 else { return }
        waiting = ByteBuffer()
        guard handler.wantsMore else { return }
        if !isInputClosed { return context.read() }
        guard !hasPassedEnd else { return }
        hasPassedEnd = true
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    /// From now on what comes is thrown away, and beyond so many bytes the connection with it.
    func discard(atMost byteCount: Int) {
        guard discardable == nil else { return }
        discardable = byteCount
        waiting = ByteBuffer()
        context?.read()
    }
}
