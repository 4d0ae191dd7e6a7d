import Glibc

/// Turns the bytes that a client sends after the handshake into messages and control frames (RFC 6455, sections 5 to
/// 8).
///
/// It does no I/O: the caller feeds it the bytes that have arrived and acts on the `Event`s that it returns. A frame
/// that lies whole in the caller's buffer is unmasked there and handed over in place; only a frame or message that is
/// still incomplete is copied, so a reader that `isIdle` holds no memory and may be thrown away.
package struct FrameReader: ~Copyable {
    /// A result of the reader. Payloads are valid until the next call.
    package enum Event {
        /// All input was consumed; more is needed.
        case needsMore
        /// A whole text or binary message. A compressed message (RSV1, RFC 7692) is not inflated and its text not
        /// checked.
        case message(Opcode, UnsafeMutableRawBufferPointer, isCompressed: Bool)
        case ping(UnsafeMutableRawBufferPointer)
        case pong(UnsafeMutableRawBufferPointer)
        /// The peer's close frame: its code (nil if it has none) and reason. Nothing may follow it.
        case close(CloseCode?, UnsafeMutableRawBufferPointer)
        /// The peer broke the protocol: fail the connection with this code and reason, and read no further.
        case failure(CloseCode, StaticString)
    }

    /// The settings of its connection that a reader needs.
    package struct Limits: Sendable {
        /// The size of the largest message, in bytes of payload over all its fragments; a larger one fails with 1009.
        package var maximumMessageByteCount: Int
        /// Whether permessage-deflate was negotiated, so that RSV1 may mark a compressed message.
        package var allowsCompression: Bool

        /// The largest payload of a compressed message: a message of an allowed size can grow this large if it is
        /// deflated badly.
        var maximumCompressedByteCount: Int { maximumMessageByteCount + maximumMessageByteCount / 8 + 64 }

        package init(maximumMessageByteCount: Int, allowsCompression: Bool = false) {
            self.maximumMessageByteCount = maximumMessageByteCount
            self.allowsCompression = allowsCompression
        }
    }

    /// The bytes so far of a header that is cut off by the end of a read.
    var header = InlineArray<14, UInt8>(repeating: 0)
    var headerCount = 0

    /// The frame whose payload is arriving; nil between frames.
    var frame: Frame?
    /// The message whose fragments are arriving; nil between messages.
    var message: Message?
    var continuationCount: UInt64 = 0
    var messageBytes = MessageBuffer()
    /// The payload of a control frame that is cut off by the end of a read (at most 125 bytes).
    var controlBytes = MessageBuffer()

    struct Frame {
        var opcode: Opcode
        var isFinal: Bool
        var maskingKey: UInt32
        var remaining: Int
    }

    struct Message {
        var opcode: Opcode
        var isCompressed: Bool
        var text = UTF8Validator()
    }

    package init() {}

    /// Returns the number of continuation frames since the last call.
    package mutating func takeContinuationCount() -> UInt64 {
        defer { continuationCount = 0 }
        return continuationCount
    }

    /// True between messages, before the first byte of a next frame: the reader holds nothing worth keeping.
    package var isIdle: Bool { frame == nil && message == nil && headerCount == 0 }

    /// Consumes `input` from its front, up to the end of the bytes that the returned event needs.
    package mutating func next(_ input: inout UnsafeMutableRawBufferPointer, limits: Limits) -> Event {
        releaseDelivered()
        while true {
            if frame == nil {
                guard let header = takeHeader(&input) else { return .needsMore }
                if let failure = begin(header, limits: limits) { return failure }
            }
            if let event = takePayload(&input) { return event }
            if frame != nil { return .needsMore }
        }
    }

    /// The memory held for an unfinished frame or message, in bytes.
    package var heldByteCount: Int { messageBytes.capacity + controlBytes.capacity }

    /// Releases a message that was handed out from the buffer. `next` calls this itself; a caller that does something
    /// else first calls it directly.
    package mutating func releaseDelivered() {
        if message == nil && messageBytes.count > 0 { messageBytes.reset() }
        if controlBytes.count > 0 && frame.map({ !$0.opcode.isControl }) ?? true { controlBytes.reset() }
    }

    private mutating func takeHeader(_ input: inout UnsafeMutableRawBufferPointer) -> FrameHeader? {
        if headerCount == 0, let whole = FrameHeader(parsing: UnsafeRawBufferPointer(input)) {
            input = UnsafeMutableRawBufferPointer(rebasing: input[whole.byteCount...])
            return whole
        }
        while !input.isEmpty {
            header[headerCount] = input[0]
            headerCount += 1
            input = UnsafeMutableRawBufferPointer(rebasing: input[1...])
            let count = headerCount
            let parsed = withUnsafeBytes(of: &header) {
                FrameHeader(parsing: UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
            if let parsed {
                headerCount = 0
                return parsed
            }
        }
        return nil
    }

    /// Checks a header against the rules and the message it belongs to, and opens its frame.
    private mutating func begin(_ header: FrameHeader, limits: Limits) -> Event? {
        guard let opcode = Opcode(rawValue: header.opcodeBits) else {
            return .failure(.protocolError, "reserved opcode")
        }
        let isCompressed = header.reservedBits == 0x40
        if header.reservedBits != 0 {
            let startsMessage = opcode == .text || opcode == .binary
            guard isCompressed && limits.allowsCompression && startsMessage else {
                return .failure(.protocolError, "reserved bit set without an extension that defines it")
            }
        }
        guard header.isMasked else { return .failure(.protocolError, "a client's frame must be masked") }
        guard header.payloadByteCount <= UInt64(Int64.max) else {
            return .failure(.protocolError, "payload length with its highest bit set")
        }
        if opcode.isControl {
            guard header.isFinal else { return .failure(.protocolError, "fragmented control frame") }
            guard header.payloadByteCount <= 125 else {
                return .failure(.protocolError, "control frame of more than 125 bytes")
            }
        } else {
            if opcode == .continuation {
                guard message != nil else { return .failure(.protocolError, "continuation of no message") }
                continuationCount &+= 1
            } else {
                guard message == nil else {
                    return .failure(.protocolError, "new message inside a fragmented one")
                }
                message = Message(opcode: opcode, isCompressed: isCompressed)
            }
            let most =
                message!.isCompressed ? limits.maximumCompressedByteCount : limits.maximumMessageByteCount
            let room = most - messageBytes.count
            guard header.payloadByteCount <= UInt64(max(room, 0)) else {
                return .failure(.messageTooBig, "message larger than the limit")
            }
        }
        frame = Frame(
            opcode: opcode,
            isFinal: header.isFinal,
            maskingKey: header.maskingKey,
            remaining: Int(header.payloadByteCount)
        )
        return nil
    }

    /// Consumes the available part of the open frame's payload; returns an event if that part completes or invalidates
    /// a message or control frame.
    private mutating func takePayload(_ input: inout UnsafeMutableRawBufferPointer) -> Event? {
        guard var current = frame else { return nil }
        let count = min(current.remaining, input.count)
        let piece = UnsafeMutableRawBufferPointer(rebasing: input[..<count])
        input = UnsafeMutableRawBufferPointer(rebasing: input[count...])
        current.maskingKey = Masking.remove(current.maskingKey, from: piece)
        current.remaining -= count
        let isFrameComplete = current.remaining == 0
        frame = isFrameComplete ? nil : current

        if current.opcode.isControl {
            if isFrameComplete && controlBytes.count == 0 { return control(current.opcode, piece) }
            controlBytes.append(UnsafeRawBufferPointer(piece), expected: 125)
            return isFrameComplete ? control(current.opcode, controlBytes.bytes) : nil
        }

        let isMessageComplete = isFrameComplete && current.isFinal
        if message!.opcode == .text && !message!.isCompressed {
            guard message!.text.accept(UnsafeRawBufferPointer(piece)),
                !isMessageComplete || message!.text.isComplete
            else { return .failure(.invalidData, "text is not valid UTF-8") }
        }
        if isMessageComplete && messageBytes.count == 0 {
            let whole = message!
            message = nil
            return .message(whole.opcode, piece, isCompressed: whole.isCompressed)
        }
        messageBytes.append(UnsafeRawBufferPointer(piece), expected: messageBytes.count + count + current.remaining)
        guard isMessageComplete else { return nil }
        let whole = message!
        message = nil
        return .message(whole.opcode, messageBytes.bytes, isCompressed: whole.isCompressed)
    }

    private func control(_ opcode: Opcode, _ payload: UnsafeMutableRawBufferPointer) -> Event {
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default: break
        }
        switch payload.count {
        case 0:
            return .close(nil, payload)
        case 1:
            return .failure(.protocolError, "close frame of one byte")
        default:
            let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
            guard code.isValidOnTheWire else { return .failure(.protocolError, "invalid close code") }
            let reason = UnsafeMutableRawBufferPointer(rebasing: payload[2...])
            var text = UTF8Validator()
            guard text.accept(UnsafeRawBufferPointer(reason)), text.isComplete else {
                return .failure(.invalidData, "close reason is not valid UTF-8")
            }
            return .close(code, reason)
        }
    }
}
