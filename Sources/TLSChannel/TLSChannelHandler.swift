package import NIOCore
internal import TLSHandshake
internal import TLSRecords

/// TLS on a channel of SwiftNIO, before everything else in its pipeline: OpenSSL's handshake and the records of this project, as
/// the workers have them.
///
/// It needs a channel that does not read by itself: where what was read is no whole record, it reads on.
package final class TLSChannelHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = IOData
    package typealias OutboundOut = IOData

    /// The time that a handshake may take.
    private static let patience: TimeAmount = .seconds(10)
    /// The answer to a client that does not begin with TLS.
    private static let answerToPlain =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 33\r\nConnection: close\r\n\r\n"
        + "this port speaks TLS: use https\r\n"

    private let tls: CurrentTLS
    private let handshakes: Handshakes
    private let failures: TLSFailures
    private let ciphers = RecordCiphers()
    private var handshake: ServerHandshake?
    private var records = RecordLayer()
    /// Input that is no whole record yet, or no whole first message.
    private var input = ByteBuffer()
    private var isEstablished = false
    /// Whether nothing more is sent, and whether nothing more is read.
    private var isOutputClosed = false
    private var isInputClosed = false
    private var deadline: Scheduled<Void>?

    init(_ tls: CurrentTLS, _ handshakes: Handshakes, _ failures: TLSFailures) {
        self.tls = tls
        self.handshakes = handshakes
        self.failures = failures
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            // Who connects and says nothing, such as a probe, is nobody's trouble.
            if self.handshake != nil || self.input.readableBytes > 0 {
                let seconds = Self.patience.nanoseconds / 1_000_000_000
                self.note("the handshake took longer than \(seconds) seconds", context)
            }
            context.close(promise: nil)
        }
    }

    /// Notes why the connection ends.
    private func note(_ reason: String, _ context: ChannelHandlerContext) {
        failures.note(context.channel.remoteAddress, reason)
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        endHandshake(context)
        records.wipe()
    }

    // MARK: Input

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !isInputClosed else { return }
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        let wasInputClosed = isInputClosed
        var plaintext = ByteBuffer()
        do throws(TLSFault) {
            if isEstablished || advance(context) { try open(into: &plaintext) }
        } catch { return fail(context, error) }
        answerKeyUpdate(context)
        guard context.channel.isActive else { return }
        let isEnd = isEstablished && isInputClosed && !wasInputClosed
        if plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
        if plaintext.readableBytes > 0 || isEnd {
            context.fireChannelReadComplete()
            if isEnd { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        } else if !isInputClosed {
            context.read()
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is TooManyHandshakes {
            // It may have been finished meanwhile.
            guard !isEstablished else { return }
            note(Self.tooMany, context)
            return context.close(promise: nil)
        }
        guard event as? ChannelEvent == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
        guard isEstablished else { return context.close(promise: nil) }
        guard !isInputClosed else { return }
        isInputClosed = true
        context.fireUserInboundEventTriggered(event)
    }

    /// Opens the whole records.
    private func open(into plaintext: inout ByteBuffer) throws(TLSFault) {
        while !isInputClosed, let count = input.firstRecordByteCount {
            guard count <= RecordHeader.byteCount + RecordHeader.maximumBodyByteCount else {
                throw TLSFault(.recordOverflow, "a record of \(count) bytes")
            }
            guard var record = input.readSlice(length: count) else { break }
            let opened = record.withUnsafeMutableReadableBytes { bytes -> Result<Bool, TLSFault> in
                do throws(TLSFault) {
                    switch try records.open(bytes, with: ciphers) {
                    case .data(let data): plaintext.writeBytes(data)
                    case .nothing: break
                    case .closed: return .success(true)
                    }
                    return .success(false)
                } catch { return .failure(error) }
            }
            isInputClosed = try opened.get()
        }
        input.discardReadBytes()
        if input.readableBytes == 0 { input = ByteBuffer() }
    }

    // MARK: Handshake

    /// Continues the handshake; true once it is done.
    private func advance(_ context: ChannelHandlerContext) -> Bool {
        if handshake == nil, !begin(context) { return false }
        guard let handshake else { return false }
        var answer: [UInt8] = []
        var step = ServerHandshake.Step.needsMore
        while step == .needsMore, let count = input.firstRecordByteCount {
            // OpenSSL says what is wrong with a record that is too long.
            let isTooLong = count > RecordHeader.byteCount + RecordHeader.maximumBodyByteCount
            guard let record = input.readSlice(length: isTooLong ? input.readableBytes : count) else { break }
            step = record.withUnsafeReadableBytes { handshake.take($0, answer: &answer) }
            if isTooLong, step == .needsMore { step = .failed("a record that is too long") }
        }
        if !answer.isEmpty {
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer(bytes: answer))), promise: nil)
        }
        guard step != .needsMore else { return false }
        switch step {
        case .needsMore: break
        case .failed(let reason): note("the handshake failed: \(reason)", context)
        case .done:
            do throws(TLSFault) {
                try handshake.makeRecords(&records)
                isEstablished = true
            } catch { note("the handshake failed: \(error)", context) }
        }
        endHandshake(context)
        wipeStack()
        guard isEstablished else {
            isInputClosed = true
            context.close(promise: nil)
            return false
        }
        return true
    }

    /// Begins a handshake as soon as the client's first message is there; false if it is not, or the connection ends.
    private func begin(_ context: ChannelHandlerContext) -> Bool {
        switch input.withUnsafeReadableBytes({ ClientHello.look($0) }) {
        case .incomplete: return false
        case .otherProtocol:
            note("this port speaks TLS, and the client does not", context)
            isInputClosed = true
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer(string: Self.answerToPlain))), promise: nil)
            context.close(promise: nil)
            return false
        case .complete:
            guard let handshake = tls.context.flatMap({ try? ServerHandshake($0) }) else {
                note("there is no certificate, or no memory", context)
                isInputClosed = true
                context.close(promise: nil)
                return false
            }
            handshakes.begin(context.channel)
            self.handshake = handshake
            return true
        }
    }

    private static let tooMany = "more than \(Handshakes.maximum) TLS handshakes are in progress"

    private func endHandshake(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
        guard handshake != nil else { return }
        handshake = nil
        handshakes.end(context.channel)
    }

    // MARK: Output

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isEstablished, !isOutputClosed, case .byteBuffer(let bytes) = unwrapOutboundIn(data) else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        do throws(TLSFault) {
            let sealed = try sealed(records.sealedByteCount(of: bytes.readableBytes)) {
                (layer, room, ciphers) throws(TLSFault) in try layer.seal(bytes, into: room, with: ciphers)
            }
            context.write(wrapOutboundOut(.byteBuffer(sealed)), promise: promise)
        } catch {
            promise?.fail(error)
            fail(context, error)
        }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input { sendAlert(.closeNotify, context) }
        context.close(mode: mode, promise: promise)
    }

    private func fail(_ context: ChannelHandlerContext, _ fault: TLSFault) {
        isInputClosed = true
        note("\(fault)", context)
        sendAlert(fault.alert, context)
        context.close(promise: nil)
    }

    /// Says that nothing more comes, or why; once.
    private func sendAlert(_ alert: TLSAlert?, _ context: ChannelHandlerContext) {
        guard isEstablished, !isOutputClosed else { return }
        isOutputClosed = true
        guard let alert else { return }
        let sealed = try? sealed(Self.alertByteCount) { (layer, room, ciphers) throws(TLSFault) in
            try layer.seal(alert, into: room, with: ciphers)
        }
        if let sealed { context.writeAndFlush(wrapOutboundOut(.byteBuffer(sealed)), promise: nil) }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        answerKeyUpdate(context)
        context.fireChannelWritabilityChanged()
    }

    /// Goes on to new keys if the peer asks for it. A peer that takes nothing gets them with what is sent next, or when
    /// there is room again: it may ask without end.
    private func answerKeyUpdate(_ context: ChannelHandlerContext) {
        guard records.owesKeyUpdate, !isOutputClosed, context.channel.isWritable else { return }
        do throws(TLSFault) {
            let sealed = try sealed(Self.alertByteCount) { (layer, room, ciphers) throws(TLSFault) in
                try layer.sealKeyUpdate(into: room, with: ciphers)
            }
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(sealed)), promise: nil)
        } catch { fail(context, error) }
    }

    /// The room for a record of some bytes.
    private static let alertByteCount = 128

    /// What a call seals, with at most this many bytes.
    private func sealed(
        _ byteCount: Int,
        _ seal: (inout RecordLayer, UnsafeMutableRawBufferPointer, RecordCiphers) throws(TLSFault) -> Int
    ) throws(TLSFault) -> ByteBuffer {
        var sealed = ByteBuffer()
        var fault: TLSFault?
        sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { room in
            do throws(TLSFault) { return try seal(&records, room, ciphers) } catch {
                fault = error
                return 0
            }
        }
        if let fault { throw fault }
        return sealed
    }
}
