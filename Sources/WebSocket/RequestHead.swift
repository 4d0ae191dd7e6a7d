/// The head of an HTTP/1.1 request, parsed strictly (RFC 9112, sections 2 to 5).
package struct RequestHead: Sendable {
    package var method: String
    /// The path of the target, as sent: percent-encoding is kept. `*` for `OPTIONS *`.
    package var path: String
    /// The part of the target after `?`; nil without one.
    package var query: String?
    /// The field lines in order; names in lower case, values without surrounding white space.
    package var fields: [(name: String, value: String)]

    /// Every value of a field, in order.
    package func values(_ name: String) -> [String] {
        fields.compactMap { $0.name == name ? $0.value : nil }
    }

    /// The value of a field that may appear only once; nil if it is absent.
    package func value(_ name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    /// Passes the elements of a list field to `body`, trimmed, the last one first, until it returns false. An element
    /// of no bytes is skipped.
    package func forEachElementFromTheEnd(_ name: String, _ body: (UnsafeRawBufferPointer) -> Bool) {
        for field in fields.reversed() where field.name == name {
            let goesOn = field.value.withBytes { value in
                var end = value.count
                while end > 0 {
                    var start = end
                    while start > 0, value[start - 1] != UInt8(ascii: ",") { start -= 1 }
                    if start < end, !body(value.part(start..<end).trimmed) { return false }
                    end = start - 1
                }
                return true
            }
            guard goesOn else { return }
        }
    }

    /// Whether `isWanted` is true for an element of a list field, over all its lines; elements are trimmed.
    package func hasElement(
        _ name: String, separator: UInt8 = UInt8(ascii: ","), _ isWanted: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        fields.contains { field in
            field.name == name
                && field.value.withBytes { $0.pieces(separatedBy: separator).contains { isWanted($0.trimmed) } }
        }
    }
}

/// The refusal of a request: the status of the response and one line that says what was wrong.
package struct Refusal: Error, Equatable, Sendable {
    package var status: HTTPStatus
    package var reason: String
    /// Additional response fields, such as `Allow`.
    package var fields: [String]

    package init(_ status: HTTPStatus, _ reason: String, fields: [String] = []) {
        self.status = status
        self.reason = reason
        self.fields = fields
    }
}

/// The HTTP status codes this server answers with (RFC 9110, section 15; RFC 6585).
package enum HTTPStatus: Int, Sendable {
    case switchingProtocols = 101
    case ok = 200
    case notModified = 304
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case requestTimeout = 408
    case contentTooLarge = 413
    case misdirectedRequest = 421
    case upgradeRequired = 426
    case tooManyRequests = 429
    case requestHeaderFieldsTooLarge = 431
    case serviceUnavailable = 503
    case httpVersionNotSupported = 505

    /// The reason phrase of the status line.
    package var phrase: String {
        switch self {
        case .switchingProtocols: "Switching Protocols"
        case .ok: "OK"
        case .notModified: "Not Modified"
        case .badRequest: "Bad Request"
        case .unauthorized: "Unauthorized"
        case .forbidden: "Forbidden"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .requestTimeout: "Request Timeout"
        case .contentTooLarge: "Content Too Large"
        case .misdirectedRequest: "Misdirected Request"
        case .upgradeRequired: "Upgrade Required"
        case .tooManyRequests: "Too Many Requests"
        case .requestHeaderFieldsTooLarge: "Request Header Fields Too Large"
        case .serviceUnavailable: "Service Unavailable"
        case .httpVersionNotSupported: "HTTP Version Not Supported"
        }
    }
}

extension StringProtocol where SubSequence == Substring {
    /// The text without leading and trailing spaces and tabs (OWS of RFC 9110, section 5.6.3).
    package var trimmed: Substring {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        var rest = self[...].utf8.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return Substring(rest)
    }
}
