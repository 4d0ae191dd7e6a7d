import Testing

@testable import wsctl

@Suite("A line of bash")
struct BashLineTests {
    private func line(_ line: String, _ replaced: String) throws -> BashLine {
        try #require(BashLine(line, replacing: replaced))
    }

    @Test(
        "is taken apart as bash does it",
        arguments: [
            ("wsctl show ", "", ["wsctl", "show"], ""), ("wsctl  show\t0.", "0.", ["wsctl", "show"], "0."),
            ("wsctl presence it\\'s", "it\\'s", ["wsctl", "presence"], "it's"),
            ("wsctl presence 'a b' \"c\\$d\\e\" x", "x", ["wsctl", "presence", "a b", "c$d\\e"], "x"),
            ("wsctl presence room:1", "1", ["wsctl", "presence"], "room:1"),
            ("wsctl presence '' ", "", ["wsctl", "presence", ""], ""),
            ("wsctl presence 'a b", "a b", ["wsctl", "presence"], "a b"),
        ])
    func words(_ text: String, _ replaced: String, _ words: [String], _ current: String) throws {
        let line = try line(text, replaced)
        #expect(line.words == words)
        #expect(line.current == current)
    }

    @Test(
        "takes a name without obeying it",
        arguments: [
            ("wsctl x ", "", "$(reboot)", "\\$\\(reboot\\)"),
            ("wsctl x ", "", "`a`;b|c&d>e", "\\`a\\`\\;b\\|c\\&d\\>e"),
            (
                "wsctl x ", "", "it's a \"b\" \\ #!~*?[]{}",
                "it\\'s\\ a\\ \\\"b\\\"\\ \\\\\\ \\#\\!\\~\\*\\?\\[\\]\\{\\}"
            ),
            ("wsctl x 'i", "i", "it's $x", "it'\\''s $x"),
            ("wsctl x \"i", "i", "it's $x `y` \"", "it's \\$x \\`y\\` \\\""),
            ("wsctl x room:", "", "room:1", "1"), ("wsctl x room:1", "1", "room:1 2", "1\\ 2"),
            ("wsctl x --c=r", "r", "--c=room:1", "room:1"), ("wsctl x ", "", "größe", "größe"),
        ])
    func insertion(_ text: String, _ replaced: String, _ name: String, _ expected: String) throws {
        #expect(try line(text, replaced).insertion(name) == expected)
    }

    @Test("takes no name that can't be said where the cursor is")
    func noInsertion() throws {
        #expect(try line("wsctl x \"n", "n").insertion("new!x") == nil)
        #expect(try line("wsctl x room:", "").insertion("lobby") == nil)
        #expect(BashLine("wsctl x", replacing: "y") == nil)
        #expect(BashLine("x", replacing: "wsctl x") == nil)
        #expect(BashLine("wsctl a b", replacing: "a b") == nil)
    }
}
