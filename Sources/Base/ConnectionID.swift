/// The identity of a connection for operators, backends, logs and other clients: 64 bits that it keeps for its whole
/// life, wherever it moves.
///
/// The text is base 32 in Crockford's alphabet without leading zeros, 7 to 13 characters such as `8z3k0p5q`. The bits
/// are, from the highest: the slot and the worker that the connection began with, so that most lookups find it at once,
/// and a number that each slot counts up from a random start of the process.
package struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    private static let numberBits: UInt64 = 34
    private static let workerBits: UInt64 = 6
    /// The number of different numbers.
    package static let numberCount: UInt64 = 1 << numberBits

    /// The id of a connection that begins in this slot of a worker. Of each value only as many bits count as there is
    /// room for.
    package init(worker: Int, slot: Int, number: UInt64) {
        let place = UInt64(truncatingIfNeeded: slot) << Self.workerBits | UInt64(worker & 0x3F)
        rawValue = place << Self.numberBits | number & (Self.numberCount - 1)
    }

    /// The number within its slot; 34 bits.
    package var number: UInt64 { rawValue & (Self.numberCount - 1) }
    /// The part of the number that tells the connections of a slot apart in references and tags; 31 bits.
    package var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) & 0x7FFF_FFFF }
    package var worker: Int { Int(truncatingIfNeeded: rawValue >> Self.numberBits & (1 << Self.workerBits - 1)) }
    package var slot: Int { Int(truncatingIfNeeded: rawValue >> (Self.numberBits + Self.workerBits)) }

    // MARK: Text

    private static let digits: StaticString = "0123456789abcdefghjkmnpqrstvwxyz"

    /// Parses the text of an id; nil for anything else. As is usual for this alphabet, upper case is accepted, and so
    /// are `o` for 0, `i` and `l` for 1.
    package init?(_ text: some StringProtocol) {
        var value: UInt64 = 0
        guard (1...13).contains(text.utf8.count) else { return nil }
        for byte in text.utf8 {
            guard let digit = Self.value(of: byte), value <= UInt64.max >> 5 else { return nil }
            value = value << 5 | digit
        }
        rawValue = value
    }

    private static func value(of byte: UInt8) -> UInt64? {
        switch byte | 0x20 {
        case UInt8(ascii: "o"): return 0
        case UInt8(ascii: "i"), UInt8(ascii: "l"): return 1
        default: break
        }
        let lower = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
        for index in 0..<32 where digits.utf8Start[index] == lower { return UInt64(index) }
        return nil
    }

    package var description: String {
        guard rawValue > 0 else { return "0" }
        let count = (64 - rawValue.leadingZeroBitCount + 4) / 5
        return String(unsafeUninitializedCapacity: count) { text in
            for index in 0..<count {
                text[count - 1 - index] = Self.digits.utf8Start[Int(rawValue >> UInt64(index * 5) & 0x1F)]
            }
            return count
        }
    }
}
