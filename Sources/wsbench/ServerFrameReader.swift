import WebSocket

/// Turns the bytes from a server after the handshake into messages and control frames (RFC 6455, sections 5 to 8).
///
/// A frame that is complete in the input is returned in place. Of a frame that is cut by the end of a read, only the
/// header and the first bytes are kept, as many as a `Stamp` needs; the rest of its payload is counted and skipped, so
/// that a message of a megabyte costs no copy. A compressed message is kept completely: its stamp can't be read without
/// inflating it.
struct ServerFrameReader: ~Copyable {
    /// The event that the reader found. Payloads are valid until the next call.
    enum Event {
        /// All input was consumed; more is needed.
        case needsMore
        /// A complete message: its first bytes, at least `Stamp.byteCount` if it has them, or all of a compressed one.
        case message(UnsafeRawBufferPointer, byteCount: Int, isCompressed: Bool)
        case ping(UnsafeRawBufferPointer)
        case pong(UnsafeRawBufferPointer)
        /// A close frame: its code (nil if none is given) and its reason.
        case close(CloseCode?, UnsafeRawBufferPointer)
        /// The server violated the protocol; don't read any further.
        case failure(String)
    }

    /// The kept part of an incomplete frame or message; nil between messages.
    private var cut: UnsafeMutablePointer<CutMessage>?

    init() {}

    deinit { discard() }

    /// True between messages, if no byte of a next frame has arrived.
    var isIdle: Bool { cut == nil }

    private func discard() {
        guard let cut else { return }
        cut.deinitialize(count: 1)
        cut.deallocate()
    }

    /// Takes input from the front of `input`, up to the end of the returned event.
    ///
    /// - Parameter allowsCompression: whether permessage-deflate was negotiated.
    @inline(__always)
    mutating func next(_ input: inout UnsafeRawBufferPointer, allowsCompression: Bool) -> Event {
        if cut == nil {
            guard !input.isEmpty else { return .needsMore }
            switch ServerFrameHeader.parse(input, allowsCompression: allowsCompression) {
            case .wrong(let text): return .failure(text)
            case .complete(let header):
                let end = header.byteCount &+ header.payloadByteCount
                guard header.isFinal, header.opcode != .continuation, end <= input.count else { break }
                let payload = UnsafeRawBufferPointer(
                    start: input.baseAddress! + header.byteCount, count: header.payloadByteCount)
                input = UnsafeRawBufferPointer(start: input.baseAddress! + end, count: input.count &- end)
                if header.opcode.isControl { return Self.control(header.opcode, payload) }
                return .message(payload, byteCount: payload.count, isCompressed: header.isCompressed)
            case .incomplete: break
            }
        }
        return nextOfCut(&input, allowsCompression: allowsCompression)
    }

    @inline(never)
    private mutating func nextOfCut(_ input: inout UnsafeRawBufferPointer, allowsCompression: Bool) -> Event {
        if cut == nil {
            cut = .allocate(capacity: 1)
            cut!.initialize(to: CutMessage())
        }
        let event = cut!.pointee.next(&input, allowsCompression: allowsCompression)
        if case .needsMore = event, cut!.pointee.isIdle {
            discard()
            cut = nil
        }
        return event
    }

    /// The event for a complete control frame.
    static func control(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) -> Event {
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default: break
        }
        guard payload.count != 1 else { return .failure("a close frame with half a code") }
        guard payload.count >= 2 else { return .close(nil, payload) }
        let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isValidOnTheWire else { return .failure("close code \(code)") }
        return .close(code, UnsafeRawBufferPointer(rebasing: payload[2...]))
    }
}
