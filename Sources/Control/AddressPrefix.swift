import Glibc

/// An IP address or a network: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// IPv4 addresses are stored as the IPv6 addresses they are mapped to (RFC 4291, section 2.5.5.2), so that a client on
/// a dual-stack listener is found by either spelling.
package struct AddressPrefix: Sendable, Hashable {
    /// The first and the last eight bytes in the order of the wire, as numbers; bits beyond the prefix are zero.
    private let high: UInt64
    private let low: UInt64
    /// The bits of the prefix.
    private let highMask: UInt64
    private let lowMask: UInt64

    /// Parses an address or a network; nil for anything else. Bits set beyond the prefix are ignored.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = Self.parse(String(parts[0])) else { return nil }
        // The length of the prefix that precedes the 32 bits of an IPv4 address in its mapped form.
        let offset = address.isIPv4 ? 96 : 0
        var count = 128
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]),
                length <= 128 - offset
            else { return nil }
            count = length + offset
        }
        highMask = Self.mask(count)
        lowMask = Self.mask(count - 64)
        high = address.high & highMask
        low = address.low & lowMask
    }

    /// Whether an address, given as text, is in this network; false if the text isn't an address.
    package func contains(_ address: String) -> Bool {
        guard let parsed = Self.parse(address) else { return false }
        return contains(high: parsed.high, low: parsed.low)
    }

    /// Whether an address is in this network, given as two halves. Cheap: a hub calls it for each connection.
    package func contains(high: UInt64, low: UInt64) -> Bool {
        high & highMask == self.high && low & lowMask == self.low
    }

    private static func parse(_ text: String) -> (high: UInt64, low: UInt64, isIPv4: Bool)? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            return (0, 0xFFFF << 32 | UInt64(UInt32(bigEndian: v4.s_addr)), true)
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        return withUnsafeBytes(of: v6) {
            (
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)), false
            )
        }
    }

    /// A mask of the leading `bitCount` bits of 64.
    private static func mask(_ bitCount: Int) -> UInt64 {
        bitCount <= 0 ? 0 : bitCount >= 64 ? .max : ~(UInt64.max >> UInt64(bitCount))
    }
}
