import NIOCore

/// A value that Redis sends, in RESP2 or RESP3.
enum RESPValue: Equatable, Sendable {
    /// A simple, bulk or verbatim string, which shares the bytes of what was read.
    case string(ByteBuffer)
    case error(RedisError)
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
    /// A number of more than 64 bits, in digits.
    case bigNumber(String)
    case null
    case array([RESPValue])
    case set([RESPValue])
    /// Keys and values, alternating.
    case map([RESPValue])
    /// What Redis sends without having been asked.
    case push([RESPValue])

    /// The text of a string; nil for anything else.
    var text: String? {
        guard case .string(let bytes) = self else { return nil }
        return String(buffer: bytes)
    }

    var bytes: ByteBuffer? {
        guard case .string(let bytes) = self else { return nil }
        return bytes
    }

    /// The value of an integer, or of a string of digits.
    var number: Int64? {
        switch self {
        case .integer(let number): number
        case .string(let bytes): Int64(String(buffer: bytes))
        default: nil
        }
    }

    /// The number where only one that is not negative makes sense.
    var count: UInt64? { number.flatMap { UInt64(exactly: $0) } }

    /// The elements of an aggregate; nil for anything else.
    var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .set(let elements), .map(let elements), .push(let elements): elements
        default: nil
        }
    }

    /// The value for a key of a map, or of an array in which keys and values alternate.
    subscript(key: String) -> RESPValue? {
        guard let elements else { return nil }
        for index in stride(from: 0, to: elements.count - 1, by: 2) where elements[index].text == key {
            return elements[index + 1]
        }
        return nil
    }
}

/// An error that Redis answered.
struct RedisError: Error, Equatable, Sendable {
    /// Its code, such as `WRONGPASS`.
    var code: String
    /// All of it.
    var text: String

    /// An error from its text. Redis 6 wraps the error of a command within a script; the code is that of the command.
    init(_ text: String) {
        self.text = text
        code = String(text.prefix { $0 != " " })
        guard code == "ERR" else { return }
        if let inner = text.firstRange(of: ": -"), text.contains("script") {
            let word = text[inner.upperBound...].prefix { $0 != " " }
            if word.allSatisfy({ $0.isUppercase }) { code = String(word) }
        }
        // What scripts are not allowed to do has no code of its own.
        if text.contains("executing the script can't") || text.contains("ACL failure in script") { code = "NOPERM" }
    }

    /// Whether the same command may succeed a little later.
    var isTransient: Bool {
        switch code {
        case "BUSY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "MASTERDOWN", "OOM", "NOREPLICAS", "MISCONF",
            "UNKILLABLE":
            true
        default: false
        }
    }

    /// Whether the server did not even begin with the script. What a script has written before it fails remains.
    var isBeforeScript: Bool { code == "NOPERM" && !text.contains("script") }

    /// Whether nothing that is written will be taken until somebody changes something at the server.
    var isFault: Bool {
        switch code {
        case "OOM", "NOPERM", "NOAUTH", "READONLY", "MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN": true
        default: false
        }
    }
}
