/// The head of an HTTP/1.1 request, parsed strictly (RFC 9112, sections 2 to 5).
package struct RequestHead: Sendable {
    package var method: String
    /// The path of the target, as sent: percent-encoding is kept. `*` for `OPTIONS *`.
    package var path: String
    /// What follows `?` in the target; nil without one.
    package var query: String?
    /// Field lines in their order; names in lower case, values without surrounding white space.
    package var fields: [(name: String, value: String)]

    /// Every value of a field, in order.
    package func values(_ name: String) -> [String] {
        fields.compactMap { $0.name == name ? $0.value : nil }
    }

    /// The value of a field that may appear only once; nil where it is absent.
    package func value(_ name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    /// The elements of a comma-separated list field over all its lines, trimmed, in lower case, empty ones left out.
    package func tokens(_ name: String) -> [String] {
        values(name).flatMap { value in
            value.utf8.split(separator: UInt8(ascii: ",")).map { element in
                String(decoding: Substring(element).trimmed.utf8.map(Self.lowercase), as: UTF8.self)
            }
        }.filter { !$0.isEmpty }
    }

    /// ASCII's alone: in Unicode the Kelvin sign becomes a k.
    private static func lowercase(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}

/// Why a request gets no further: the status to answer with and one line that says what was wrong.
package struct Refusal: Error, Equatable, Sendable {
    package var status: HTTPStatus
    package var reason: String
    /// Further response fields, such as `Allow`.
    package var fields: [String]

    package init(_ status: HTTPStatus, _ reason: String, fields: [String] = []) {
        self.status = status
        self.reason = reason
        self.fields = fields
    }
}
