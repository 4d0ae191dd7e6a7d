import WebSocket

/// Where a request carries its token (RFC 6750, section 2).
enum Token {
    enum Place: Equatable {
        case none
        case malformed(String)
        case found(String)
    }

    static let howToSend =
        "a token is required: \"Authorization: Bearer TOKEN\", the query parameter \"token\", or the cookie"

    /// Looks at the Authorization field, then the query parameter `token`, then the cookie.
    ///
    /// - Parameter cookie: the cookie's name; empty for none.
    static func find(in head: RequestHead, cookie: String) -> Place {
        let fields = head.values("authorization")
        guard fields.count <= 1 else { return .malformed("more than one Authorization field") }
        if let field = fields.first {
            let parts = field.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else {
                return .malformed("the Authorization field must be \"Bearer TOKEN\"")
            }
            return .found(String(parts[1].trimmed))
        }
        if let token = FormQuery.value("token", in: head.query) {
            return token.isEmpty ? .malformed("the query parameter \"token\" is empty") : .found(token)
        }
        guard !cookie.isEmpty else { return .none }
        for pair in head.values("cookie").flatMap({ $0.split(separator: ";") }) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].trimmed == cookie else { continue }
            var value = parts[1].trimmed
            if value.count >= 2, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
            return value.isEmpty ? .none : .found(String(value))
        }
        return .none
    }

    /// A byte as a quoted string of a field may hold it (RFC 6750, section 3).
    static func quotable(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "'")
        case 0x20...0x7E: byte
        default: UInt8(ascii: "?")
        }
    }
}
