/// Reads a request in one pass over its frame.
package enum RequestReader {
    /// Reads the bytes of one text message.
    package static func read(_ bytes: UnsafeRawBufferPointer) -> Result<Request, RequestError> {
        var members = Members()
        do throws(JSONScanner.Malformed) {
            try scan(bytes, &members)
        } catch {
            let message = "this is not JSON: \(error.reason), at byte \(error.position)"
            return .failure(RequestError(code: .badJSON, message: message))
        }
        do throws(RequestError) {
            return .success(try interpret(members, bytes))
        } catch {
            var error = error
            // A valid id is returned with any error, so that the client can match it to its request.
            error.id = members[.id].flatMap { isID($0, bytes) ? $0 : nil }
            return .failure(error)
        }
    }

    /// Whether the bytes are one JSON value, with or without white space around it.
    package static func isJSONValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var scanner = JSONScanner(bytes)
        scanner.skipSpace()
        guard (try? scanner.value()) != nil else { return false }
        scanner.skipSpace()
        return scanner.isAtEnd
    }

    /// The members that have a meaning in a request.
    enum Member: Int, CaseIterable {
        case type, channel, id, data, since, limit, before, token

        var name: String { "\(self)" }

        /// The member with this name; nil for a name without a meaning. Every name is looked up, so this is quick: the
        /// length and the first byte leave one candidate.
        @inline(__always)
        init?(_ name: JSONString, _ bytes: UnsafeRawBufferPointer) {
            guard let word = name.word(in: bytes) else { return nil }
            let member: Self
            switch (word.byteCount, UInt8(truncatingIfNeeded: word.value)) {
            case (2, UInt8(ascii: "i")): member = .id
            case (4, UInt8(ascii: "t")): member = .type
            case (4, UInt8(ascii: "d")): member = .data
            case (5, UInt8(ascii: "s")): member = .since
            case (5, UInt8(ascii: "l")): member = .limit
            case (5, UInt8(ascii: "t")): member = .token
            case (6, UInt8(ascii: "b")): member = .before
            case (7, UInt8(ascii: "c")): member = .channel
            default: return nil
            }
            guard word.value == RequestReader.word(member.text) else { return nil }
            self = member
        }

        private var text: StaticString {
            switch self {
            case .type: "type"
            case .channel: "channel"
            case .id: "id"
            case .data: "data"
            case .since: "since"
            case .limit: "limit"
            case .before: "before"
            case .token: "token"
            }
        }
    }

    /// A text of up to eight bytes as the number that `JSONString.word` returns.
    @inline(__always)
    static func word(_ text: StaticString) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<text.utf8CodeUnitCount { value |= UInt64(text.utf8Start[index]) << (8 * index) }
        return value
    }

    /// The ranges of the members' values.
    struct Members {
        private var ranges = InlineArray<8, Range<Int>?>(repeating: nil)
        /// The first member that is there twice.
        var repeated: Member?
        /// Whether the text is an object.
        var isObject = false

        subscript(member: Member) -> Range<Int>? {
            get { ranges[member.rawValue] }
            set {
                if ranges[member.rawValue] != nil, repeated == nil { repeated = member }
                ranges[member.rawValue] = newValue
            }
        }
    }

    private static func scan(_ bytes: UnsafeRawBufferPointer, _ members: inout Members) throws(JSONScanner.Malformed) {
        var scanner = JSONScanner(bytes)
        scanner.skipSpace()
        if scanner.next == UInt8(ascii: "{") {
            members.isObject = true
            _ = scanner.take(UInt8(ascii: "{"))
            if !scanner.take(UInt8(ascii: "}")) { try scanMembers(&scanner, &members) }
        } else {
            _ = try scanner.value()
        }
        scanner.skipSpace()
        guard scanner.isAtEnd else {
            throw JSONScanner.Malformed(position: scanner.position, reason: "nothing may follow the object")
        }
    }

    private static func scanMembers(
        _ scanner: inout JSONScanner, _ members: inout Members
    ) throws(JSONScanner.Malformed) {
        while true {
            let name = try scanner.string()
            try scanner.colon()
            let value = try scanner.value()
            if let member = Member(name, scanner.bytes) { members[member] = value }
            scanner.skipSpace()
            if scanner.take(UInt8(ascii: ",")) { continue }
            guard scanner.take(UInt8(ascii: "}")) else {
                throw JSONScanner.Malformed(position: scanner.position, reason: "a comma or } is expected")
            }
            return
        }
    }

    /// The value at a range as a string; nil if it is not a string.
    static func string(_ range: Range<Int>?, _ bytes: UnsafeRawBufferPointer) -> JSONString? {
        guard let range, bytes[range.lowerBound] == UInt8(ascii: "\"") else { return nil }
        let inner = (range.lowerBound + 1)..<(range.upperBound - 1)
        return JSONString(range: inner, isEscaped: JSONString.nextEscape(bytes, inner) < inner.upperBound)
    }

    /// The value at a range as a whole number; nil if it is not one from 0 to 2^53 - 1.
    static func wholeNumber(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard range.count <= 16 else { return nil }
        var number: UInt64 = 0
        for byte in bytes[range] {
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number * 10 + UInt64(byte - 0x30)
        }
        return number < 1 << 53 ? number : nil
    }

    /// Whether a value can be an id: a string of 1 to 64 bytes without control characters, or a whole number.
    static func isID(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Bool {
        if let string = string(range, bytes) {
            return (1...64).contains(string.byteCount(in: bytes, limit: 64)) && !string.hasLoneSurrogate(in: bytes)
                && !string.hasControls(in: bytes)
        }
        let digits = bytes[range.lowerBound] == UInt8(ascii: "-") ? range.dropFirst() : range
        return wholeNumber(digits, bytes) != nil
    }
}
