import TLSRecords

/// A look at the first bytes of a client, before a handshake begins: OpenSSL's state for one takes far more memory than the
/// bytes, so it waits until they are all there.
package enum ClientHello {
    package enum Look: Equatable {
        /// The message is not complete.
        case incomplete
        /// The message is there, or enough to see that it is wrong, or too long.
        case complete
        /// It is not TLS.
        case otherProtocol
    }

    /// The most that is kept before a handshake begins, in bytes. The largest message of today has two thousand.
    package static let maximumByteCount = 32 * 1024
    static let type: UInt8 = 1

    package static func look(_ bytes: UnsafeRawBufferPointer) -> Look {
        guard let first = bytes.first else { return .incomplete }
        guard first == ContentType.handshake.rawValue else { return .otherProtocol }
        var rest = bytes
        // The message's type and size, which may be in one record or in four, and the bytes of it that are there.
        var head = UInt32(0)
        var received = 0
        while let count = RecordHeader.recordByteCount(rest) {
            guard rest[0] == first, count <= RecordHeader.byteCount + RecordHeader.maximumBodyByteCount else {
                return .complete
            }
            let body = rest[RecordHeader.byteCount..<min(count, rest.count)]
            for byte in body.prefix(max(0, 4 - received)) { head = head << 8 | UInt32(byte) }
            received += body.count
            guard received < 4 || UInt8(head >> 24) == type else { return .complete }
            if received >= 4, head & 0xFF_FFFF > maximumByteCount { return .complete }
            guard count <= rest.count else { break }
            if received >= 4, received - 4 >= Int(head & 0xFF_FFFF) { return .complete }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return bytes.count >= maximumByteCount ? .complete : .incomplete
    }
}
