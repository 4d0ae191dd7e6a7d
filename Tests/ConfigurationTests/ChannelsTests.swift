import Settings
import Testing

@testable import Configuration

@Suite("The settings of channels")
struct ChannelsTests {
    private func patterns(_ texts: String...) throws -> [Settings.Channel] {
        try ConfigurationLoader().load(texts: texts.enumerated().map { ("f\($0)", $1) }).configuration.channels
    }

    @Test("stand in the order of the file, not of the alphabet")
    func order() throws {
        let text = "[channels.\"z*\"]\nhistory = 1\n[channels.\"a\"]\nhistory = 2\n[channels.\"*\"]\necho = false"
        let channels = try patterns(text)
        #expect(channels.map(\.pattern) == ["z*", "a", "*"])
        #expect(channels.map(\.settings.history) == [1, 2, 0])
        #expect(channels.map(\.settings.echo) == [true, true, false])
    }

    @Test("of a later file change single keys of a pattern in its place, and add theirs behind")
    func overlay() throws {
        let channels = try patterns(
            "[channels.\"a\"]\nhistory = 1\npresence = true\n[channels.\"b\"]",
            "[channels.\"c\"]\n[channels.\"a\"]\nhistory = 5")
        #expect(channels.map(\.pattern) == ["a", "b", "c"])
        #expect(channels[0].settings.history == 5 && channels[0].settings.presence)
    }

    @Test("are all read")
    func everyKey() throws {
        let channel = try #require(
            try patterns(
                """
                [channels."room:*"]
                presence = true
                join_leave = true
                leave_delay = "0s"
                history = 100
                history_ttl = "1h"
                history_bytes = "64KiB"
                publish = "users"
                subscribe = "granted"
                max_members = 50
                echo = false
                """
            ).first)
        var expected = Settings.Channel(pattern: "room:*")
        expected.settings.presence = true
        expected.settings.joinLeave = true
        expected.settings.leaveDelay = .zero
        expected.settings.history = 100
        expected.settings.historyTTL = .seconds(3_600)
        expected.settings.historyByteCount = 65_536
        expected.settings.publish = .users
        expected.settings.subscribe = .granted
        expected.settings.maxMembers = 50
        expected.settings.echo = false
        #expect(channel == expected)
    }

    @Test(
        "are refused with the place and the way out",
        arguments: [
            (
                "[channels]\nhistory = 1",
                "2:1: channels: \"history\" is the integer 1; it holds a table for each pattern, "
                    + "which begins with [channels.\"PATTERN\"]"
            ),
            (
                "channels = 1",
                "1:1: channels: got the integer 1; it holds a table for each pattern, "
                    + "which begins with [channels.\"PATTERN\"]"
            ),
            (
                "[channels.\"a\"]\npublish = \"user\"",
                "2:11: channels.publish: \"user\" is unknown; did you mean \"users\"? "
                    + "There are \"anyone\", \"users\", \"granted\" and \"nobody\""
            ),
            (
                "[channels.\"a\"]\npresence = \"yes\"",
                "2:12: channels.presence: got the string \"yes\"; give true or false, without quotes, "
                    + "such as presence = false"
            ),
            (
                "[channels.\"a\"]\nhistory = 1_000_001",
                "2:11: channels.history: 1000001 is out of range; give an integer from 0 to 1000000"
            ),
            (
                "[channels.\"a\"]\nhistory = true",
                "2:11: channels.history: got the boolean true; give an integer from 0 to 1000000, such as history = 100"
            ),
            (
                "[channels.\"a\"]\nleave_delay = \"601s\"",
                "2:15: channels.leave_delay: \"601s\" is out of range; give a duration from \"0s\" to \"10m\""
            ),
            (
                "[channels.\"a\"]\nhistory_ttl = \"0s\"",
                "2:15: channels.history_ttl: \"0s\" is out of range; give a duration from \"1s\" to \"30d\""
            ),
            (
                "[channels.\"a\"]\nhistory_bytes = 1023",
                "2:17: channels.history_bytes: 1023 is out of range; give a size from \"1KiB\" to \"1GiB\""
            ),
            (
                "[channels.\"a\"]\nmax_members = -1",
                "2:15: channels.max_members: -1 is out of range; give an integer from 0 to 10000000"
            ),
            (
                "[channels.\"a\".echo]\nx = 1",
                "1:1: channels.echo: got a table; give true or false, without quotes, such as echo = true"
            ),
            (
                "[[channels]]\nhistory = 1",
                "1:3: channels: got an array; it holds a table for each pattern, "
                    + "which begins with [channels.\"PATTERN\"]"
            ),
            (
                "[channels.news.sport]\nhistory = 1",
                "1:16: channels: a pattern with a dot in it stands in quotes, as in [channels.\"news.sport\"]"
            ),
        ])
    func wrong(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }

    @Test("take the bounds of their ranges")
    func bounds() {
        let least = "leave_delay = \"0s\"\nhistory = 0\nhistory_ttl = \"1s\"\nhistory_bytes = 1024\nmax_members = 0"
        let most =
            "leave_delay = \"10m\"\nhistory = 1_000_000\nhistory_ttl = \"30d\"\nhistory_bytes = \"1GiB\"\n"
            + "max_members = 10_000_000"
        #expect(errors("[channels.\"a\"]\n\(least)\n[channels.\"b\"]\n\(most)").isEmpty)
    }

    @Test("have patterns of 1 to 255 bytes without control characters")
    func patternRule() {
        func pattern(_ text: String) -> [String] { errors("[channels.\(quoted(text))]") }
        #expect(pattern("räume:*").isEmpty)
        #expect(pattern(String(repeating: "x", count: 255)).isEmpty)
        #expect(
            pattern("") == [
                "f:1:11: channels: \"\" matches no channel; give 1 to 255 bytes, such as \"room:*\", or \"*\" for all"
            ])
        #expect(
            pattern(String(repeating: "é", count: 128)) == [
                "f:1:11: channels: the pattern has 256 bytes; a channel's pattern has 255 at most"
            ])
        #expect(
            pattern("a\u{9F}") == ["f:1:11: channels: \"a\\U0000009F\" holds a control character; leave it out"])
    }

    @Test("behind \"*\" would never hold, and both places are named")
    func unreachable() {
        let way = "the first that matches holds, so put it before that"
        #expect(
            errors("[channels.\"*\"]\n[channels.\"a\"]") == [
                "f:2:11: channels: no channel is left for \"a\" behind \"*\" (f:1); \(way)"
            ])
        #expect(
            errors("\n[channels]\n\"*\".echo = false", "[channels.\"*\"]\nhistory = 1\n[channels.\"b*\"]") == [
                "f2:3:11: channels: no channel is left for \"b*\" behind \"*\" (f1:3); \(way)"
            ])
        #expect(errors("[channels.\"a\"]\n[channels.\"*\"]", "[channels.\"a\"]\nhistory = 1").isEmpty)
    }

    @Test("of one pattern stand in one place of a file, and patterns are the same byte for byte")
    func duplicates() throws {
        #expect(errors("[channels.\"a\"]\n[channels.'a']").map { $0.prefix(19) } == ["f:2:1: syntax error"])
        #expect(errors("[channels.\"a\"]\necho = true\necho = false").map { $0.prefix(4) } == ["f:3:"])
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        let channels = try patterns("[channels.\"\(composed)\"]\n[channels.\"\(decomposed)\"]\nhistory = 1")
        #expect(channels.map { Array($0.pattern.utf8) } == [Array(composed.utf8), Array(decomposed.utf8)])
        #expect(channels.map(\.settings.history) == [0, 1])
    }

    @Test("know where they come from, key by key")
    func origins() throws {
        let loaded = try ConfigurationLoader().load(
            texts: [("a", "[channels.\"x:*\"]\nhistory = 1\necho = false"), ("b", "channels.\"x:*\".history = 2")])
        #expect(loaded.origin(of: "channels.\"x:*\"") == .file(path: "a", line: 1, column: 11))
        #expect(loaded.origin(of: "channels.\"x:*\".history") == .file(path: "b", line: 1, column: 16))
        #expect(loaded.origin(of: "channels.\"x:*\".echo") == .file(path: "a", line: 3, column: 1))
        #expect(loaded.origin(of: "channels.\"x:*\".presence") == .builtIn)
        #expect(
            loaded.printed.split(separator: "\n").contains { $0.hasPrefix("history = 2 ") && $0.hasSuffix(" # b:1") })
    }

    @Test(
        "are met with a suggestion where a name is misspelt",
        arguments: [
            (
                "[channels.\"a\"]\nhistry = 1",
                "2:1: unknown key \"histry\" in [channels.\"PATTERN\"]; did you mean \"history\"?"
            ),
            (
                "[channels.\"a\"]\nburst = 1",
                "2:1: unknown key \"burst\" in [channels.\"PATTERN\"]; it belongs in [limits]"
            ),
            ("[channel.\"a\"]", "1:2: unknown table \"channel\"; did you mean [channels.\"PATTERN\"]?"),
            (
                "presence = true",
                "1:1: unknown key \"presence\" outside of the tables; it belongs in [channels.\"PATTERN\"]"
            ),
        ])
    func suggestion(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }
}
