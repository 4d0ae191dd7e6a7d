/// Writes plain values, for a `StateReader` in another process, perhaps of another version.
///
/// Integers take as many bytes as they need (LEB128), the low bits first; values of a fixed size are little-endian;
/// bytes and text follow their length.
package struct StateWriter {
    /// What is written, in buffers that are full and the one that is being filled: so none is ever copied into a larger
    /// one, and who writes them to a file can free one after the other.
    private var full: [[UInt8]] = []
    private var bytesOfLast: [UInt8] = []

    /// From this size on, a buffer is full.
    package static let pieceByteCount = 1 << 20

    package init() {}

    /// Everything that was written, piece by piece.
    package var pieces: [[UInt8]] { bytesOfLast.isEmpty ? full : full + [bytesOfLast] }

    /// Everything that was written.
    package var bytes: [UInt8] { full.isEmpty ? bytesOfLast : Array(pieces.joined()) }

    /// Ends a buffer that is full.
    private mutating func endPiece() {
        guard bytesOfLast.count >= Self.pieceByteCount else { return }
        full.append(bytesOfLast)
        bytesOfLast = []
        // Most of what is added to a buffer is far smaller than this.
        bytesOfLast.reserveCapacity(Self.pieceByteCount + Self.pieceByteCount / 16)
    }

    package mutating func write(byte: UInt8) { bytesOfLast.append(byte) }

    package mutating func write(_ flag: Bool) { bytesOfLast.append(flag ? 1 : 0) }

    package mutating func write(_ number: some FixedWidthInteger & UnsignedInteger) {
        var rest = UInt64(truncatingIfNeeded: number)
        while rest >= 0x80 {
            bytesOfLast.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytesOfLast.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes a number of elements or bytes, which is never negative.
    package mutating func write(count: Int) { write(UInt64(clamping: count)) }

    /// Writes a time in milliseconds since 1970, or its absence.
    package mutating func write(time: Int64?) { write(time.map { UInt64(clamping: $0) &+ 1 } ?? 0) }

    package mutating func write(fixed number: UInt32) {
        withUnsafeBytes(of: number.littleEndian) { bytesOfLast.append(contentsOf: $0) }
    }

    package mutating func write(_ number: Float) { write(fixed: number.bitPattern) }

    package mutating func write(_ other: UnsafeRawBufferPointer) {
        write(count: other.count)
        endPiece()
        bytesOfLast.append(contentsOf: other)
    }

    package mutating func write(_ other: some Collection<UInt8>) {
        write(count: other.count)
        endPiece()
        bytesOfLast.append(contentsOf: other)
    }

    package mutating func write(_ text: String) { write(text.utf8) }

    /// Writes the text or its absence.
    package mutating func write(_ text: String?) {
        write(text != nil)
        if let text { write(text) }
    }
}

/// Numbers the objects that several parts of a state refer to, so that each is written once: where it is first referred
/// to, behind its number.
package struct SharedWriter<Object: AnyObject> {
    private var numbers: [ObjectIdentifier: UInt32] = [:]
    /// Keeps the objects, because an identifier of a freed object may become another's.
    private var objects: [Object] = []

    package init() {}

    /// Writes a reference to `object`, and the object itself with `content` at the first reference.
    package mutating func write(_ object: Object, to state: inout StateWriter, _ content: (inout StateWriter) -> Void) {
        if let number = numbers[ObjectIdentifier(object)] {
            state.write(number)
            return
        }
        let number = UInt32(truncatingIfNeeded: objects.count)
        numbers[ObjectIdentifier(object)] = number
        objects.append(object)
        state.write(number)
        content(&state)
    }
}
