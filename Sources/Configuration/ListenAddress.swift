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
    package init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
        isIPv6 = !address.isIPv4
    }

    /// Parses a text from a configuration file or from `--listen`.
    package init(parsing text: String) throws(InvalidValue) {
        let shown = quoted(text)
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            throw InvalidValue("\(shown) is a Unix socket; give an address and a port such as \"127.0.0.1:8080\"")
        }
        if text.contains("://") {
            throw InvalidValue("\(shown) is a URL; give an address and a port such as \"[::]:8080\"")
        }
        if text.hasSuffix("]") {
            throw InvalidValue("\(shown) has no port; write \(quoted(text + ":8080"))")
        }
        guard let colon = text.lastIndex(of: ":") else {
            guard !text.isEmpty, text.allSatisfy(\.isDigit) else {
                throw InvalidValue("\(shown) has no port; give an address and a port such as \"[::]:8080\"")
            }
            throw InvalidValue("\(shown) has no colon; for port \(text) on all addresses write \":\(text)\"")
        }
        let host = text[..<colon]
        guard IPAddress(text) == nil || !host.contains(":") else {
            let inBrackets = IPAddress(host) == nil ? "[\(text)]:8080" : "[\(host)]\(text[colon...])"
            throw InvalidValue("\(shown): an IPv6 address stands in brackets, as in \"\(inBrackets)\"")
        }
        address = try Self.address(of: host, in: text)
        port = try Self.port(of: text[text.index(after: colon)...], in: text)
        isIPv6 = host.hasPrefix("[") || !address.isIPv4
    }

    private static func address(of host: Substring, in text: String) throws(InvalidValue) -> IPAddress {
        let shown = quoted(text)
        switch host {
        case "": return .anyIPv6
        case "localhost": return .loopback
        case "*": throw InvalidValue("\(shown): write \"[::]\" for all addresses, or \"0.0.0.0\" for those of IPv4")
        default: break
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            let inner = host.dropFirst().dropLast()
            if inner.contains(":"), let address = IPAddress(inner) { return address }
            guard !inner.contains("%") else {
                throw InvalidValue("\(shown) has a zone, which only a socket passed by systemd can have")
            }
            throw InvalidValue("\(shown): \(quoted(inner)) is no IPv6 address; an example is \"[::1]:8080\"")
        }
        if let address = IPAddress(host) {
            return address
        }
        if host.contains(where: \.isLetter) && !host.contains(":") && !host.contains("[") && !host.contains("]") {
            throw InvalidValue(
                "\(shown): \(quoted(host)) is a host name; give the address itself, or \"localhost\"")
        }
        throw InvalidValue(
            "\(shown): \(quoted(host)) is no IP address; examples are \"[::]:8080\" and \"127.0.0.1:8080\"")
    }

    private static func port(of digits: Substring, in text: String) throws(InvalidValue) -> UInt16 {
        guard digits.allSatisfy(\.isDigit), let port = UInt16(digits) else {
            throw InvalidValue("\(quoted(text)): \(quoted(digits)) is no port; give a number from 0 to 65535")
        }
        return port
    }

    /// The text that parses to this address.
    package var description: String {
        isIPv6 ? "[\(address.ipv6Text)]:\(port)" : "\(address):\(port)"
    }
}
