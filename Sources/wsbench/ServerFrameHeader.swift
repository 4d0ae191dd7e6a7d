import WebSocket

/// The first 2 to 10 bytes of a frame from a server (RFC 6455, section 5.2), checked.
struct ServerFrameHeader: Equatable {
    /// The longest header without a masking key.
    static let maximumByteCount = 10

    var isFinal: Bool
    var isCompressed: Bool
    var opcode: Opcode
    var payloadByteCount: Int
    /// The size of the header in bytes.
    var byteCount: Int

    /// The result of reading the front of a frame.
    enum Result: Equatable {
        case incomplete
        case complete(ServerFrameHeader)
        /// The server violated the protocol.
        case wrong(String)
    }

    /// Reads a header from the front of `bytes`.
    ///
    /// - Parameter allowsCompression: whether permessage-deflate was negotiated, so that RSV1 may be set.
    @inline(__always)
    static func parse(_ bytes: UnsafeRawBufferPointer, allowsCompression: Bool) -> Result {
        guard bytes.count >= 2, let base = bytes.baseAddress else { return .incomplete }
        let first = base.load(as: UInt8.self)
        let second = base.load(fromByteOffset: 1, as: UInt8.self)
        var length = Int(second)
        var byteCount = 2
        if second >= 126 {
            guard second & 0x80 == 0 else { return .wrong("a masked frame") }
            if second == 126 {
                guard bytes.count >= 4 else { return .incomplete }
                length = Int(UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
                guard length >= 126 else { return .wrong("length \(length) in 16 bits") }
                byteCount = 4
            } else {
                guard bytes.count >= 10 else { return .incomplete }
                let long = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
                guard long > 0xFFFF, long <= UInt64(Int64.max) else { return .wrong("length \(long) in 64 bits") }
                length = Int(long)
                byteCount = 10
            }
        }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { return .wrong("reserved opcode \(first & 0x0F)") }
        let isFinal = first & 0x80 != 0
        let isCompressed = first & 0x40 != 0
        if first & 0x70 != 0 {
            guard first & 0x30 == 0, allowsCompression, opcode == .text || opcode == .binary else {
                return .wrong("reserved bits \(first >> 4 & 7) that no extension defines")
            }
        }
        if opcode.isControl {
            guard isFinal else { return .wrong("a fragmented control frame") }
            guard length <= 125 else { return .wrong("a control frame of \(length) bytes") }
        }
        return .complete(
            ServerFrameHeader(
                isFinal: isFinal, isCompressed: isCompressed, opcode: opcode, payloadByteCount: length,
                byteCount: byteCount))
    }
}
