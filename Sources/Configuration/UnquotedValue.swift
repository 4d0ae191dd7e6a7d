/// A value that would be good if it stood in quotes: what people forget most often in TOML.
enum UnquotedValue {
    /// What is said of it.
    ///
    /// - Parameters:
    ///   - text: the whole file.
    ///   - error: where the parser gave up, and why.
    /// - Returns: nil where something else is wrong.
    static func error(in text: [UInt8], _ error: TOMLDocument.SyntaxError) -> TOMLDocument.SyntaxError? {
        // What toml++ was at: it knows a value as one of these kinds, by how it begins.
        let kinds = ["value", "integer", "floating-point", "boolean", "date", "time"]
        guard let colon = error.message.firstIndex(of: ":"),
            kinds.contains(where: { error.message[..<colon].hasSuffix($0) })
        else { return nil }
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.indices.contains(error.position.line - 1) else { return nil }
        let line = Array(String(decoding: lines[error.position.line - 1], as: UTF8.self).unicodeScalars)
        let place = min(error.position.column - 1, line.count)
        guard place >= 0 else { return nil }
        // The parser may have read part of the value before it gave up.
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

    /// Whether it can't be meant for a number.
    private static func isText(_ value: ArraySlice<Unicode.Scalar>) -> Bool {
        let isNumber = value.allSatisfy { "0123456789+-_.".unicodeScalars.contains($0) }
        return !isNumber || value.count { $0 == "." } > 1
    }
}
