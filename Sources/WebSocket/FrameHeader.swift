/// The kind of a frame (RFC 6455, section 5.2).
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames are at most 125 bytes long and never fragmented (RFC 6455, section 5.5).
    package var isControl: Bool { rawValue & 0x8 != 0 }
}

/// The status code of a close frame (RFC 6455, section 7.4, and IANA's WebSocket Close Code registry).
package struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = CloseCode(rawValue: 1000)
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// Never on the wire: the peer's close frame had no status code.
    package static let noStatus = CloseCode(rawValue: 1005)
    /// Never on the wire: the connection ended without a close frame.
    package static let abnormal = CloseCode(rawValue: 1006)
    package static let invalidData = CloseCode(rawValue: 1007)
    package static let policyViolation = CloseCode(rawValue: 1008)
    package static let messageTooBig = CloseCode(rawValue: 1009)
    package static let internalError = CloseCode(rawValue: 1011)
    package static let serviceRestart = CloseCode(rawValue: 1012)
    package static let tryAgainLater = CloseCode(rawValue: 1013)
    package static let unauthorized = CloseCode(rawValue: 3000)
    package static let forbidden = CloseCode(rawValue: 3003)
    package static let timeout = CloseCode(rawValue: 3008)

    /// Whether a close frame may carry this code: it is defined by the RFC or IANA, or in the ranges for libraries
    /// (3000 to 3999) and applications (4000 to 4999). RFC 6455, section 7.4.2.
    package var isValidOnTheWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    package var description: String { String(rawValue) }
}

/// The first 2 to 14 bytes of a frame (RFC 6455, section 5.2), as a client sends them and as a server writes them.
package struct FrameHeader: Equatable, Sendable {
    /// The longest header that a client can send: 2 bytes, 8 of length, 4 of masking key.
    package static let maximumByteCount = 14
    /// The longest header that a server writes: it does not mask.
    package static let maximumServerByteCount = 10

    package var isFinal: Bool
    /// Bits 6 to 4 of the first byte, still in place: 0x40 is RSV1.
    package var reservedBits: UInt8
    package var opcodeBits: UInt8
    package var isMasked: Bool
    package var payloadByteCount: UInt64
    /// The four bytes of the masking key in wire order, read as one little-endian number.
    package var maskingKey: UInt32
    /// The length of the header in bytes.
    package var byteCount: Int

    /// Parses a header at the front of `bytes`; nil while it is incomplete.
    package init?(parsing bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 2 else { return nil }
        let first = bytes[0]
        let second = bytes[1]
        isFinal = first & 0x80 != 0
        reservedBits = first & 0x70
        opcodeBits = first & 0x0F
        isMasked = second & 0x80 != 0
        var position = 2
        switch second & 0x7F {
        case 126:
            guard bytes.count >= 4 else { return nil }
            payloadByteCount = UInt64(bytes[2]) << 8 | UInt64(bytes[3])
            position = 4
        case 127:
            guard bytes.count >= 10 else { return nil }
            payloadByteCount = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
            position = 10
        case let short:
            payloadByteCount = UInt64(short)
        }
        maskingKey = 0
        if isMasked {
            guard bytes.count >= position + 4 else { return nil }
            maskingKey = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            position += 4
        }
        byteCount = position
    }

    /// Writes a server's header, unmasked and with the shortest length form, and returns its length.
    ///
    /// `target` must have room for `maximumServerByteCount` bytes.
    @inline(__always)
    package static func write(
        _ opcode: Opcode,
        payloadByteCount count: Int,
        isCompressed: Bool = false,
        to target: UnsafeMutableRawPointer
    ) -> Int {
        let first = 0x80 | (isCompressed ? 0x40 : 0) | opcode.rawValue
        target.storeBytes(of: first, as: UInt8.self)
        if count < 126 {
            target.storeBytes(of: UInt8(count), toByteOffset: 1, as: UInt8.self)
            return 2
        }
        if count <= 0xFFFF {
            target.storeBytes(of: 126, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt16(count).bigEndian, toByteOffset: 2, as: UInt16.self)
            return 4
        }
        target.storeBytes(of: 127, toByteOffset: 1, as: UInt8.self)
        target.storeBytes(of: UInt64(count).bigEndian, toByteOffset: 2, as: UInt64.self)
        return 10
    }
}
