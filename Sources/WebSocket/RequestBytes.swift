/// Functions that read a request byte by byte, in place. Its keywords are ASCII, and it may be 16 KiB of any bytes;
/// `Character` and a copy of each part would cost a hundred times as much.
extension UnsafeRawBufferPointer {
    /// The bytes in `range`.
    package func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }

    /// The bytes without leading and trailing spaces and tabs (OWS of RFC 9110, section 5.6.3).
    package var trimmed: UnsafeRawBufferPointer {
        var (start, end) = (0, count)
        while start < end, Self.isBlank(self[start]) { start += 1 }
        while end > start, Self.isBlank(self[end - 1]) { end -= 1 }
        return part(start..<end)
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// The index of the first such byte, from `start` on; nil without one.
    @inline(__always)
    package func index(of byte: UInt8, from start: Int = 0) -> Int? {
        var index = start
        while index < count {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }

    /// Whether the bytes are this word, in either case. Only ASCII counts: in Unicode, the Kelvin sign in lower case is
    /// a k.
    package func isWord(_ lowercase: StaticString) -> Bool {
        count == lowercase.utf8CodeUnitCount && hasPrefix(lowercase)
    }

    /// Whether the bytes begin with this word, in either case.
    package func hasPrefix(_ lowercase: StaticString) -> Bool {
        guard count >= lowercase.utf8CodeUnitCount else { return false }
        for index in 0..<lowercase.utf8CodeUnitCount
        where Self.lowercase(self[index]) != lowercase.utf8Start[index] { return false }
        return true
    }

    @inline(__always)
    static func lowercase(_ byte: UInt8) -> UInt8 { 0x41...0x5A ~= byte ? byte | 0x20 : byte }

    /// Whether the bytes are this text, byte for byte.
    package func equals(_ text: String) -> Bool {
        count == text.utf8.count && text.withBytes { elementsEqual($0) }
    }

    /// The bytes as text. If they are not UTF-8, each byte outside ASCII becomes U+FFFD: Swift's own way, which looks
    /// for the parts that are UTF-8, takes 50 ns for each byte.
    package var text: String {
        if let text = String(validating: self, as: UTF8.self) { return text }
        return String(unsafeUninitializedCapacity: 3 * count) { target in
            var end = 0
            for byte in self {
                if byte < 0x80 {
                    target[end] = byte
                    end += 1
                } else {
                    (target[end], target[end + 1], target[end + 2]) = (0xEF, 0xBF, 0xBD)
                    end += 3
                }
            }
            return end
        }
    }

    /// The pieces between the separators, including empty ones.
    package func pieces(separatedBy separator: UInt8) -> Pieces { Pieces(bytes: self, separator: separator) }

    package struct Pieces: Sequence, IteratorProtocol {
        fileprivate let bytes: UnsafeRawBufferPointer
        fileprivate let separator: UInt8
        private var position = 0

        fileprivate init(bytes: UnsafeRawBufferPointer, separator: UInt8) {
            self.bytes = bytes
            self.separator = separator
        }

        @inline(__always)
        package mutating func next() -> UnsafeRawBufferPointer? {
            guard position <= bytes.count else { return nil }
            let end = bytes.index(of: separator, from: position) ?? bytes.count
            defer { position = end + 1 }
            return bytes.part(position..<end)
        }
    }
}

extension String {
    /// Calls `body` with the UTF-8 bytes of the string, in place.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var text = self
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
