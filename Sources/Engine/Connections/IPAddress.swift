import CLinux
import Glibc

/// An IPv4 or IPv6 address as 16 bytes; an IPv4 address is in its mapped form (RFC 4291, section 2.5.5.2), so that a
/// client has the same address on every socket.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The first and the last eight bytes, as big-endian numbers.
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The address of a peer without one: a Unix socket's.
    package static let none = IPAddress(high: .max, low: .max)

    private static let mappedPrefix: UInt64 = 0xFFFF << 32

    /// Parses `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        var text = String(text)
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(high: 0, low: Self.mappedPrefix | UInt64(UInt32(bigEndian: v4.s_addr)))
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(v6)
    }

    private init(_ address: in6_addr) {
        self = withUnsafeBytes(of: address) {
            IPAddress(
                high: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    /// The address and port of a socket address; `none` and 0 for a Unix socket's.
    static func parse(_ storage: inout sockaddr_storage) -> (IPAddress, port: UInt16) {
        withUnsafeBytes(of: &storage) { bytes in
            switch Int32(bytes.load(as: sa_family_t.self)) {
            case AF_INET:
                let address = bytes.load(as: sockaddr_in.self)
                let number = UInt64(UInt32(bigEndian: address.sin_addr.s_addr))
                return (IPAddress(high: 0, low: mappedPrefix | number), UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let address = bytes.load(as: sockaddr_in6.self)
                return (IPAddress(address.sin6_addr), UInt16(bigEndian: address.sin6_port))
            default:
                return (.none, 0)
            }
        }
    }

    /// Whether this is an IPv4 address.
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// Whether this is a loopback address (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3).
    package var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }

    /// The address that limits count as one client: an IPv4 address, or the /64 network of an IPv6 address, because a
    /// customer has at least one such network (RFC 6177).
    var client: IPAddress { isIPv4 || isLoopback || self == .none ? self : IPAddress(high: high, low: 0) }

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

    package var description: String {
        if self == .none { return "unix" }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isIPv4 {
            var v4 = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
            inet_ntop(AF_INET, &v4, &text, socklen_t(text.count))
        } else {
            var bytes = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count))
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
