/// The checksum of a part of a `ParkingFile`, which may come in pieces.
///
/// It is FNV-1a over words of eight bytes, the last one filled up with zeros, and turned after each, so that every bit of a
/// word reaches every bit of the sum. Whatever changes within one word changes the sum.
struct StateChecksum {
    private var sum: UInt64
    /// The bytes behind the last whole word, and how many bits they are.
    private var rest: UInt64 = 0
    private var restBitCount: UInt64 = 0

    /// - Parameter byteCount: the size of the whole part.
    init(ofByteCount byteCount: Int) { sum = 0xCBF2_9CE4_8422_2325 ^ UInt64(clamping: byteCount) }

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum = StateChecksum(ofByteCount: bytes.count)
        sum.add(bytes)
        return sum.finish()
    }

    /// Adds the next piece.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while restBitCount > 0, position < bytes.count {
            add(byte: bytes[position])
            position += 1
        }
        while position + 8 <= bytes.count {
            add(word: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            position += 8
        }
        for byte in bytes[position...] { add(byte: byte) }
    }

    /// The sum of all that was added.
    consuming func finish() -> UInt64 {
        if restBitCount > 0 { add(word: rest) }
        return sum
    }

    private mutating func add(byte: UInt8) {
        rest |= UInt64(byte) << restBitCount
        restBitCount += 8
        guard restBitCount == 64 else { return }
        add(word: rest)
        (rest, restBitCount) = (0, 0)
    }

    private mutating func add(word: UInt64) {
        sum = (sum ^ word) &* 0x100_0000_01B3
        sum = sum << 29 | sum >> 35
    }
}
