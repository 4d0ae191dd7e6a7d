import Settings
import Testing

@testable import Configuration

@Suite("Endpoints")
struct EndpointTests {
    @Test(
        "A path that no client could ask for, or that is taken",
        arguments: [
            ("ws", "\"ws\" does not begin with \"/\"; write \"/ws\""),
            ("", "\"\" does not begin with \"/\"; write \"/\""),
            ("/ws?a=1", "\"/ws?a=1\" goes on after the path; write \"/ws\""),
            ("/ws#a", "\"/ws#a\" goes on after the path; write \"/ws\""),
            ("/", "\"/\" is the chat page; take another path, such as \"/ws\""),
            ("/metrics", "\"/metrics\" is reserved for the daemon; take another path, such as \"/ws\""),
            ("/a b", "\"/a b\" holds a character that a URL has as \"%\" and two digits; write it so"),
            ("/é", "\"/é\" holds a character that a URL has as \"%\" and two digits; write it so"),
            ("/a/../b", "\"/a/../b\" has a \".\" or \"..\", which clients resolve before they ask; leave it out"),
        ])
    func wrongPath(path: String, error: String) {
        #expect(errors("[[endpoint]]\npath = \(quoted(path))") == ["f:2:8: endpoint.path: \(error)"])
    }

    @Test("A path is needed, the rest has defaults")
    func defaults() throws {
        #expect(
            errors("\n[[endpoint]]\nchannel = \"a\"") == [
                "f:2:1: endpoint: it has no path; give one, such as path = \"/ws\""
            ])
        #expect(
            try loaded("[[endpoint]]\npath = \"/a/b.c~d%20\"").configuration.endpoints
                == [Settings.Endpoint(path: "/a/b.c~d%20", protocol: .relay, channel: "lobby")])
    }

    @Test("A channel's name has 1 to 255 bytes and no control characters")
    func channels() {
        func channel(_ name: String) -> [String] {
            errors("[[endpoint]]\npath = \"/a\"\nchannel = \(quoted(name))")
        }
        #expect(channel("räume 🎉").isEmpty)
        #expect(channel(String(repeating: "x", count: 255)).isEmpty)
        #expect(
            channel("") == [
                "f:3:1: endpoint.channel: \"\" leaves clients of the relay protocol without a channel, and they can join "
                    + "none; name one, or take protocol = \"json\""
            ])
        #expect(errors("[[endpoint]]\npath = \"/a\"\nprotocol = \"json\"\nchannel = \"\"").isEmpty)
        // Whether it may be empty depends on what was meant by the other, which has its own error.
        #expect(
            errors("[[endpoint]]\npath = \"/a\"\nprotocol = \"jsn\"\nchannel = \"\"").map { $0.prefix(7) } == [
                "f:3:12:"
            ])
        #expect(
            channel(String(repeating: "é", count: 128))
                == ["f:3:11: endpoint.channel: the name has 256 bytes; a channel's name has 255 at most"])
        #expect(
            channel("a\u{7}b") == [
                "f:3:11: endpoint.channel: \"a\\U00000007b\" holds a control character; leave it out"
            ])
        #expect(channel("a\u{85}b").count == 1)
    }

    @Test("The default is a relay on /ws and json on /chat")
    func builtIn() {
        #expect(
            Settings().endpoints == [
                Settings.Endpoint(path: "/ws", protocol: .relay, channel: "lobby"),
                Settings.Endpoint(path: "/chat", protocol: .json, channel: "lobby"),
            ])
    }
}
