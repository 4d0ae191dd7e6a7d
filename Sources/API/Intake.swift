internal import NIOCore

/// Passes the bytes of a connection to the parser in small portions, and only when the next request may be processed.
///
/// The parser turns bytes into many times as much memory, without a limit: a segment of short requests would become a
/// thousand parsed ones. Therefore the bytes wait here, and the socket is read only when none are left.
final class Intake: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The size of a portion in bytes: some fifty of the shortest requests.
    private static let portionByteCount = 1024
    /// The maximum number of bytes that may wait. Only a client that half-closes comes near it: NIO then reads
    /// everything that the kernel holds.
    private static let mostWaitingByteCount = 1 << 20

    /// The handler of the requests; it owns this object.
    weak var handler: RequestHandler?
    /// Whether the peer has closed its side. Bytes may still wait.
    private(set) var isInputClosed = false

    private var context: ChannelHandlerContext?
    private var waiting = ByteBuffer()
    private var isFeeding = false
    /// Whether the end has been passed on, after the last byte.
    private var hasPassedEnd = false
    /// The number of further bytes to discard before the connection is closed; nil while requests are processed.
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

    /// Passes on waiting bytes as long as the handler wants more, and reads from the socket when none are left.
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

    /// Discards all further input, and closes the connection after the given number of bytes.
    func discard(atMost byteCount: Int) {
        guard discardable == nil else { return }
        discardable = byteCount
        waiting = ByteBuffer()
        context?.read()
    }
}
