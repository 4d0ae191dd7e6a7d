internal import Base
package import Settings

extension HostPattern {
    /// Parses a pattern; the error says which part is wrong.
    package init(parsing text: String) throws(InvalidValue) {
        self.init(try Self.kind(of: text), description: text)
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
            throw InvalidValue("\(shown): an address has no subdomains; leave out \"*.\"")
        }
        return .subdomains(of: authority.host)
    }
}
