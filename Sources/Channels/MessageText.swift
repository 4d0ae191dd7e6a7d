import Base

/// JSON text that is written piece by piece into one buffer, which is reused.
package struct MessageText {
    package private(set) var bytes: [UInt8] = []
    private var clock = TimeText()

    package init() {}

    /// The text as a JSON string.
    package init(quoting text: String) { append(string: text) }

    /// Empties the buffer.
    package mutating func removeAll(keepingCapacity: Bool) { bytes.removeAll(keepingCapacity: keepingCapacity) }

    package mutating func removeLast() { bytes.removeLast() }

    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes(body)
    }

    /// Appends text that is JSON already.
    package mutating func append(_ literal: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    package mutating func append(raw text: String) { bytes.append(contentsOf: text.utf8) }

    package mutating func append(raw other: [UInt8]) { bytes.append(contentsOf: other) }

    package mutating func append(raw other: UnsafeRawBufferPointer) { bytes.append(contentsOf: other) }

    package mutating func append(_ number: UInt64) {
        var digits: InlineArray<20, UInt8> = .init(repeating: 0)
        var count = 0
        var rest = number
        repeat {
            digits[count] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
            count += 1
        } while rest > 0
        for index in (0..<count).reversed() { bytes.append(digits[index]) }
    }

    /// Appends a string with its quotes (RFC 8259, section 7); quotes, backslashes and control characters are escaped.
    package mutating func append(string: String) {
        var string = string
        string.withUTF8 { append(string: UnsafeRawBufferPointer($0)) }
    }

    /// Appends bytes that are UTF-8 as a string, in the same way.
    package mutating func append(string utf8: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        var start = 0
        while true {
            let stop = Self.endOfPlain(utf8, from: start)
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: utf8[start..<stop]))
            guard stop < utf8.count else { break }
            appendEscape(of: utf8[stop])
            start = stop + 1
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// The index of the first byte from `start` on that has to be escaped, or the end.
    ///
    /// Eight bytes are looked at together: a history is said again for everyone who missed it.
    private static func endOfPlain(_ utf8: UnsafeRawBufferPointer, from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs = ones << 7
        var index = start
        while utf8.count - index >= 8 {
            let word = utf8.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let quotes = word ^ ones &* UInt64(UInt8(ascii: "\""))
            let backslashes = word ^ ones &* UInt64(UInt8(ascii: "\\"))
            // The highest bit of a byte is set where the byte is less than 0x20, or zero.
            let controls = (word &- ones &* 0x20) & ~word
            let matches = ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)
            guard (controls | matches) & highs == 0 else { break }
            index += 8
        }
        while index < utf8.count, !needsEscape(utf8[index]) { index += 1 }
        return index
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func appendEscape(of byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case UInt8(ascii: "\n"): append("\\n")
        case UInt8(ascii: "\r"): append("\\r")
        case UInt8(ascii: "\t"): append("\\t")
        default:
            append("\\u00")
            let digits: StaticString = "0123456789abcdef"
            bytes.append(digits.utf8Start[Int(byte >> 4)])
            bytes.append(digits.utf8Start[Int(byte & 0xF)])
        }
    }

    /// Appends a time as a string: RFC 3339, UTC, milliseconds.
    ///
    /// - Parameter time: milliseconds since 1970, up to the year 9999.
    package mutating func append(time: Int64) {
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: clock.text(of: time))
        bytes.append(UInt8(ascii: "\""))
    }
}
