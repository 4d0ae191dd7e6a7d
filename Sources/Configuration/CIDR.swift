/// A range of addresses: "10.0.0.0/8", "2001:db8::/32", or a single address.
///
/// A v4-mapped peer (::ffff:10.0.0.1) is in the IPv4 ranges only, because that is how a dual-stack socket reports IPv4
/// peers: an administrator who trusts "::/0" has said nothing about IPv4.
package struct CIDR: Sendable, Hashable, CustomStringConvertible {
    /// The first address, with the bits beyond the prefix zero.
    package let address: IPAddress
    /// The number of leading bits that all addresses share, 0...32 or 0...128.
    package let prefixLength: Int

    /// Parses "address/length" or an address. Bits beyond the prefix are an error, because they are usually a mistake.
    package init(parsing text: String) throws(InvalidValue) {
        let shown = quoted(text)
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let address = IPAddress(first) else {
            throw InvalidValue(
                "\(shown) is no range of addresses; examples are \"10.0.0.0/8\", \"2001:db8::/32\" and \"127.0.0.1\"")
        }
        let width = address.bytes.count * 8
        var prefixLength = width
        if parts.count == 2 {
            guard parts[1].allSatisfy(\.isDigit),
                let length = Int(parts[1]), length <= width
            else {
                throw InvalidValue("\(shown): the length of the prefix is a number from 0 to \(width)")
            }
            prefixLength = length
        }
        // "::ffff:10.0.0.0/104" in IPv6 is the same as "10.0.0.0/8"; it is stored in the form that `contains` compares.
        var unmapped = address
        if case .v6 = address, case .v4 = address.unmapped, prefixLength >= 96 {
            unmapped = address.unmapped
            prefixLength -= 96
        }
        let masked = Self.masked(unmapped, to: prefixLength)
        guard masked == unmapped else {
            let clean = Self.masked(address, to: unmapped == address ? prefixLength : prefixLength + 96)
            throw InvalidValue("\(shown) has bits beyond its prefix; write \"\(clean)/\(parts[1])\"")
        }
        self.address = masked
        self.prefixLength = prefixLength
    }

    /// Whether an address is in the range.
    package func contains(_ other: IPAddress) -> Bool {
        switch (address, other.unmapped) {
        case (.v4, .v4(let bits)): Self.masked(.v4(bits), to: prefixLength) == address
        case (.v6, .v6(let bits)): Self.masked(.v6(bits), to: prefixLength) == address
        default: false
        }
    }

    private static func masked(_ address: IPAddress, to length: Int) -> IPAddress {
        // Swift's << gives 0 for a shift by the width or more.
        switch address {
        case .v4(let bits): .v4(bits & (UInt32.max << UInt32(32 - length)))
        case .v6(let bits): .v6(bits & (UInt128.max << UInt128(128 - length)))
        }
    }

    /// The text that parses to this range.
    package var description: String { "\(address)/\(prefixLength)" }
}
