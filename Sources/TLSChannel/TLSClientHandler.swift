package import NIOCore
package import TLSHandshake

/// TLS on a channel of SwiftNIO to a server, before everything else in its pipeline. What is written before the handshake is
/// done waits for it.
///
/// Its errors are of `TLSClientFault`; the channel is closed after one.
package final class TLSClientHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = IOData
    package typealias OutboundOut = IOData

    private let connection: TLSClientConnection
    private var hasBegun = false
    /// Whether nothing more is read, and whether nothing more is sent.
    private var isInputClosed = false
    private var isOutputClosed = false
    private var waiting: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []

    /// The size of the plaintext of a record, and of what is written at once, at most.
    private static let recordByteCount = 16_384
    private static let pieceByteCount = 1 << 18

    /// - Parameter serverName: the name or the IP address that the server's certificate has to be for.
    package init(_ context: TLSClientContext, serverName: String) throws(TLSClientFault) {
        connection = try TLSClientConnection(context, serverName: serverName)
    }

    // MARK: Handshake

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        do throws(TLSClientFault) { try advance(context) } catch { fail(context, error) }
    }

    /// Continues the handshake, and sends what has waited for its end.
    private func advance(_ context: ChannelHandlerContext) throws(TLSClientFault) {
        try connection.advance()
        flushOutput(context)
        if connection.isEstablished { writeWaiting(context) }
    }

    // MARK: Input

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isInputClosed else { return }
        let bytes = unwrapInboundIn(data)
        var plaintext = ByteBuffer()
        var fault: TLSClientFault?
        do throws(TLSClientFault) {
            try take(bytes)
            if !connection.isEstablished { try advance(context) }
            if connection.isEstablished { try read(into: &plaintext) }
        } catch { fault = error }
        if plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
        if let fault {
            fail(context, fault)
        } else if plaintext.readableBytes == 0, connection.outputByteCount > 0, !context.channel.isWritable {
            fail(context, .failed("it asks for more than it takes"))
        } else {
            // Answers of OpenSSL itself, such as new keys.
            flushOutput(context)
            if !waiting.isEmpty, connection.isEstablished { writeWaiting(context) }
            if isInputClosed { context.close(promise: nil) }
        }
    }

    private func take(_ bytes: ByteBuffer) throws(TLSClientFault) {
        let result = bytes.withUnsafeReadableBytes { bytes -> Result<Void, TLSClientFault> in
            do throws(TLSClientFault) { return .success(try connection.take(bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }

    private func read(into plaintext: inout ByteBuffer) throws(TLSClientFault) {
        while !isInputClosed {
            var result = Result<TLSClientConnection.Read, TLSClientFault>.success(.needsMore)
            plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.recordByteCount) { room in
                do throws(TLSClientFault) { result = .success(try connection.read(into: room)) } catch {
                    result = .failure(error)
                }
                if case .success(.bytes(let count)) = result { return count }
                return 0
            }
            switch try result.get() {
            case .bytes: break
            case .needsMore: return
            case .closed: isInputClosed = true
            }
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        let isTruncated = !isInputClosed && !isOutputClosed
        isInputClosed = true
        isOutputClosed = true
        failWaiting()
        if isTruncated { context.fireErrorCaught(TLSClientFault.truncated) }
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { failWaiting() }

    // MARK: Output

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isOutputClosed, case .byteBuffer(let bytes) = unwrapOutboundIn(data) else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        guard connection.isEstablished, waiting.isEmpty else { return waiting.append((bytes, promise)) }
        if let rest = write(bytes, promise, context) { waiting.append((rest, promise)) }
    }

    /// Writes what has waited, as far as that is possible now.
    private func writeWaiting(_ context: ChannelHandlerContext) {
        var due = waiting[...]
        waiting = []
        while let (bytes, promise) = due.popFirst() {
            if isOutputClosed {
                promise?.fail(ChannelError.ioOnClosedChannel)
            } else if let rest = write(bytes, promise, context) {
                waiting = [(rest, promise)] + due
                break
            }
        }
        context.flush()
    }

    /// Writes bytes in pieces, so that OpenSSL keeps no more room than for one. Returns what has to wait.
    private func write(
        _ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) -> ByteBuffer? {
        var rest = bytes
        while let piece = rest.getSlice(at: rest.readerIndex, length: min(rest.readableBytes, Self.pieceByteCount)) {
            let result = piece.withUnsafeReadableBytes { bytes -> Result<Bool, TLSClientFault> in
                do throws(TLSClientFault) { return .success(try connection.write(bytes)) } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(true): rest.moveReaderIndex(forwardBy: piece.readableBytes)
            case .success(false): return rest
            case .failure(let fault):
                promise?.fail(fault)
                fail(context, fault)
                return nil
            }
            let isLast = rest.readableBytes == 0
            context.write(wrapOutboundOut(.byteBuffer(output())), promise: isLast ? promise : nil)
            if isLast { break }
        }
        return nil
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, !isOutputClosed {
            isOutputClosed = true
            failWaiting()
            if connection.isEstablished { connection.shutDown() }
            flushOutput(context)
        }
        context.close(mode: mode, promise: promise)
    }

    /// Takes the bytes that the server is to get.
    private func output() -> ByteBuffer {
        var bytes = ByteBuffer()
        let count = connection.outputByteCount
        guard count > 0 else { return bytes }
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { connection.takeOutput(into: $0) }
        return bytes
    }

    private func flushOutput(_ context: ChannelHandlerContext) {
        let bytes = output()
        guard bytes.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(bytes)), promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ fault: TLSClientFault) {
        isInputClosed = true
        // An alert that says why.
        flushOutput(context)
        isOutputClosed = true
        failWaiting()
        context.fireErrorCaught(fault)
        context.close(promise: nil)
    }

    private func failWaiting() {
        let due = waiting
        waiting = []
        for (_, promise) in due { promise?.fail(ChannelError.ioOnClosedChannel) }
    }
}
