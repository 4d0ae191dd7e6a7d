import Settings

extension KeySetSource {
    /// Parses a text from a configuration file.
    init(parsing text: String) throws(InvalidValue) {
        guard let separator = text.firstRange(of: "://"), !text.hasPrefix("/") else {
            self = .file(try KeyFile(parsing: text))
            return
        }
        let authority = text[separator.upperBound...].prefix { !"/?#".contains($0) }
        // This check comes first and its error omits the value, because there may be a password in it.
        guard !authority.contains("@") else {
            throw InvalidValue("the URL names a user; leave out what is before \"@\", keys that are public need none")
        }
        let shown = quoted(text)
        guard let origin = Origin(text[..<authority.endIndex]) else {
            throw InvalidValue("\(shown) has no host; write \"https://HOST/PATH\"")
        }
        switch text[..<separator.lowerBound] {
        case "https": break
        case "http":
            // An attacker who can change the keys on their way can make tokens.
            guard ["localhost", "127.0.0.1", "[::1]"].contains(origin.host) else {
                throw InvalidValue("\(shown) leaves this machine, and not by https; write \"https://\"")
            }
        default: throw InvalidValue("\(shown) is no URL of https; write \"https://HOST/PATH\"")
        }
        guard text.utf8.allSatisfy(Self.isURLByte) else {
            throw InvalidValue("\(shown) holds a character that a URL has as \"%\" and two digits; write it so")
        }
        guard !text.contains("#") else {
            throw InvalidValue("\(shown) has a fragment, which is not sent; leave out \"#\" and what follows")
        }
        self = .url(text)
    }

    /// Printable ASCII without the characters that RFC 3986 excludes.
    private static func isURLByte(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && !"\"<>\\^`{|}".utf8.contains(byte)
    }
}
