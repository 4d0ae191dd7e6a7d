/// A string within a JSON text: the range between its quotes. Nothing of it is copied until its text is asked for.
package struct JSONString: Equatable, Sendable {
    package var range: Range<Int>
    /// Whether it is written with escapes.
    package var isEscaped: Bool

    package init(range: Range<Int>, isEscaped: Bool) {
        self.range = range
        self.isEscaped = isEscaped
    }

    /// Its text. What stands for a lone surrogate becomes U+FFFD.
    package func text(in bytes: UnsafeRawBufferPointer) -> String {
        guard isEscaped else { return String(decoding: bytes[range], as: UTF8.self) }
        var units: [UInt16] = []
        var utf8: [UInt8] = []
        var index = range.lowerBound
        func flush() {
            utf8.append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
            units.removeAll()
        }
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\") else {
                flush()
                utf8.append(bytes[index])
                index += 1
                continue
            }
            if bytes[index + 1] == UInt8(ascii: "u") {
                units.append(Self.unit(bytes, at: index + 2))
                index += 6
            } else {
                flush()
                utf8.append(Self.plain(bytes[index + 1]))
                index += 2
            }
        }
        flush()
        return String(decoding: utf8, as: UTF8.self)
    }

    /// Whether it is this text; without a copy where it has no escapes.
    package func equals(_ other: String, in bytes: UnsafeRawBufferPointer) -> Bool {
        guard !isEscaped else { return Name(text(in: bytes)) == Name(other) }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[range])
        guard other.utf8.count == slice.count else { return false }
        return other.utf8.withContiguousStorageIfAvailable { slice.elementsEqual($0) }
            ?? slice.elementsEqual(other.utf8)
    }

    /// Whether it has an escape for half a surrogate pair without the other half.
    func hasLoneSurrogate(in bytes: UnsafeRawBufferPointer) -> Bool {
        guard isEscaped else { return false }
        var index = range.lowerBound
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            guard bytes[index + 1] == UInt8(ascii: "u") else {
                index += 2
                continue
            }
            let unit = Self.unit(bytes, at: index + 2)
            index += 6
            guard UTF16.isLeadSurrogate(unit) || UTF16.isTrailSurrogate(unit) else { continue }
            guard UTF16.isLeadSurrogate(unit), index + 6 <= range.upperBound, bytes[index] == UInt8(ascii: "\\"),
                bytes[index + 1] == UInt8(ascii: "u"), UTF16.isTrailSurrogate(Self.unit(bytes, at: index + 2))
            else { return true }
            index += 6
        }
        return false
    }

    /// The four hexadecimal digits at an index, which the scanner has checked.
    private static func unit(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UInt16 {
        bytes[index..<(index + 4)].reduce(0) { unit, byte in
            unit << 4 | UInt16(byte <= UInt8(ascii: "9") ? byte - 0x30 : (byte | 0x20) - 0x57)
        }
    }

    private static func plain(_ escape: UInt8) -> UInt8 {
        switch escape {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: escape
        }
    }
}
