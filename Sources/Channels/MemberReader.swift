/// Splits a JSON object or array into its members or elements, whose text is kept as it was sent.
package enum MemberReader {
    /// The members by name; nil for anything but one object whose members have different names.
    package static func members(of text: [UInt8]) -> [String: [UInt8]]? {
        guard String(validating: text, as: UTF8.self) != nil else { return nil }
        return text.withUnsafeBytes { try? members(of: $0) }
    }

    private static func members(of bytes: UnsafeRawBufferPointer) throws(JSONScanner.Malformed) -> [String: [UInt8]]? {
        var scanner = JSONScanner(bytes)
        var members: [String: [UInt8]] = [:]
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "{")) else { return nil }
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let name = try scanner.string().text(in: bytes)
                scanner.skipSpace()
                guard scanner.take(UInt8(ascii: ":")) else { return nil }
                let range = try scanner.value()
                guard members.updateValue(Array(bytes[range]), forKey: name) == nil else { return nil }
                scanner.skipSpace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "}")) else { return nil }
        }
        return scanner.isAtEnd ? members : nil
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

    /// The elements of a JSON array, each as it was sent; nil for anything else.
    package static func elements(of text: [UInt8]) -> [[UInt8]]? {
        text.withUnsafeBytes { try? elements(of: $0) }
    }

    private static func elements(of bytes: UnsafeRawBufferPointer) throws(JSONScanner.Malformed) -> [[UInt8]]? {
        var scanner = JSONScanner(bytes)
        var elements: [[UInt8]] = []
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "[")) else { return nil }
        if !scanner.take(UInt8(ascii: "]")) {
            repeat {
                elements.append(Array(bytes[try scanner.value()]))
                scanner.skipSpace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "]")) else { return nil }
        }
        return scanner.isAtEnd ? elements : nil
    }
}
