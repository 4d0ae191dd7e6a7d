internal import Base

/// A pattern for the origins that may connect: "*", one origin such as "https://example.org", or all subdomains as in
/// "https://*.example.org". Scheme and host ignore case, and a scheme's default port equals no port.
package struct OriginPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: Hashable {
        case any
        /// The origin "null", which a browser sends for a page from a file or in a sandbox.
        case opaque
        case exact(Origin)
        /// Every host that ends in a dot and this origin's host, but not that host itself.
        case subdomains(of: Origin)
    }

    private let kind: Kind
    /// The pattern as it was written.
    package let description: String

    /// Parses a pattern; the error says which part is wrong.
    package init(parsing text: String) throws(InvalidValue) {
        description = text
        switch text {
        case "*": kind = .any
        case "null": kind = .opaque
        default: kind = try Self.kind(of: text)
        }
    }

    private static func kind(of text: String) throws(InvalidValue) -> Kind {
        let shown = quoted(text)
        guard !text.isEmpty else {
            throw InvalidValue("\"\" is no origin; an example is \"https://example.org\", and \"*\" is any")
        }
        guard let separator = text.firstRange(of: "://") else {
            throw InvalidValue("\(shown) has no scheme; write \"https://\(text)\"")
        }
        let authority = text[separator.upperBound...]
        if let end = authority.firstIndex(where: { "/?#".contains($0) }) {
            throw InvalidValue("\(shown) goes on after the host; an origin ends there: \"\(text[..<end])\"")
        }
        guard !authority.contains("@") else {
            throw InvalidValue("\(shown) names a user; an origin is a scheme, a host and perhaps a port")
        }
        guard authority.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw InvalidValue("\(shown): write the host as browsers send it, in ASCII, beginning with \"xn--\"")
        }
        let wildcard = authority.hasPrefix("*.")
        let rest = wildcard ? authority.dropFirst(2) : authority
        guard !rest.contains("*") else {
            throw InvalidValue(
                "\(shown): the only wildcard is \"*.\" before a host, as in \"https://*.example.org\", or \"*\" alone")
        }
        guard let origin = Origin(text[..<separator.upperBound] + rest) else {
            throw InvalidValue(
                "\(shown) is no origin; write scheme, host and perhaps port: \"https://example.org:8443\"")
        }
        guard !wildcard || (!origin.host.hasPrefix("[") && IPAddress(origin.host) == nil) else {
            throw InvalidValue("\(shown): an address has no subdomains")
        }
        return wildcard ? .subdomains(of: origin) : .exact(origin)
    }

    /// Whether the pattern matches the value of an `Origin` header. A value that is not an origin matches only "*".
    package func matches(origin text: String) -> Bool {
        switch kind {
        case .any: return true
        case .opaque: return text == "null"
        case .exact(let expected): return Origin(text) == expected
        case .subdomains(let parent):
            guard let origin = Origin(text) else { return false }
            return origin.scheme == parent.scheme && origin.port == parent.port
                && origin.host.hasSuffix("." + parent.host)
        }
    }

    /// Two patterns are equal if they match the same origins, however they are written.
    package static func == (left: OriginPattern, right: OriginPattern) -> Bool { left.kind == right.kind }

    /// Hashes what `==` compares.
    package func hash(into hasher: inout Hasher) { hasher.combine(kind) }
}
