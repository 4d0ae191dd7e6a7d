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

    /// The id with these bits, which another process has given.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The number within its slot; 34 bits.
    package var number: UInt64 { rawValue & (Self.numberCount - 1) }
    /// The part of the number that tells the connections of a slot apart in references and tags; 31 bits.
    package var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) & 0x7FFF_FFFF }
    package var worker: Int { Int(truncatingIfNeeded: rawValue >> Self.numberBits & (1 << Self.workerBits - 1)) }
    package var slot: Int { Int(truncatingIfNeeded: rawValue >> (Self.numberBits + Self.workerBits)) }

    /// Parses the text of an id; nil for anything else. As is usual for this alphabet, upper case is accepted, and so
    /// are `o` for 0, `i` and `l` for 1.
    package init?(_ text: some StringProtocol) {
        guard let value = Base32.value(of: text) else { return nil }
        rawValue = value
    }

    package var description: String { Base32.text(of: rawValue) }
}
