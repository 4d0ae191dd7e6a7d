package import FoundationEssentials

/// Encodes calls and replies as messages: one JSON object and a NUL.
package enum VarlinkMessage {
    /// A call of `method`. Flags that are false are left out, as every client does.
    package static func call(
        _ method: String,
        _ parameters: some Encodable,
        more: Bool = false,
        oneway: Bool = false,
        client: ClientClaim? = nil
    ) throws -> Data {
        try terminated(
            CallBody(
                method: method, parameters: parameters, more: more ? true : nil, oneway: oneway ? true : nil,
                client: client)
        )
    }

    /// A reply; `continues` says that further replies to the same call follow.
    package static func reply(_ parameters: some Encodable, continues: Bool = false) throws -> Data {
        try terminated(ReplyBody(parameters: parameters, continues: continues ? true : nil))
    }

    /// The reply to a call that failed.
    package static func reply(_ error: VarlinkError) throws -> Data {
        try terminated(ErrorBody(error: error.name, parameters: error.parameters))
    }

    private static func terminated(_ body: some Encodable) throws -> Data {
        var message = try VarlinkJSON.encode(body)
        message.append(0)
        return message
    }

    private struct CallBody<Parameters: Encodable>: Encodable {
        let method: String
        let parameters: Parameters
        let more: Bool?
        let oneway: Bool?
        let client: ClientClaim?

        enum CodingKeys: String, CodingKey {
            case method, parameters, more, oneway
            case client = "io.wsd.client"
        }
    }

    private struct ReplyBody<Parameters: Encodable>: Encodable {
        let parameters: Parameters
        let continues: Bool?
    }

    private struct ErrorBody: Encodable {
        let error: String
        let parameters: [String: VarlinkValue]
    }
}

/// One reply to a call, with parameters of a known type: the result, or the error.
package struct VarlinkReply<Parameters: Decodable>: Decodable {
    /// The method's result, or its error.
    package let result: Result<Parameters, VarlinkError>
    /// Whether further replies to the same call follow.
    package let continues: Bool

    private enum CodingKeys: CodingKey {
        case parameters, continues, error
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        continues = try container.decodeIfPresent(Bool.self, forKey: .continues) ?? false
        if let name = try container.decodeIfPresent(String.self, forKey: .error) {
            let parameters = try container.decodeIfPresent([String: VarlinkValue].self, forKey: .parameters)
            result = .failure(VarlinkError(name: name, parameters: parameters ?? [:]))
        } else if let parameters = try container.decodeIfPresent(Parameters.self, forKey: .parameters) {
            result = .success(parameters)
        } else {
            result = .success(try VarlinkJSON.decode(Parameters.self, from: Array("{}".utf8)))
        }
    }
}

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

/// The full name of a method or an error, split at its last dot: `io.wsd.Control.Kick` is `Kick` of `io.wsd.Control`.
package struct MethodName: Sendable, Hashable {
    /// The interface, such as `io.wsd.Control`.
    package let interface: String
    /// The member, such as `Kick`.
    package let member: String

    /// A name of a known interface.
    package init(interface: String, member: String) {
        self.interface = interface
        self.member = member
    }

    /// Splits a full name; nil if it has no dot, or nothing on one side of its last dot.
    package init?(_ fullName: String) {
        guard let dot = fullName.lastIndex(of: ".") else { return nil }
        let interface = fullName[..<dot]
        let member = fullName[fullName.index(after: dot)...]
        guard !interface.isEmpty, !member.isEmpty else { return nil }
        self.interface = String(interface)
        self.member = String(member)
    }
}

extension MethodName: CustomStringConvertible {
    package var description: String { "\(interface).\(member)" }
}
