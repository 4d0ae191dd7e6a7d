internal import Base
package import Settings

extension OriginPattern {
    /// Parses a pattern; the error says which part is wrong.
    package init(parsing text: String) throws(InvalidValue) {
        switch text {
        case "*": self.init(.any, description: text)
        case "null": self.init(.opaque, description: text)
        default: self.init(try Self.kind(of: text), description: text)
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
            throw InvalidValue("\(shown): an address has no subdomains; leave out \"*.\"")
        }
        return wildcard ? .subdomains(of: origin) : .exact(origin)
    }
}

/// The rule for the names of cookies: a token (RFC 6265, section 4.1.1), or empty for no cookie.
enum CookieName {
    static func parse(_ text: String) throws(InvalidValue) -> String {
        guard text.utf8.allSatisfy(isTokenByte) else {
            throw InvalidValue(
                "\(quoted(text)) is no name of a cookie; it may have letters, digits and any of \(punctuation)")
        }
        return text
    }

    private static let punctuation = "!#$%&'*+-.^_`|~"

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: punctuation.utf8.contains(byte)
        }
    }
}
