internal import Glibc

/// An IPv4 or IPv6 address as a number in host byte order, so that masks and comparisons are arithmetic.
package enum IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IPv4 address.
    case v4(UInt32)
    /// An IPv6 address without a zone.
    case v6(UInt128)

    /// Parses a text such as "192.0.2.1" or "2001:db8::1"; nil if it is no address (inet_pton(3)).
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        guard !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr))
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            self = .v6(withUnsafeBytes(of: six) { bytes in bytes.reduce(0) { $0 << 8 | UInt128($1) } })
        } else {
            return nil
        }
    }

    /// The address itself, or the IPv4 address within ::ffff:0:0/96, the form in which a dual-stack socket reports IPv4
    /// peers.
    package var unmapped: IPAddress {
        guard case .v6(let bits) = self, bits >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: bits))
    }

    /// The 4 or 16 bytes in network order.
    package var bytes: [UInt8] {
        switch self {
        case .v4(let bits): stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> $0) }
        case .v6(let bits): stride(from: 120, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> $0) }
        }
    }

    /// The canonical text (RFC 5952 for IPv6), without brackets.
    package var description: String {
        let family =
            switch self {
            case .v4: AF_INET
            case .v6: AF_INET6
            }
        // The longest text is 45 bytes and a NUL (INET6_ADDRSTRLEN).
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            let text = bytes.withUnsafeBytes { bytes in
                inet_ntop(family, bytes.baseAddress, buffer.baseAddress, socklen_t(buffer.count))
            }
            guard let text = text else { preconditionFailure("inet_ntop knows both families") }
            return String(cString: text)
        }
    }
}
