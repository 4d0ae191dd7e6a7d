package import FoundationEssentials

/// Encodes and decodes JSON, in one way for all.
package enum VarlinkJSON {
    /// Decodes one value.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// Encodes one value on one line, with members in alphabetical order, so that the same value is always the same
    /// text.
    package static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }

    /// The error in a message, for a line of the log.
    package static func reason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .keyNotFound(let key, _):
            return "no '\(key.stringValue)'"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "not an object" : "'\(path)' has the wrong type"
        case .dataCorrupted:
            return "not JSON"
        @unknown default:
            return "not understood"
        }
    }
}
