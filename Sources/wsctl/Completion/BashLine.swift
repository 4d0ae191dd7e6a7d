/// A command line as bash hands it over: as it was typed, as far as the cursor.
///
/// bash replaces only the end of a word, what stands behind the last `:` or `=` or a quote; a candidate must be cut and
/// quoted to fit there.
struct BashLine {
    private enum Quote {
        case none, single, double
    }

    /// The words before the cursor's, the program's name first, without quotes.
    private(set) var words: [String] = []
    /// What stands of the word at the cursor before it, without quotes.
    private(set) var current = ""
    /// The part of ``current`` that bash leaves as it is.
    private var kept = ""
    /// The quote that is open where bash begins to replace.
    private var quote = Quote.none

    /// Reads a line.
    ///
    /// - Parameters:
    ///   - line: `COMP_LINE` up to `COMP_POINT`.
    ///   - replaced: The end of it that bash replaces, the second argument of a completion function.
    init?(_ line: String, replacing replaced: String) {
        let scalars = Array(line.unicodeScalars)
        let end = scalars.count - replaced.unicodeScalars.count
        guard end >= 0, scalars[end...].elementsEqual(replaced.unicodeScalars) else { return nil }
        var open = Quote.none
        var isEscaped = false
        var isInWord = false
        for index in 0...scalars.count {
            if index == end {
                // Between a backslash and what it quotes nothing can be put.
                guard !isEscaped else { return nil }
                kept = current
                quote = open
            }
            guard index < scalars.count else { break }
            let scalar = scalars[index]
            switch (scalar, open) {
            case _ where isEscaped:
                // In double quotes a backslash quotes a few characters only (bash(1), QUOTING).
                if open == .double, !"$`\"\\".unicodeScalars.contains(scalar) { current.unicodeScalars.append("\\") }
                current.unicodeScalars.append(scalar)
                isEscaped = false
            case ("\\", .none), ("\\", .double): isEscaped = true
            case ("'", .none): open = .single
            case ("\"", .none): open = .double
            case ("'", .single), ("\"", .double): open = .none
            case (" ", .none), ("\t", .none), ("\n", .none):
                // What bash replaces has no blank in it, but for quoted ones.
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

    /// What bash puts in the place of what it replaces; nil for a word that doesn't begin as what is kept, or that can't
    /// be said inside the open quote.
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
                // History expansion happens inside double quotes, and nothing prevents it there.
                guard scalar != "!" else { return nil }
                if "$`\"\\".unicodeScalars.contains(scalar) { result += "\\" }
            default: break
            }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// Whether a character means nothing to bash, wherever it stands.
    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", ",", "/", ":", "@", "%", "+", "=": true
        default: !scalar.isASCII
        }
    }
}
