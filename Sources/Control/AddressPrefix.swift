import Glibc

/// An IP address or a network: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// IPv4 addresses are held as the IPv6 addresses they are mapped to, so that a client on a dual-stack listener is found
/// by either spelling.
package struct AddressPrefix: Sendable, Hashable {
    /// What an IPv4 address has before it when it is mapped (RFC 4291, section 2.5.5.2).
    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    /// The address, 16 bytes in network order; bits beyond the prefix are zero.
    private let bytes: [UInt8]
    /// How many leading bits count: 0 to 128.
    private let bitCount: Int

    /// Reads an address or a network; nil for anything else. Bits set beyond the prefix are forgiven.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = Self.parse(String(parts[0])) else { return nil }
        // What precedes the 32 bits of an IPv4 address in its mapped form.
        let offset = address.isIPv4 ? 96 : 0
        var count = 128
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]),
                length <= 128 - offset
            else { return nil }
            count = length + offset
        }
        bytes = Self.mask(address.bytes, to: count)
        bitCount = count
    }

    /// Whether an address, as text, is in here; false when it isn't an address.
    package func contains(_ address: String) -> Bool {
        guard let parsed = Self.parse(address) else { return false }
        return contains(bytes: parsed.bytes)
    }

    /// Whether an address is in here: 4 or 16 bytes in network order, false for anything else.
    package func contains(bytes address: [UInt8]) -> Bool {
        let full = address.count == 4 ? Self.mappedPrefix + address : address
        return full.count == 16 && full.indices.allSatisfy { full[$0] & Self.mask(at: $0, bitCount) == bytes[$0] }
    }

    private static func parse(_ text: String) -> (bytes: [UInt8], isIPv4: Bool)? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            let bytes = withUnsafeBytes(of: v4) { Array($0) }
            return (mappedPrefix + bytes, true)
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        return (withUnsafeBytes(of: v6) { Array($0) }, false)
    }

    private static func mask(_ bytes: [UInt8], to bitCount: Int) -> [UInt8] {
        bytes.enumerated().map { index, byte in byte & mask(at: index, bitCount) }
    }

    /// The bits of a byte that belong to the first `bitCount` bits of the address.
    private static func mask(at index: Int, _ bitCount: Int) -> UInt8 {
        let kept = min(max(bitCount - index * 8, 0), 8)
        return UInt8(truncatingIfNeeded: 0xff00 >> kept)
    }
}
