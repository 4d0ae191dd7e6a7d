/// Splits a JSON object or array into its members or elements, whose text is kept as it was sent.
package enum MemberReader {
    /// The members of an object, of which only some are allowed.
    package enum Members {
        /// All members by name.
        case allowed([String: [UInt8]])
        /// The name of the first that is not; nothing behind it has been read.
        case unknown(String)
    }

    /// The members, of which no more are kept than may be there; nil for anything but one object whose members have
    /// different names.
    ///
    /// - Parameter known: the names that are allowed; nil for any.
    package static func members(of text: [UInt8], among known: Set<String>?) -> Members? {
        guard String(validating: text, as: UTF8.self) != nil else { return nil }
        return text.withUnsafeBytes { try? members(of: $0, among: known) }
    }

    private static func members(
        of bytes: UnsafeRawBufferPointer, among known: Set<String>?
    ) throws(JSONScanner.Malformed) -> Members? {
        var scanner = JSONScanner(bytes)
        var members: [String: [UInt8]] = [:]
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "{")) else { return nil }
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let name = try scanner.string().text(in: bytes)
                if let known, !known.contains(name) { return .unknown(name) }
                scanner.skipSpace()
                guard scanner.take(UInt8(ascii: ":")) else { return nil }
                let range = try scanner.value()
                guard members.updateValue(Array(bytes[range]), forKey: name) == nil else { return nil }
                scanner.skipSpace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "}")) else { return nil }
        }
        return scanner.isAtEnd ? .allowed(members) : nil
    }

    /// The decoded text of a JSON string; nil for anything else.
    package static func string(of text: [UInt8]) -> String? {
        text.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            scanner.skipSpace()
            guard let string = try? scanner.string() else { return nil }
            scanner.skipSpace()
            return scanner.isAtEnd ? string.text(in: bytes) : nil
        }
    }

    /// The number of elements of a JSON array, and the first of them, each as it was sent; nil for anything else. Short
    /// ones take much more memory than their text.
    ///
    /// - Parameter most: the number of elements that are kept; the others are only counted.
    package static func elements(of text: [UInt8], atMost most: Int) -> (first: [[UInt8]], count: Int)? {
        text.withUnsafeBytes { try? elements(of: $0, atMost: most) }
    }

    private static func elements(
        of bytes: UnsafeRawBufferPointer, atMost most: Int
    ) throws(JSONScanner.Malformed) -> (first: [[UInt8]], count: Int)? {
        var scanner = JSONScanner(bytes)
        var first: [[UInt8]] = []
        var count = 0
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "[")) else { return nil }
        if !scanner.take(UInt8(ascii: "]")) {
            repeat {
                let range = try scanner.value()
                if count < most { first.append(Array(bytes[range])) }
                count += 1
                scanner.skipSpace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "]")) else { return nil }
        }
        return scanner.isAtEnd ? (first, count) : nil
    }
}
