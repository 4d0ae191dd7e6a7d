/// A pattern for the hosts that a request may name: a name, all names below one, as in "*.example.org", or an IP
/// address. Case and a trailing dot don't matter.
package struct HostPattern: Sendable, Hashable, CustomStringConvertible {
    /// The hosts that a pattern matches.
    package enum Kind: Hashable, Sendable {
        /// A name, an IPv4 address, or an IPv6 address in brackets, as in `Origin.Authority`.
        case exact(String)
        /// Every name that ends in a dot and this one, but not this one itself.
        case subdomains(of: String)
    }

    private let kind: Kind
    /// The pattern as it was written.
    package let description: String

    /// A pattern from its parts.
    package init(_ kind: Kind, description: String) {
        self.kind = kind
        self.description = description
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
    package static func withoutDot(_ text: Substring) -> Substring {
        guard !text.hasPrefix("[") else { return text }
        let host = text.prefix { $0 != ":" }
        return host.hasSuffix(".") ? host.dropLast() + text[host.endIndex...] : text
    }

    /// Two patterns are equal if they match the same hosts, however they are written.
    package static func == (left: HostPattern, right: HostPattern) -> Bool { left.kind == right.kind }

    /// Hashes what `==` compares.
    package func hash(into hasher: inout Hasher) { hasher.combine(kind) }
}
