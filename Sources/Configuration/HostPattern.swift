internal import Base

/// A pattern for the hosts that a request may name: a name, all names below one, as in "*.example.org", or an IP
/// address. Case and a trailing dot don't matter.
package struct HostPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: Hashable {
        /// A name, an IPv4 address, or an IPv6 address in brackets, as in `Origin.Authority`.
        case exact(String)
        /// Every name that ends in a dot and this one, but not this one itself.
        case subdomains(of: String)
    }

    private let kind: Kind
    /// The pattern as it was written.
    package let description: String

    /// Parses a pattern; the error says which part is wrong.
    package init(parsing text: String) throws(InvalidValue) {
        description = text
        kind = try Self.kind(of: text)
    }

    private static func kind(of text: String) throws(InvalidValue) -> Kind {
        let shown = quoted(text)
        guard !text.isEmpty else { throw InvalidValue("\"\" is no host; an example is \"example.org\"") }
        guard text != "*" else { throw InvalidValue("\"*\": for any host leave the array empty") }
        if let separator = text.firstRange(of: "://") {
            let rest = text[separator.upperBound...].prefix { !"/:?#".contains($0) }
            throw InvalidValue("\(shown) is a URL or an origin; write the host alone, \(quoted(rest))")
        }
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw InvalidValue("\(shown): write the host as browsers send it, in ASCII, beginning with \"xn--\"")
        }
        if text.contains(":"), let address = IPAddress(text) { return .exact("[\(address.ipv6Text)]") }
        let isWildcard = text.hasPrefix("*.")
        let rest = isWildcard ? text.dropFirst(2) : text[...]
        guard !rest.contains("*") else {
            throw InvalidValue("\(shown): the only wildcard is \"*.\" before a host, as in \"*.example.org\"")
        }
        guard let authority = Origin.Authority(withoutDot(rest)) else {
            throw InvalidValue("\(shown) is no host; write a name, \"*.\" and a name, or an IP address")
        }
        guard authority.port == nil else {
            let host = quoted(text.prefix(text.count - rest.count) + authority.host)
            throw InvalidValue("\(shown): ports are ignored; write the host alone, \(host)")
        }
        guard isWildcard else { return .exact(authority.host) }
        guard !authority.host.hasPrefix("["), IPAddress(authority.host) == nil else {
            throw InvalidValue("\(shown): an address has no subdomains")
        }
        return .subdomains(of: authority.host)
    }

    /// Whether the pattern matches the value of a `Host` header, whatever its port. A value that is not a host matches
    /// nothing.
    package func matches(host text: String) -> Bool {
        guard let authority = Origin.Authority(Self.withoutDot(text[...])) else { return false }
        return switch kind {
        case .exact(let host): authority.host == host
        case .subdomains(let parent): authority.host.hasSuffix("." + parent)
        }
    }

    /// The host without a trailing dot: "example.org:80" for "example.org.:80".
    private static func withoutDot(_ text: Substring) -> Substring {
        guard !text.hasPrefix("[") else { return text }
        let host = text.prefix { $0 != ":" }
        return host.hasSuffix(".") ? host.dropLast() + text[host.endIndex...] : text
    }

    /// Two patterns are equal if they match the same hosts, however they are written.
    package static func == (left: HostPattern, right: HostPattern) -> Bool { left.kind == right.kind }

    /// Hashes what `==` compares.
    package func hash(into hasher: inout Hasher) { hasher.combine(kind) }
}
