/// A value without the quotes that it needs, the most frequent mistake in TOML.
enum UnquotedValue {
    /// The error for such a value.
    ///
    /// - Parameters:
    ///   - text: the whole file.
    ///   - error: the parser's error and its position.
    /// - Returns: nil if something else is wrong.
    static func error(in text: [UInt8], _ error: TOMLDocument.SyntaxError) -> TOMLDocument.SyntaxError? {
        // The kind of value that toml++ was reading; it recognises a value as one of these by its first character.
        let kinds = ["value", "integer", "floating-point", "boolean", "date", "time"]
        guard let colon = error.message.firstIndex(of: ":"),
            kinds.contains(where: { error.message[..<colon].hasSuffix($0) })
        else { return nil }
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.indices.contains(error.position.line - 1) else { return nil }
        let line = Array(String(decoding: lines[error.position.line - 1], as: UTF8.self).unicodeScalars)
        let place = min(error.position.column - 1, line.count)
        guard place >= 0 else { return nil }
        // The parser may have read part of the value before it failed.
        let start = line[..<place].lastIndex { isBefore($0) }.map { $0 + 1 } ?? 0
        let end = line[start...].firstIndex { isBehind($0) } ?? line.endIndex
        var value = line[start..<end]
        while value.last?.properties.isWhitespace ?? false { value.removeLast() }
        guard (1...80).contains(value.count), isText(value) else { return nil }
        let word = String(String.UnicodeScalarView(value))
        let position = SourcePosition(line: error.position.line, column: start + 1)
        switch word.lowercased() {
        case "true", "false":
            return .init(position: position, message: "syntax error: write \(word.lowercased()), in small letters")
        case "yes", "on", "no", "off":
            let meant = ["yes", "on"].contains(word.lowercased()) ? "true" : "false"
            return .init(
                position: position,
                message: "syntax error: \(word) is no value; write \(meant), or in quotes \(quoted(word))")
        default:
            return .init(
                position: position, message: "syntax error: the value has no quotes; write \(quoted(word))")
        }
    }

    private static func isBefore(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || "=[],{}\"'".unicodeScalars.contains(scalar)
    }

    private static func isBehind(_ scalar: Unicode.Scalar) -> Bool {
        "],{}#\"'".unicodeScalars.contains(scalar) || scalar == "\r"
    }

    /// Whether the value can't be meant as a number.
    private static func isText(_ value: ArraySlice<Unicode.Scalar>) -> Bool {
        let isNumber = value.allSatisfy { "0123456789+-_.".unicodeScalars.contains($0) }
        return !isNumber || value.count { $0 == "." } > 1
    }
}
