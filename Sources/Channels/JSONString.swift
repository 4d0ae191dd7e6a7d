import Glibc

/// A string within a JSON text: the range between its quotes. Nothing is copied until the text is requested.
package struct JSONString: Equatable, Sendable {
    package var range: Range<Int>
    /// Whether the string is written with escapes.
    package var isEscaped: Bool

    package init(range: Range<Int>, isEscaped: Bool) {
        self.range = range
        self.isEscaped = isEscaped
    }

    /// The maximum number of bytes of JSON for one byte of text: `\u0041`.
    private static let mostBytesForOne = 6

    /// The text, or its first `limit` bytes. An escape for a lone surrogate becomes U+FFFD.
    package func text(in bytes: UnsafeRawBufferPointer, limit: Int = .max) -> String {
        var utf8: [UInt8] = []
        forEachPiece(in: bytes) { piece in
            utf8.append(contentsOf: piece.prefix(limit - utf8.count))
            return utf8.count < limit
        }
        return String(decoding: utf8, as: UTF8.self)
    }

    /// Whether the text is `other`, byte for byte. It compares while decoding, and stops at the first difference.
    package func equals(_ other: String, in bytes: UnsafeRawBufferPointer) -> Bool {
        var other = other
        return other.withUTF8 { wanted in
            guard mayHave(byteCount: wanted.count) else { return false }
            var position = 0
            let isSame = forEachPiece(in: bytes) { piece in
                guard piece.count <= wanted.count - position,
                    piece.elementsEqual(wanted[position..<(position + piece.count)])
                else { return false }
                position += piece.count
                return true
            }
            return isSame && position == wanted.count
        }
    }

    /// The text as a number, its first byte the lowest, and its length in bytes; nil if it is longer than eight bytes.
    func word(in bytes: UnsafeRawBufferPointer) -> (value: UInt64, byteCount: Int)? {
        var (value, count) = (UInt64(0), 0)
        guard isEscaped else {
            guard range.count <= 8 else { return nil }
            for index in range {
                value |= UInt64(bytes[index]) << (8 * count)
                count += 1
            }
            return (value, count)
        }
        guard range.count <= 8 * Self.mostBytesForOne else { return nil }
        let isWhole = forEachPiece(in: bytes) { piece in
            guard count + piece.count <= 8 else { return false }
            for byte in piece {
                value |= UInt64(byte) << (8 * count)
                count += 1
            }
            return true
        }
        return isWhole ? (value, count) : nil
    }

    /// Whether the text has a control character in it (general category Cc: U+0000 to U+001F, U+007F to U+009F).
    func hasControls(in bytes: UnsafeRawBufferPointer) -> Bool {
        // No scalar is split between two pieces.
        !forEachPiece(in: bytes) { piece in
            var last: UInt8 = 0
            for byte in piece {
                if byte < 0x20 || byte == 0x7F || last == 0xC2 && byte < 0xA0 { return false }
                last = byte
            }
            return true
        }
    }

    /// The length of the text in bytes, or some number above `limit` if it is longer. It stops decoding beyond `limit`.
    package func byteCount(in bytes: UnsafeRawBufferPointer, limit: Int) -> Int {
        guard isEscaped else { return range.count }
        guard range.count / Self.mostBytesForOne <= limit else { return .max }
        var count = 0
        forEachPiece(in: bytes) { piece in
            count += piece.count
            return count <= limit
        }
        return count
    }

    /// Whether this string's bytes can be the JSON of a text of `byteCount` bytes.
    private func mayHave(byteCount: Int) -> Bool {
        isEscaped
            ? byteCount < range.count && range.count <= byteCount * Self.mostBytesForOne : byteCount == range.count
    }

    /// Passes the text to `body` in pieces, each a run without escapes or one decoded escape, until it returns false.
    /// Returns whether it never did.
    @discardableResult
    private func forEachPiece(
        in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        var index = range.lowerBound
        while index < range.upperBound {
            let stop = isEscaped ? Self.nextEscape(bytes, index..<range.upperBound) : range.upperBound
            if stop > index {
                guard body(UnsafeRawBufferPointer(rebasing: bytes[index..<stop])) else { return false }
                index = stop
                continue
            }
            let (scalar, end) = escape(in: bytes, at: index)
            index = end
            let goesOn = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4) { piece in
                var count = 0
                for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                    piece[count] = byte
                    count += 1
                }
                return body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(piece)[..<count]))
            }
            guard goesOn else { return false }
        }
        return true
    }

    /// The index of the next backslash; the end of the range without one.
    static func nextEscape(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int {
        guard let base = bytes.baseAddress,
            let found = memchr(base + range.lowerBound, Int32(UInt8(ascii: "\\")), range.count)
        else { return range.upperBound }
        return UnsafeRawPointer(found) - base
    }

    /// The scalar of the escape at an index, and the end of the escape. The scanner has checked its form.
    private func escape(in bytes: UnsafeRawBufferPointer, at index: Int) -> (Unicode.Scalar, end: Int) {
        guard bytes[index + 1] == UInt8(ascii: "u") else {
            return (Unicode.Scalar(Self.plain(bytes[index + 1])), index + 2)
        }
        let unit = Self.unit(bytes, at: index + 2)
        guard UTF16.isLeadSurrogate(unit), let trail = trailSurrogate(in: bytes, at: index + 6) else {
            return (Unicode.Scalar(unit) ?? "\u{FFFD}", index + 6)
        }
        let value = 0x10000 + (UInt32(unit) & 0x3FF) << 10 + (UInt32(trail) & 0x3FF)
        return (Unicode.Scalar(value) ?? "\u{FFFD}", index + 12)
    }

    /// The second half of a surrogate pair, if its escape begins at an index; nil otherwise.
    private func trailSurrogate(in bytes: UnsafeRawBufferPointer, at index: Int) -> UInt16? {
        guard index + 6 <= range.upperBound, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
        else { return nil }
        let unit = Self.unit(bytes, at: index + 2)
        return UTF16.isTrailSurrogate(unit) ? unit : nil
    }

    /// Whether the string has an escape for half a surrogate pair without the other half.
    func hasLoneSurrogate(in bytes: UnsafeRawBufferPointer) -> Bool {
        guard isEscaped else { return false }
        var index = range.lowerBound
        while true {
            index = Self.nextEscape(bytes, index..<range.upperBound)
            guard index < range.upperBound else { return false }
            let (scalar, end) = escape(in: bytes, at: index)
            // U+FFFD itself may be written as an escape, too.
            if scalar == "\u{FFFD}", Self.unit(bytes, at: index + 2) != 0xFFFD { return true }
            index = end
        }
    }

    /// The value of the four hexadecimal digits at an index, which the scanner has checked.
    private static func unit(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UInt16 {
        bytes[index..<(index + 4)].reduce(0) { unit, byte in
            unit << 4 | UInt16(byte <= UInt8(ascii: "9") ? byte &- 0x30 : (byte | 0x20) &- 0x57)
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
