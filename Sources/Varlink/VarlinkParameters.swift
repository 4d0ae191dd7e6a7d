/// The parameters of a method: a struct with known coding keys, so that an unknown parameter is refused rather than
/// ignored. `{"fitler": …}` must not kick everybody.
package protocol VarlinkParameters: Codable, Sendable {
    /// The names of all parameters.
    associatedtype CodingKeys: CodingKey & CaseIterable
}

/// The parameters of a method that has none, and the reply of one that returns nothing.
package struct NoParameters: VarlinkParameters, Hashable {
    package enum CodingKeys: CodingKey, CaseIterable {}

    /// Nothing.
    package init() {}

    package init(from decoder: any Decoder) throws {
        // Nothing is decoded, but it must be an object.
        _ = try decoder.container(keyedBy: CodingKeys.self)
    }

    package func encode(to encoder: any Encoder) throws {
        // A container without members encodes `{}`.
        _ = encoder.container(keyedBy: CodingKeys.self)
    }
}

/// Parameters that are refused if they contain a name unknown to their type.
struct StrictParameters<Parameters: VarlinkParameters>: Decodable {
    let value: Parameters

    init(from decoder: any Decoder) throws {
        try decoder.rejectUnknownKeys(besides: Parameters.CodingKeys.self)
        value = try Parameters(from: decoder)
    }
}

extension Decoder {
    /// Throws if the object being decoded has a member besides the keys of `known`: for structs inside parameters,
    /// which call it first in their `init(from:)`. The parameters themselves are checked already.
    package func rejectUnknownKeys<Known: CodingKey & CaseIterable>(besides known: Known.Type) throws {
        let names = Set(Known.allCases.map(\.stringValue))
        let present = try container(keyedBy: AnyKey.self).allKeys
        // The first by name, so that the same mistake always gives the same answer.
        let strangers = present.filter { !names.contains($0.stringValue) }
        guard let unknown = strangers.min(by: { $0.stringValue < $1.stringValue }) else { return }
        throw DecodingError.dataCorrupted(
            DecodingError.Context(codingPath: codingPath + [unknown], debugDescription: "unknown parameter")
        )
    }
}

/// A key with any name.
private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension DecodingError {
    /// The position of the mistake in the parameters in the usual notation, such as `filter.ip` or `filter.ids[2]`,
    /// without the leading `parameters`; the parameters as a whole are called just that.
    var parameterName: String {
        let path: [any CodingKey] =
            switch self {
            case .keyNotFound(let key, let context): context.codingPath + [key]
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                context.codingPath
            @unknown default: []
            }
        var name = ""
        for key in path.dropFirst() {
            if let index = key.intValue {
                name += "[\(index)]"
            } else {
                name += name.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return name.isEmpty ? VarlinkCall.wholeName : name
    }
}
