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
