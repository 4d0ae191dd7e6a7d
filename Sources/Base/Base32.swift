/// Numbers of 64 bits as text in Crockford's base 32, without leading zeros: 1 to 13 characters.
enum Base32 {
    private static let digits: StaticString = "0123456789abcdefghjkmnpqrstvwxyz"

    /// The number that a text stands for; nil for anything else. Upper case is accepted, and so are `o` for 0, `i` and
    /// `l` for 1.
    static func value(of text: some StringProtocol) -> UInt64? {
        var value: UInt64 = 0
        guard (1...13).contains(text.utf8.count) else { return nil }
        for byte in text.utf8 {
            guard let digit = Self.value(of: byte), value <= UInt64.max >> 5 else { return nil }
            value = value << 5 | digit
        }
        return value
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

    static func text(of value: UInt64) -> String {
        guard value > 0 else { return "0" }
        let count = (64 - value.leadingZeroBitCount + 4) / 5
        return String(unsafeUninitializedCapacity: count) { text in
            for index in 0..<count {
                text[count - 1 - index] = Self.digits.utf8Start[Int(value >> UInt64(index * 5) & 0x1F)]
            }
            return count
        }
    }
}
