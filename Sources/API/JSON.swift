internal import Channels
internal import FoundationEssentials
internal import NIOHTTP1

/// JSON encoding and decoding.
enum JSON {
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The values encoded here have no floating-point numbers that JSON can't represent.
        return (try? encoder.encode(value)).map(Array.init) ?? Array("{}".utf8)
    }

    /// Encodes an object with one more member, an array of JSON texts that are inserted unchanged, because decoding
    /// them would change numbers.
    ///
    /// - Parameter value: becomes an object with at least one member.
    static func encode(_ value: some Encodable, adding name: String, _ texts: [[UInt8]]) -> [UInt8] {
        var object = encode(value).dropLast()
        object += Array(",\"\(name)\":[".utf8)
        object += texts.joined(separator: [UInt8(ascii: ",")])
        object += Array("]}".utf8)
        return Array(object)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}

/// A JSON object with the original text of its members.
struct JSONMembers {
    /// The maximum nesting of objects and arrays: 64 levels in a member, and the object around it.
    private static let maximumDepth = 65
    /// The maximum size of a number, or of true, false or null. Anything longer would be decoded in vain, and take much
    /// more memory than its text.
    private static let maximumScalarByteCount = 64

    private let members: [String: [UInt8]]

    /// - Parameter known: all members that are allowed.
    init(_ body: [UInt8], known: Set<String>) throws(Problem) {
        switch MemberReader.members(of: body, among: known) {
        case .allowed(let members)?: self.members = members
        case .unknown(let name)?:
            throw Problem(
                .badRequest,
                "unknown member \"\(name.prefix(64))\"; there are \(known.sorted().joined(separator: ", "))")
        case nil:
            let depth = Self.depth(of: body)
            guard depth <= Self.maximumDepth else {
                throw Problem(.badRequest, "the JSON is \(depth) levels deep; it may be \(Self.maximumDepth)")
            }
            throw Problem(.badRequest, "the body must be one JSON object in UTF-8, each member once")
        }
    }

    /// A member's text.
    func text(_ name: String) -> [UInt8]? { members[name] }

    /// A number, true or false, that may be left out or null.
    func optional<Value: Decodable>(_ name: String, _ type: Value.Type, _ kind: String) throws(Problem) -> Value? {
        guard let text = members[name], text != Array("null".utf8) else { return nil }
        // The value is put into an array, because not every decoder accepts a single value.
        guard text.count <= Self.maximumScalarByteCount,
            let value = JSON.decode([Value].self, from: [UInt8(ascii: "[")] + text + [UInt8(ascii: "]")])?.first
        else {
            throw Problem(.badRequest, "\"\(name)\" must be \(kind)")
        }
        return value
    }

    /// A string that may be left out or null.
    func string(_ name: String, _ kind: String) throws(Problem) -> String? {
        guard let text = members[name], text != Array("null".utf8) else { return nil }
        guard let value = Self.string(text) else { throw Problem(.badRequest, "\"\(name)\" must be \(kind)") }
        return value
    }

    /// A member that selects recipients. It may be left out, but null is an error, because it usually comes from a
    /// variable that was never set.
    func present(_ name: String, _ kind: String) throws(Problem) -> [UInt8]? {
        guard let text = members[name] else { return nil }
        guard text != Array("null".utf8) else {
            throw Problem(.badRequest, "\"\(name)\" must be \(kind), not null; leave it out if you mean none")
        }
        return text
    }

    /// A string that selects recipients.
    func choice(_ name: String, _ kind: String) throws(Problem) -> String? {
        guard try present(name, kind) != nil else { return nil }
        return try string(name, kind)
    }

    /// Strings that select recipients.
    func choices(_ name: String, _ kind: String, atMost most: Int) throws(Problem) -> [String]? {
        guard try present(name, kind) != nil else { return nil }
        let values = try elements(name, kind, atMost: most).map { Self.string($0) }
        guard !values.contains(nil) else { throw Problem(.badRequest, "\"\(name)\" must be \(kind)") }
        return values.compactMap { $0 }
    }

    /// The texts of an array's elements.
    func elements(_ name: String, _ kind: String, atMost most: Int) throws(Problem) -> [[UInt8]] {
        guard let text = members[name], let (first, count) = MemberReader.elements(of: text, atMost: most) else {
            throw Problem(.badRequest, "\"\(name)\" must be \(kind)")
        }
        guard count <= most else { throw Problem(.badRequest, "\(count) \(name); there may be \(most)") }
        return first
    }

    /// Whether everybody is selected.
    func all() throws(Problem) -> Bool {
        guard try present("all", "true or false") != nil else { return false }
        return try optional("all", Bool.self, "true or false") ?? false
    }

    /// The value of a JSON string; nil for anything else, and for a string with half of a surrogate pair, which is not
    /// text.
    private static func string(_ text: [UInt8]) -> String? {
        guard let value = MemberReader.string(of: text) else { return nil }
        // The decoder replaces half of a surrogate pair by U+FFFD, which may also be in the text itself.
        guard value.unicodeScalars.contains("\u{FFFD}"), text.contains(UInt8(ascii: "\\")) else { return value }
        return JSON.decode([String].self, from: [UInt8(ascii: "[")] + text + [UInt8(ascii: "]")])?.first
    }

    /// The depth of nesting, whatever else is wrong with the text.
    private static func depth(of text: [UInt8]) -> Int {
        var (depth, deepest) = (0, 0)
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isInString {
                if !isEscaped, byte == UInt8(ascii: "\"") { isInString = false }
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        return deepest
    }
}
