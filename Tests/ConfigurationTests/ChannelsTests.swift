import Testing

@testable import Configuration

@Suite("The settings of channels")
struct ChannelsTests {
    private func patterns(_ texts: String...) throws -> [Configuration.Channel] {
        try ConfigurationLoader().load(texts: texts.enumerated().map { ("f\($0)", $1) }).configuration.channels
    }

    @Test("stand in the order of the file, not of the alphabet")
    func order() throws {
        let text = "[channels.\"z*\"]\nhistory = 1\n[channels.\"a\"]\nhistory = 2\n[channels.\"*\"]\necho = false"
        let channels = try patterns(text)
        #expect(channels.map(\.pattern) == ["z*", "a", "*"])
        #expect(channels.map(\.history) == [1, 2, 0])
        #expect(channels.map(\.echo) == [true, true, false])
    }

    @Test("of a later file change single keys of a pattern in its place, and add theirs behind")
    func overlay() throws {
        let channels = try patterns(
            "[channels.\"a\"]\nhistory = 1\npresence = true\n[channels.\"b\"]",
            "[channels.\"c\"]\n[channels.\"a\"]\nhistory = 5")
        #expect(channels.map(\.pattern) == ["a", "b", "c"])
        #expect(channels[0].history == 5 && channels[0].presence)
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
        var expected = Configuration.Channel(pattern: "room:*")
        expected.presence = true
        expected.joinLeave = true
        expected.leaveDelay = .zero
        expected.history = 100
        expected.historyTTL = .seconds(3_600)
        expected.historyByteCount = 65_536
        expected.publish = .users
        expected.subscribe = .granted
        expected.maxMembers = 50
        expected.echo = false
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
                "[channels.\"*\"]\n[channels.\"a\"]",
                "2:11: channels: no channel is left for \"a\" behind \"*\"; "
                    + "the first that matches holds, so move it up"
            ),
            ("[channels.\"\"]", "1:11: channels: \"\" names no channel; give 1 to 255 bytes, such as \"lobby\""),
        ])
    func wrong(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }

    @Test("are met with a suggestion where a key is misspelt")
    func suggestion() throws {
        let message = try #require(errors("[channels.\"a\"]\nhistry = 1").first)
        #expect(message.hasPrefix("f:2:1:") && message.contains("history"))
    }
}
