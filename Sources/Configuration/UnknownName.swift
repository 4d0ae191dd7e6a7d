/// The error message for an unknown key or table: it suggests the name that was probably meant, the table where the key
/// belongs, or the names that exist.
enum UnknownName {
    /// The message for an unknown key in a known table.
    static func key(_ name: String, in section: String) -> String {
        let known = Schema.sections.first { $0.name == section }
        let names = known?.keys.map(\.name) ?? []
        let unknown = "unknown key \(quoted(name)) in \(known?.heading ?? section)"
        if let meant = Suggestion.nearest(to: name, among: names) {
            return "\(unknown); did you mean \(quoted(meant))?"
        }
        return "\(unknown); \(home(of: name) ?? "there are \(listed(names, "and"))")"
    }

    /// The message for an unknown key or table outside of all tables.
    static func outermost(_ entry: TOMLNode.Entry) -> String {
        let meant = Suggestion.nearest(to: entry.key, among: Schema.sections.map(\.name))
        let section = Schema.sections.first { $0.name == meant }
        let suggestion = section.map { "did you mean \($0.heading)?" }
        let all = "there are \(Schema.sections.map(\.heading).joined(separator: ", "))"
        if entry.node.isTable {
            return "unknown table \(quoted(entry.key)); \(suggestion ?? all)"
        }
        return "unknown key \(quoted(entry.key)) outside of the tables; \(home(of: entry.key) ?? suggestion ?? all)"
    }

    /// The table that has such a key, or one with a similar name.
    private static func home(of name: String) -> String? {
        let sections = Schema.sections.filter { $0.keys.contains { $0.name == name } }
        if !sections.isEmpty {
            return "it belongs in \(sections.map(\.heading).joined(separator: " or "))"
        }
        guard let meant = Suggestion.nearest(to: name, among: ConfigurationKey.all.map(\.name)),
            let section = Schema.sections.first(where: { $0.keys.contains { $0.name == meant } })
        else { return nil }
        return "did you mean \(quoted(meant)) in \(section.heading)?"
    }
}

/// Finds the name that a person probably meant by an unknown one.
enum Suggestion {
    /// The candidate nearest to a name, if it is near enough to be shown: at most one typing error in three letters, or
    /// an abbreviation such as "warn".
    static func nearest(to name: String, among candidates: [String]) -> String? {
        let name = folded(name)
        let nearest =
            candidates
            .map { (candidate: $0, distance: distance(from: name, to: folded($0))) }
            .min { $0.distance < $1.distance }
        if let nearest, nearest.distance <= max(1, min(name.count, nearest.candidate.count) / 3) {
            return nearest.candidate
        }
        guard name.count >= 3 else { return nil }
        return candidates.filter { folded($0).hasPrefix(name) }.min { $0.count < $1.count }
    }

    /// Lower case, with "-" for "_": such differences don't count.
    private static func folded(_ name: String) -> String {
        String(name.lowercased().map { $0 == "_" ? "-" : $0 })
    }

    /// The number of letters that must be added, dropped, replaced or swapped with their neighbour (optimal string
    /// alignment).
    static func distance(from left: String, to right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        // A name this long is not a typing error, and the table below grows with the product of the lengths.
        guard left.count <= 64, right.count <= 64 else { return .max }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var row = [i + 1]
            for (j, b) in right.enumerated() {
                var cost = min(row[j] + 1, last[j + 1] + 1, last[j] + (a == b ? 0 : 1))
                if i > 0, j > 0, a == right[j - 1], left[i - 1] == b {
                    cost = min(cost, beforeLast[j - 1] + 1)
                }
                row.append(cost)
            }
            (beforeLast, last) = (last, row)
        }
        return last[right.count]
    }
}

/// A text as a TOML string: in double quotes, with characters escaped that would break a line or disturb a terminal.
func quoted(_ text: some StringProtocol) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        // Control characters, and characters that reverse the direction of the text around them.
        case _ where scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format:
            let digits = String(scalar.value, radix: 16, uppercase: true)
            result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// A list of texts for a sentence: "a", "b" or "c", each in quotes.
func listed(_ texts: [String], _ conjunction: String) -> String {
    let texts = texts.map { quoted($0) }
    guard let last = texts.last, texts.count > 1 else { return texts.first ?? "" }
    return texts.dropLast().joined(separator: ", ") + " \(conjunction) " + last
}

extension Character {
    /// Whether this is one of 0 to 9; `isNumber` accepts the digits of every script, and a comparison also those with
    /// accents.
    var isDigit: Bool {
        guard let byte = asciiValue else { return false }
        return UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
    }
}

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
