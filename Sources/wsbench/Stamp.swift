import Glibc

/// The front of every message that wsbench sends: the run, the publisher, the message, and the time of sending.
///
/// 48 bytes of ASCII at fixed offsets, so that it is valid as text and as binary, and can be read without a search:
/// `wsbench:`, the run, the publisher, the sequence number (8 hexadecimal digits each), the time of sending (16).
struct Stamp: Equatable {
    /// The size of a stamp, and so of the smallest message.
    static let byteCount = 48

    /// The number of the publisher in the run, from 0.
    var publisher: UInt32
    /// The number of the message among its publisher's, from 0.
    var sequence: UInt32
    /// CLOCK_MONOTONIC in nanoseconds when the message was given to the socket.
    var sent: UInt64

    private static let magic: UInt64 = 0x3A68_636E_6562_7377  // "wsbench:" as the wire has it, read little-endian

    init(publisher: UInt32, sequence: UInt32, sent: UInt64) {
        self.publisher = publisher
        self.sequence = sequence
        self.sent = sent
    }

    /// Reads the stamp of this run from the front of a message; nil if it is another run's.
    ///
    /// - Parameters:
    ///   - bytes: the front of the message.
    ///   - run: the run's number, as passed to `write(to:run:)`.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer, run: UInt32) {
        guard bytes.count >= Self.byteCount, let base = bytes.baseAddress,
            UInt64(littleEndian: base.loadUnaligned(as: UInt64.self)) == Self.magic,
            Self.number(base + 8) == run
        else { return nil }
        publisher = Self.number(base + 16)
        sequence = Self.number(base + 24)
        sent = UInt64(Self.number(base + 32)) << 32 | UInt64(Self.number(base + 40))
    }

    /// Writes the 48 bytes.
    @inline(__always)
    func write(to target: UnsafeMutableRawPointer, run: UInt32) {
        target.storeBytes(of: Self.magic.littleEndian, as: UInt64.self)
        Self.put(run, to: target + 8)
        Self.put(publisher, to: target + 16)
        Self.put(sequence, to: target + 24)
        Self.put(UInt32(truncatingIfNeeded: sent >> 32), to: target + 32)
        Self.put(UInt32(truncatingIfNeeded: sent), to: target + 40)
    }

    /// Decodes eight hexadecimal digits at once. Other characters give a wrong number, not an error: the prefix and the
    /// run in front of them were right.
    @inline(__always)
    private static func number(_ text: UnsafeRawPointer) -> UInt32 {
        let characters = UInt64(bigEndian: text.loadUnaligned(as: UInt64.self))
        var digits = characters & 0x0F0F_0F0F_0F0F_0F0F
        digits &+= 9 &* (characters >> 6 & 0x0101_0101_0101_0101)
        digits = (digits | digits >> 4) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits >> 8) & 0x0000_FFFF_0000_FFFF
        return UInt32(truncatingIfNeeded: digits | digits >> 16)
    }

    @inline(__always)
    private static func put(_ number: UInt32, to text: UnsafeMutableRawPointer) {
        var digits = UInt64(number)
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        let characters = digits &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
        text.storeBytes(of: characters.bigEndian, as: UInt64.self)
    }
}
