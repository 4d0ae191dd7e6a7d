/// Scans JSON text (RFC 8259) in one pass, checks it, and returns the positions of strings and values. It builds
/// nothing.
///
/// Strict: one value, no comments, no trailing commas, no control characters within strings, 64 levels at most.
struct JSONScanner {
    /// An error in the text, and its position.
    struct Malformed: Error {
        var position: Int
        var reason: StaticString
    }

    static let maximumDepth = 64

    let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    /// - Parameter position: the index of the first byte to scan.
    init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    var isAtEnd: Bool { position == bytes.count }

    /// The next byte; nil at the end.
    @inline(__always)
    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func malformed(_ reason: StaticString) -> Malformed { Malformed(position: position, reason: reason) }

    @inline(__always)
    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// Consumes this byte and the white space after it, if the byte is next; false if it isn't.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        skipSpace()
        return true
    }

    /// Consumes the string that begins here.
    mutating func string() throws(Malformed) -> JSONString {
        guard next == UInt8(ascii: "\"") else { throw malformed("a string is expected") }
        position += 1
        let start = position
        var isEscaped = false
        while true {
            skipPlain()
            guard let byte = next else { throw malformed("the string does not end") }
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return JSONString(range: start..<(position - 1), isEscaped: isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                try escape()
            default:
                throw malformed("a control character in a string must be escaped")
            }
        }
    }

    /// Skips bytes without a special meaning in a string, eight at a time.
    @inline(__always)
    private mutating func skipPlain() {
        while position + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let quotes = word ^ Self.repeated(0x22)
            let backslashes = word ^ Self.repeated(0x5C)
            // The highest bit is set in each byte that is a quote, a backslash, or below 0x20; above the first such
            // byte, it may also be set in others.
            let stops =
                ((quotes &- Self.repeated(0x01)) & ~quotes | (backslashes &- Self.repeated(0x01)) & ~backslashes
                    | (word &- Self.repeated(0x20)) & ~word) & Self.repeated(0x80)
            guard stops == 0 else {
                position += stops.trailingZeroBitCount / 8
                return
            }
            position += 8
        }
        while position < bytes.count {
            let byte = bytes[position]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return }
            position += 1
        }
    }

    @inline(__always)
    private static func repeated(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

    private mutating func escape() throws(Malformed) {
        position += 1
        switch next {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            for _ in 0..<4 {
                guard let byte = next, Self.isHexadecimal(byte) else {
                    throw malformed("\\u needs four hexadecimal digits")
                }
                position += 1
            }
        default:
            throw malformed("this escape does not exist")
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    /// Consumes the value that begins here, and returns its range.
    mutating func value() throws(Malformed) -> Range<Int> {
        let start = position
        /// A bit for each open level, the innermost the lowest: 1 for an object.
        var open: UInt64 = 0
        var depth = 0
        while true {
            // A value begins here.
            switch next {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth < Self.maximumDepth else { throw malformed("more than 64 levels of nesting") }
                let isObject = next == UInt8(ascii: "{")
                position += 1
                skipSpace()
                if next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    position += 1
                } else {
                    open = open << 1 | (isObject ? 1 : 0)
                    depth += 1
                    if isObject { try memberName() }
                    continue
                }
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "t"): try literal("true")
            case UInt8(ascii: "f"): try literal("false")
            case UInt8(ascii: "n"): try literal("null")
            case nil: throw malformed("the text ends where a value is expected")
            default: try number()
            }
            // A value has ended: close the levels that end with it.
            while true {
                guard depth > 0 else { return start..<position }
                skipSpace()
                let isObject = open & 1 == 1
                if take(UInt8(ascii: ",")) {
                    if isObject { try memberName() }
                    break
                }
                guard next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw malformed(isObject ? "a comma or } is expected" : "a comma or ] is expected")
                }
                position += 1
                open >>= 1
                depth -= 1
            }
        }
    }

    private mutating func memberName() throws(Malformed) {
        _ = try string()
        try colon()
    }

    /// Consumes the colon between a member's name and its value, and the white space around it.
    mutating func colon() throws(Malformed) {
        skipSpace()
        guard take(UInt8(ascii: ":")) else { throw malformed("a colon is expected") }
    }

    private mutating func literal(_ word: StaticString) throws(Malformed) {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count,
            bytes[position..<(position + count)].elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: count))
        else { throw malformed("a value is expected") }
        position += count
    }

    private mutating func number() throws(Malformed) {
        guard let first = next, first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else {
            throw malformed("a value is expected")
        }
        if next == UInt8(ascii: "-") { position += 1 }
        if next == UInt8(ascii: "0") { position += 1 } else { try digits() }
        if next == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
    }

    private mutating func digits() throws(Malformed) {
        guard let first = next, (0x30...0x39).contains(first) else { throw malformed("a digit is expected") }
        while let byte = next, (0x30...0x39).contains(byte) { position += 1 }
    }
}
