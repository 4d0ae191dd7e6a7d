/// A point in time, to the millisecond. Its text, in JSON too, is that of ``RFC3339``.
package struct Timestamp: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package var millisecondsSinceEpoch: Int64

    package init(millisecondsSinceEpoch: Int64) { self.millisecondsSinceEpoch = millisecondsSinceEpoch }

    /// Parses a text; nil for anything but that of a time.
    package init?(_ text: String) {
        guard let time = RFC3339.millisecondsSinceEpoch(text) else { return nil }
        millisecondsSinceEpoch = time
    }

    package static func < (one: Timestamp, other: Timestamp) -> Bool {
        one.millisecondsSinceEpoch < other.millisecondsSinceEpoch
    }

    package var description: String { RFC3339.string(millisecondsSinceEpoch: millisecondsSinceEpoch) }

    package init(from decoder: any Decoder) throws { self = try decoder.text { Timestamp($0) } }

    package func encode(to encoder: any Encoder) throws { try encoder.encode(text: description) }
}

extension IPAddress: Codable {
    package init(from decoder: any Decoder) throws {
        self = try decoder.text { $0 == IPAddress.none.description ? IPAddress.none : IPAddress($0) }
    }

    package func encode(to encoder: any Encoder) throws { try encoder.encode(text: description) }
}

extension ConnectionID: Codable {
    package init(from decoder: any Decoder) throws { self = try decoder.text { ConnectionID($0) } }

    package func encode(to encoder: any Encoder) throws { try encoder.encode(text: description) }
}

extension Decoder {
    /// Decodes a value that is a string.
    fileprivate func text<Value>(_ parse: (String) -> Value?) throws -> Value {
        let container = try singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = parse(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no \(Value.self): \(text)")
        }
        return value
    }
}

extension Encoder {
    fileprivate func encode(text: String) throws {
        var container = singleValueContainer()
        try container.encode(text)
    }
}
