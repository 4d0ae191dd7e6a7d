import WebSocket

/// What a reader of frames says, with payloads copied out.
enum ReaderEvent: Equatable {
    case message(Opcode, [UInt8], isCompressed: Bool)
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16?, [UInt8])
    case failure(UInt16)
}

/// RFC 6455, sections 5 to 8, read off the page: all the bytes at hand, nothing in place, nothing fast.
struct FrameModel {
    let limits: FrameReader.Limits
    private(set) var events: [ReaderEvent] = []
    /// Whether the bytes end between two messages.
    private(set) var endsBetweenMessages = false
    private var message: (opcode: Opcode, isCompressed: Bool, bytes: [UInt8])?

    init(_ wire: [UInt8], limits: FrameReader.Limits) {
        self.limits = limits
        var rest = wire[...]
        while !rest.isEmpty {
            guard let event = read(&rest) else { return }
            guard let event else { continue }
            events.append(event)
            switch event {
            case .close, .failure: return
            default: break
            }
        }
        endsBetweenMessages = message == nil
    }

    /// One frame. Nil where it isn't all there; an inner nil where it completes nothing.
    private mutating func read(_ rest: inout ArraySlice<UInt8>) -> ReaderEvent?? {
        var frame = rest
        guard let first = frame.popFirst(), let second = frame.popFirst() else { return nil }
        let extended = second & 127 == 126 ? 2 : second & 127 == 127 ? 8 : 0
        let keyCount = second & 128 != 0 ? 4 : 0
        guard frame.count >= extended + keyCount else { return nil }
        let length = frame.prefix(extended).reduce(extended == 0 ? UInt64(second & 127) : 0) { $0 << 8 | UInt64($1) }
        let key = Array(frame.dropFirst(extended).prefix(4))
        guard let opcode = Opcode(rawValue: first & 15), first & 0x30 == 0, keyCount == 4, length >> 63 == 0 else {
            return .failure(1002)
        }
        if first & 0x40 != 0 {
            guard limits.allowsCompression, opcode == .text || opcode == .binary else { return .failure(1002) }
        }
        let isFinal = first & 128 != 0
        if opcode.isControl {
            guard isFinal, length <= 125 else { return .failure(1002) }
        } else {
            guard (opcode == .continuation) == (message != nil) else { return .failure(1002) }
            if message == nil { message = (opcode, first & 0x40 != 0, []) }
            guard UInt64(message!.bytes.count) + length <= limit else { return .failure(1009) }
        }
        frame = frame.dropFirst(extended + 4)
        let payload = frame.prefix(Int(length)).enumerated().map { $1 ^ key[$0 % 4] }
        let isWhole = payload.count == Int(length)
        rest = frame.dropFirst(payload.count)
        if opcode.isControl { return isWhole ? .some(control(opcode, payload)) : nil }

        message!.bytes += payload
        let ends = isWhole && isFinal
        if message!.opcode == .text, !message!.isCompressed {
            guard Self.isText(message!.bytes, whole: ends) else { return .failure(1007) }
        }
        guard isWhole else { return nil }
        guard isFinal, let whole = message else { return .some(nil) }
        message = nil
        return .message(whole.opcode, whole.bytes, isCompressed: whole.isCompressed)
    }

    /// A compressed message may be larger on the wire than the message itself.
    private var limit: UInt64 {
        let plain = UInt64(limits.maximumMessageByteCount)
        return message!.isCompressed ? plain + plain / 8 + 64 : plain
    }

    private func control(_ opcode: Opcode, _ payload: [UInt8]) -> ReaderEvent {
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default: break
        }
        guard payload.count != 1 else { return .failure(1002) }
        guard payload.count > 1 else { return .close(nil, []) }
        let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
        guard (1000...1014).contains(code) && !(1004...1006).contains(code) || (3000...4999).contains(code) else {
            return .failure(1002)
        }
        let reason = Array(payload[2...])
        return Self.isText(reason, whole: true) ? .close(code, reason) : .failure(1007)
    }

    /// Whether the bytes are UTF-8, or, where more may come, the beginning of some.
    private static func isText(_ bytes: [UInt8], whole: Bool) -> Bool {
        if String(validating: bytes, as: UTF8.self) != nil { return true }
        guard !whole else { return false }
        // A byte of 80 or A0 is a possible second one of whatever began, and 80 of all after it.
        return [0x80, 0xA0].contains { next in
            (0...2).contains {
                String(validating: bytes + [next] + Array(repeating: 0x80, count: $0), as: UTF8.self) != nil
            }
        }
    }
}
