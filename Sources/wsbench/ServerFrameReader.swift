import WebSocket

/// Turns what a server sends after the handshake into messages and control frames (RFC 6455, sections 5 to 8).
///
/// A frame that lies whole in the input is handed over in place. Of one that is cut by the end of a read only the header
/// and the first bytes are kept, all that a `Stamp` needs; the rest of its payload is counted and passed over, so that a
/// message of a megabyte costs no copy. A compressed message is kept whole: its stamp can't be read without inflating it.
struct ServerFrameReader: ~Copyable {
    /// What the reader found. Payloads are valid until the next call.
    enum Event {
        /// Everything given was consumed; more input is needed.
        case needsMore
        /// A whole message: its first bytes, `Stamp.byteCount` or more where it has them, or all of a compressed one.
        case message(UnsafeRawBufferPointer, byteCount: Int, isCompressed: Bool)
        case ping(UnsafeRawBufferPointer)
        case pong(UnsafeRawBufferPointer)
        /// The close frame: its code (nil: none given) and reason.
        case close(CloseCode?, UnsafeRawBufferPointer)
        /// The server broke the protocol; read no further.
        case failure(String)
    }

    /// What is kept of a frame or message that is not complete; nil between messages.
    private var cut: UnsafeMutablePointer<CutMessage>?

    init() {}

    deinit { discard() }

    /// True between messages, with no byte of a next frame seen.
    var isIdle: Bool { cut == nil }

    private func discard() {
        guard let cut else { return }
        cut.deinitialize(count: 1)
        cut.deallocate()
    }

    /// Takes input from the front of `input`, up to and including what the returned event needs.
    ///
    /// - Parameter allowsCompression: whether permessage-deflate was agreed on.
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

    /// The event of a whole control frame.
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
