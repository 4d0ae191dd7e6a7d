package import Base

/// An address and a TCP port to listen on: "[::]:8080", "127.0.0.1:8080", "localhost:8080", ":8080".
///
/// "[::]" and an empty host mean every address of both families, so the socket has IPV6_V6ONLY off. "localhost" is
/// 127.0.0.1. Other names are refused, because the address of a name can change between two starts.
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// The address; `::` is every address of both families.
    package let address: IPAddress
    /// The port; 0 means any free port.
    package let port: UInt16
    /// Whether the address is written as one of IPv6, which a mapped IPv4 address may be.
    private let isIPv6: Bool

    /// An address from its parts.
    ///
    /// - Parameter isIPv6: whether it is written as one of IPv6; nil for as it is.
    package init(address: IPAddress, port: UInt16, isIPv6: Bool? = nil) {
        self.address = address
        self.port = port
        self.isIPv6 = isIPv6 ?? !address.isIPv4
    }

    /// The text that parses to this address.
    package var description: String {
        isIPv6 ? "[\(address.ipv6Text)]:\(port)" : "\(address):\(port)"
    }
}
