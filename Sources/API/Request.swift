package import NIOHTTP1

/// A whole request.
package struct Request: Sendable {
    package var method: HTTPMethod
    package var path: String
    package var query: [(name: String, value: String)]
    package var headers: HTTPHeaders
    package var body: [UInt8]
    /// Where it comes from, for the log.
    package var address: String

    package init(_ head: HTTPRequestHead, body: [UInt8], address: String) {
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        method = head.method
        path = String(parts[0])
        query =
            parts.count < 2
            ? []
            : parts[1].split(separator: "&").map { pair in
                let both = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (Self.decoded(both[0]), both.count == 2 ? Self.decoded(both[1]) : "")
            }
        headers = head.headers
        self.body = body
        self.address = address
    }

    /// The bearer token, or the X-API-Key field.
    var key: String? {
        if let field = headers.first(name: "authorization") {
            let parts = field.split(separator: " ", maxSplits: 1)
            return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : nil
        }
        return headers.first(name: "x-api-key")
    }

    /// Text as `application/x-www-form-urlencoded` has it.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
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
