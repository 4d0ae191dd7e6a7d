internal import FoundationEssentials
internal import NIOHTTP1
internal import Rooms

/// JSON in and out.
enum JSON {
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // What is sent here has no floating-point numbers that JSON can't have.
        return (try? encoder.encode(value)).map(Array.init) ?? Array("{}".utf8)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}

/// A JSON object with the text of its members as it came.
struct JSONMembers {
    private let members: [String: [UInt8]]

    /// - Parameter known: every member that there may be.
    init(_ body: [UInt8], known: Set<String>) throws(Problem) {
        guard let members = MemberReader.members(of: body) else {
            throw Problem(.badRequest, "the body must be one JSON object, each member once")
        }
        if let unknown = members.keys.filter({ !known.contains($0) }).min() {
            throw Problem(
                .badRequest,
                "unknown member \"\(unknown.prefix(64))\"; there are \(known.sorted().joined(separator: ", "))")
        }
        self.members = members
    }

    /// A member's text.
    func text(_ name: String) -> [UInt8]? { members[name] }

    /// A member that may be left out, or null.
    func optional<Value: Decodable>(_ name: String, _ type: Value.Type, _ kind: String) throws(Problem) -> Value? {
        guard let text = members[name], text != Array("null".utf8) else { return nil }
        // An array around it: not every decoder takes a value by itself.
        guard let value = JSON.decode([Value].self, from: [UInt8(ascii: "[")] + text + [UInt8(ascii: "]")])?.first
        else {
            throw Problem(.badRequest, "\"\(name)\" must be \(kind)")
        }
        return value
    }

    /// A string that may be left out, or null.
    func string(_ name: String, _ kind: String) throws(Problem) -> String? {
        guard let text = members[name], text != Array("null".utf8) else { return nil }
        guard let value = MemberReader.string(of: text) else {
            throw Problem(.badRequest, "\"\(name)\" must be \(kind)")
        }
        return value
    }
}
