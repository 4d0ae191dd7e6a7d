/// A command line as bash passes it for completion: as it was typed, up to the cursor.
///
/// bash replaces only the end of a word, the part after the last `:`, `=` or quote; a candidate must be cut and quoted
/// to fit there.
struct BashLine {
    private enum Quote {
        case none, single, double
    }

    /// The words before the word at the cursor, without quotes; the first is the program's name.
    private(set) var words: [String] = []
    /// The part of the word at the cursor that stands before it, without quotes.
    private(set) var current = ""
    /// The part of ``current`` that bash leaves as it is.
    private var kept = ""
    /// The quote that is open at the point where bash begins to replace.
    private var quote = Quote.none

    /// Reads a line.
    ///
    /// - Parameters:
    ///   - line: `COMP_LINE` up to `COMP_POINT`.
    ///   - replaced: the end of the line that bash replaces, the second argument of a completion function.
    init?(_ line: String, replacing replaced: String) {
        let scalars = Array(line.unicodeScalars)
        let end = scalars.count - replaced.unicodeScalars.count
        guard end >= 0, scalars[end...].elementsEqual(replaced.unicodeScalars) else { return nil }
        var open = Quote.none
        var isEscaped = false
        var isInWord = false
        for index in 0...scalars.count {
            if index == end {
                // Nothing can be inserted between a backslash and the character that it quotes.
                guard !isEscaped else { return nil }
                kept = current
                quote = open
            }
            guard index < scalars.count else { break }
            let scalar = scalars[index]
            switch (scalar, open) {
            case _ where isEscaped:
                // In double quotes a backslash quotes only a few characters (bash(1), QUOTING).
                if open == .double, !"$`\"\\".unicodeScalars.contains(scalar) { current.unicodeScalars.append("\\") }
                current.unicodeScalars.append(scalar)
                isEscaped = false
            case ("\\", .none), ("\\", .double): isEscaped = true
            case ("'", .none): open = .single
            case ("\"", .none): open = .double
            case ("'", .single), ("\"", .double): open = .none
            case (" ", .none), ("\t", .none), ("\n", .none):
                // The part that bash replaces contains no blanks except quoted ones.
                guard index < end else { return nil }
                if isInWord { words.append(current) }
                current = ""
                isInWord = false
                continue
            default: current.unicodeScalars.append(scalar)
            }
            isInWord = true
        }
    }

    /// The text that bash inserts for a word; nil if the word doesn't begin with the kept part, or can't be written
    /// inside the open quote.
    func insertion(_ word: String) -> String? {
        guard word.unicodeScalars.starts(with: kept.unicodeScalars) else { return nil }
        let rest = word.unicodeScalars.dropFirst(kept.unicodeScalars.count)
        var result = ""
        for scalar in rest {
            switch quote {
            case .none:
                if !Self.isPlain(scalar) { result += "\\" }
            case .single where scalar == "'":
                result += "'\\'"
            case .double:
                // History expansion also happens inside double quotes, and nothing prevents it there.
                guard scalar != "!" else { return nil }
                if "$`\"\\".unicodeScalars.contains(scalar) { result += "\\" }
            default: break
            }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// Whether a character has no special meaning to bash, wherever it stands.
    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", ",", "/", ":", "@", "%", "+", "=": true
        default: !scalar.isASCII
        }
    }
}
