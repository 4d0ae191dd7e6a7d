internal import Glibc

/// An IPv4 or IPv6 address as 16 bytes; an IPv4 address is in its mapped form (RFC 4291, section 2.5.5.2), so that a
/// client has the same address on every socket.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The first and the last eight bytes, as big-endian numbers.
    package var high: UInt64
    package var low: UInt64

    /// An address from its two halves.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address from its 32 bits.
    package init(v4 bits: UInt32) { self.init(high: 0, low: Self.mappedPrefix | UInt64(bits)) }

    /// The address of a peer without one: a Unix socket's.
    package static let none = IPAddress(high: .max, low: .max)
    /// `::`, which stands for every address of both families where something listens.
    package static let anyIPv6 = IPAddress(high: 0, low: 0)
    /// `0.0.0.0`
    package static let anyIPv4 = IPAddress(v4: 0)
    /// `127.0.0.1`
    package static let loopback = IPAddress(v4: 0x7F00_0001)

    private static let mappedPrefix: UInt64 = 0xFFFF << 32

    /// Parses `192.0.2.1` or `2001:db8::1`; nil for anything else (inet_pton(3)).
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        guard !text.utf8.contains(0) else { return nil }
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self = withUnsafeBytes(of: v6) {
            IPAddress(
                high: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    /// Parses an address that may be in brackets, as `[2001:db8::1]`; nil for anything else.
    package init?(perhapsInBrackets text: some StringProtocol) {
        if text.hasPrefix("["), text.hasSuffix("]") {
            self.init(text.dropFirst().dropLast())
        } else {
            self.init(text)
        }
    }

    /// Whether this is an IPv4 address.
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// Whether this is a loopback address (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3).
    package var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }

    /// The address that limits count as one client: an IPv4 address, or the /64 network of an IPv6 address, because a
    /// customer has at least one such network (RFC 6177).
    package var client: IPAddress { isIPv4 || isLoopback || self == .none ? self : IPAddress(high: high, low: 0) }

    /// Whether this is a private (RFC 1918, RFC 4193) or link-local address, which no client on the internet has.
    package var isPrivate: Bool {
        guard isIPv4 else { return high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6 }
        let bits = UInt32(truncatingIfNeeded: low)
        return bits >> 24 == 10 || bits >> 20 == 0xAC1 || bits >> 16 == 0xC0A8 || bits >> 16 == 0xA9FE
    }

    /// The four or sixteen bytes in network byte order.
    package var bytes: [UInt8] {
        let all = [high, low].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
        return isIPv4 ? Array(all.suffix(4)) : all
    }

    /// The canonical text (RFC 5952 for IPv6), without brackets; `unix` for the address of a peer without one.
    package var description: String {
        if self == .none { return "unix" }
        guard isIPv4 else { return ipv6Text }
        var v4 = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
        return Self.text(AF_INET, &v4)
    }

    /// The canonical text as an IPv6 address: `::ffff:192.0.2.1` for `192.0.2.1`.
    package var ipv6Text: String {
        var bytes = (high.bigEndian, low.bigEndian)
        return Self.text(AF_INET6, &bytes)
    }

    private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(family, address, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
