extension RequestReader {
    /// The string that a member of a JSON object is, the first one with this name; nil if there is none, or the bytes are
    /// no object, or damaged before it.
    package static func stringMember(_ name: String, of bytes: UnsafeRawBufferPointer) -> String? {
        var scanner = JSONScanner(bytes)
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "{")) else { return nil }
        while let key = try? scanner.string(), (try? scanner.colon()) != nil, let value = try? scanner.value() {
            if key.equals(name, in: bytes) { return string(value, bytes)?.text(in: bytes) }
            scanner.skipSpace()
            guard scanner.take(UInt8(ascii: ",")) else { return nil }
        }
        return nil
    }
}
