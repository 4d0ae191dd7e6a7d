import Terminal
import Testing

@Suite("Text for a terminal")
struct TerminalTextTests {
    @Test(
        "has nothing in it that a terminal obeys",
        arguments: [
            ("plain text", "plain text"),
            ("\u{1b}]0;title\u{7}", "\\x1b]0;title\\x07"),
            ("\u{9b}31mred", "\\x9b31mred"),
            ("two\r\nlines\ttab", "two\\x0d\\x0alines\\x09tab"),
            ("\u{7f}\u{0}", "\\x7f\\x00"),
            ("\u{202e}turned\u{2066}", "\\u202eturned\\u2066"),
            ("zero\u{200b}width\u{feff}", "zero\\u200bwidth\\ufeff"),
            ("\u{2028}", "\\u2028"),
            ("日本語 Grüße 🙂", "日本語 Grüße 🙂"),
        ])
    func escape(_ text: String, _ expected: String) {
        #expect(TerminalText.escape(text) == expected)
    }

    @Test(
        "is as wide as it is shown",
        arguments: [("", 0), ("abc", 3), ("日本", 4), ("e\u{301}", 1), ("🙂", 2), ("ü", 1)])
    func width(_ text: String, _ expected: Int) {
        #expect(TerminalText.width(text) == expected)
    }

    @Test(
        "is cut to the columns there are, with a mark",
        arguments: [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("日本語", 4, "日…"), ("abc", 1, "…"), ("abc", 0, "")])
    func truncate(_ text: String, _ columns: Int, _ expected: String) {
        #expect(TerminalText.truncate(text, to: columns) == expected)
        #expect(TerminalText.width(expected) <= columns)
    }
}
