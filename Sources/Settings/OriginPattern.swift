/// A pattern for the origins that may connect: "*", one origin such as "https://example.org", or all subdomains as in
/// "https://*.example.org". Scheme and host ignore case, and a scheme's default port equals no port.
package struct OriginPattern: Sendable, Hashable, CustomStringConvertible {
    /// The origins that a pattern matches.
    package enum Kind: Hashable, Sendable {
        /// Every origin.
        case any
        /// The origin "null", which a browser sends for a page from a file or in a sandbox.
        case opaque
        /// This one.
        case exact(Origin)
        /// Every host that ends in a dot and this origin's host, but not that host itself.
        case subdomains(of: Origin)
    }

    private let kind: Kind
    /// The pattern as it was written.
    package let description: String

    /// A pattern from its parts.
    package init(_ kind: Kind, description: String) {
        self.kind = kind
        self.description = description
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
