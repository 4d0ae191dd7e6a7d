internal import Base
package import Settings

extension ListenAddress {
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
        let address = try Self.address(of: host, in: text)
        let port = try Self.port(of: text[text.index(after: colon)...], in: text)
        self.init(address: address, port: port, isIPv6: host.hasPrefix("[") || !address.isIPv4)
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
}

/// The rule for the path of a Unix socket: absolute and short enough for sockaddr_un (unix(7)), or empty for none.
enum SocketPath {
    /// The size of sun_path without the NUL at its end.
    static let maxByteCount = 107

    static func parse(_ text: String) throws(InvalidValue) -> String {
        let shown = quoted(text)
        guard !text.isEmpty else { return text }
        guard text.hasPrefix("/") else {
            throw InvalidValue("\(shown) is not absolute; write it from \"/\" on, such as \"/run/wsd/io.wsd.Control\"")
        }
        guard text.utf8.count <= maxByteCount else {
            throw InvalidValue("\(shown) has \(text.utf8.count) bytes; a socket's path has \(maxByteCount) at most")
        }
        guard !text.utf8.contains(0), !text.hasSuffix("/") else {
            throw InvalidValue("\(shown) names no file; a path has no \"/\" at its end and no NUL")
        }
        return text
    }
}

/// The rule for the path of an endpoint. Requests are compared with it byte for byte, so it has to be written as
/// clients send it.
enum EndpointPath {
    /// The paths that the daemon serves itself, on this port or on that of the API, so that a probe at the wrong port
    /// gets a clear answer.
    static let reserved = ["/", "/favicon.ico", "/healthz", "/metrics", "/readyz", "/wsd.d.ts", "/wsd.js"]

    static func parse(_ text: String) throws(InvalidValue) -> String {
        let shown = quoted(text)
        guard text.hasPrefix("/") else {
            throw InvalidValue("\(shown) does not begin with \"/\"; write \(quoted("/" + text))")
        }
        if let end = text.firstIndex(where: { $0 == "?" || $0 == "#" }) {
            throw InvalidValue("\(shown) goes on after the path; write \(quoted(text[..<end]))")
        }
        guard text != "/" else {
            throw InvalidValue("\"/\" is the chat page; take another path, such as \"/ws\"")
        }
        guard !reserved.contains(text) else {
            throw InvalidValue("\(shown) is reserved for the daemon; take another path, such as \"/ws\"")
        }
        guard text.utf8.allSatisfy(isPathByte) else {
            throw InvalidValue("\(shown) holds a character that a URL has as \"%\" and two digits; write it so")
        }
        guard !text.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
            throw InvalidValue("\(shown) has a \".\" or \"..\", which clients resolve before they ask; leave it out")
        }
        guard text.utf8.count <= 1024 else {
            throw InvalidValue("the path has \(text.utf8.count) bytes; it may have 1024 at most")
        }
        return text
    }

    /// The characters of a path in RFC 3986, 3.3, and "%".
    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "/-._~!$&'()*+,;=:@%".utf8.contains(byte)
        }
    }
}
