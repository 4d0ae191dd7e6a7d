import WebSocket

/// Finds the token in a request (RFC 6750, section 2).
enum Token {
    enum Place: Equatable {
        case none
        case malformed(String)
        case found(String)
    }

    static let howToSend =
        "a token is required: \"Authorization: Bearer TOKEN\", the query parameter \"token\", or the cookie"

    /// Searches the Authorization field, then the query parameter `token`, then the cookie.
    ///
    /// - Parameter cookie: the cookie's name; empty for none.
    static func find(in head: RequestHead, cookie: String) -> Place {
        let fields = head.values("authorization")
        guard fields.count <= 1 else { return .malformed("more than one Authorization field") }
        if let field = fields.first {
            return field.withBytes { field in
                guard let blank = field.index(of: 0x20), field.part(0..<blank).isWord("bearer"),
                    blank + 1 < field.count
                else { return .malformed("the Authorization field must be \"Bearer TOKEN\"") }
                return .found(field.part(blank..<field.count).trimmed.text)
            }
        }
        if let token = FormQuery.value("token", in: head.query) {
            return token.isEmpty ? .malformed("the query parameter \"token\" is empty") : .found(token)
        }
        guard !cookie.isEmpty else { return .none }
        var place = Place.none
        _ = head.hasElement("cookie", separator: UInt8(ascii: ";")) { pair in
            guard let equals = pair.index(of: UInt8(ascii: "=")), pair.part(0..<equals).trimmed.equals(cookie) else {
                return false
            }
            var value = pair.part((equals + 1)..<pair.count).trimmed
            if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
                value = value.part(1..<(value.count - 1))
            }
            if !value.isEmpty { place = .found(value.text) }
            return true
        }
        return place
    }

    /// The byte, or a substitute if a quoted string in a field can't hold it (RFC 6750, section 3).
    static func quotable(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "'")
        case 0x20...0x7E: byte
        default: UInt8(ascii: "?")
        }
    }
}
