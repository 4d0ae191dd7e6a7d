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
        if let token = Query.value("token", in: head.query) {
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

/// The query of a request target, read as `application/x-www-form-urlencoded`.
enum Query {
    /// The first value of a parameter, decoded; nil where it is absent.
    static func value(_ name: String, in query: String?) -> String? {
        guard let query else { return nil }
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts[0] == name else { continue }
            return parts.count == 2 ? decoded(parts[1]) : ""
        }
        return nil
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
