import Base

/// JSON text that is written piece by piece into one buffer, which is reused.
package struct MessageText {
    package private(set) var bytes: [UInt8] = []
    private var clock = TimeText()

    package init() {}

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
        var rest = utf8[...]
        while let stop = rest.firstIndex(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            bytes.append(contentsOf: rest[..<stop])
            appendEscape(of: utf8[stop])
            rest = rest[(stop + 1)...]
        }
        bytes.append(contentsOf: rest)
        bytes.append(UInt8(ascii: "\""))
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
