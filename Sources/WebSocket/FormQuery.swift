/// The query of a request target, parsed as `application/x-www-form-urlencoded` (WHATWG URL, section 5.1).
package enum FormQuery {
    /// The first value of a parameter, decoded; nil if the parameter is absent.
    package static func value(_ name: String, in query: String?) -> String? {
        guard let query else { return nil }
        return name.withBytes { name in
            query.withBytes { query in
                var start = 0
                while start < query.count {
                    let end = query.index(of: UInt8(ascii: "&"), from: start) ?? query.count
                    if end > start, query[start] == name.first,
                        let value = value(name, in: query.part(start..<end))
                    {
                        return decoded(value)
                    }
                    start = end + 1
                }
                return nil
            }
        }
    }

    private static func value(
        _ name: UnsafeRawBufferPointer, in pair: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        let end = name.count
        guard pair.starts(with: name) else { return nil }
        guard pair.count > end else { return pair.part(end..<end) }
        return pair[end] == UInt8(ascii: "=") ? pair.part((end + 1)..<pair.count) : nil
    }

    /// All parameters, decoded.
    package static func parameters(in query: some StringProtocol) -> [(name: String, value: String)] {
        String(query).withBytes { query in
            query.pieces(separatedBy: UInt8(ascii: "&")).compactMap { pair in
                guard !pair.isEmpty else { return nil }
                let end = pair.index(of: UInt8(ascii: "=")) ?? pair.count
                return (decoded(pair.part(0..<end)), decoded(pair.part(min(end + 1, pair.count)..<pair.count)))
            }
        }
    }

    private static func decoded(_ text: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: text.count) { target in
            var (position, count) = (0, 0)
            while position < text.count {
                var byte = text[position]
                position += 1
                if byte == UInt8(ascii: "+") {
                    byte = 0x20
                } else if byte == UInt8(ascii: "%"), position + 2 <= text.count,
                    let high = digit(text[position]), let low = digit(text[position + 1])
                {
                    byte = high << 4 | low
                    position += 2
                }
                target[count] = byte
                count += 1
            }
            return count
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
            (byte | 0x20) - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
