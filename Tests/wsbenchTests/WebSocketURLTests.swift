import Testing

@testable import wsbench

@Suite("A URL")
struct WebSocketURLTests {
    @Test(
        "says where to connect, and what to ask for",
        arguments: [
            ("ws://127.0.0.1:8080/ws", "127.0.0.1", 8080, "/ws", "127.0.0.1:8080"),
            ("WS://example.org", "example.org", 80, "/", "example.org"),
            ("ws://h:81?a=b", "h", 81, "/?a=b", "h:81"),
            ("ws://[::1]:82/a/b?c", "::1", 82, "/a/b?c", "[::1]:82"),
            ("ws://[::1]/", "::1", 80, "/", "[::1]"),
        ] as [(String, String, UInt16, String, String)])
    func parts(_ text: String, _ host: String, _ port: UInt16, _ target: String, _ field: String) throws {
        let url = try WebSocketURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.target == target)
        #expect(url.hostField == field)
    }

    @Test(
        "is refused where it can't be one of ours",
        arguments: [
            "", "127.0.0.1:8080", "wss://h/", "https://h/", "http://h/", "ws://", "ws://:80/", "ws://h:0/", "ws://h:x/",
            "ws://h:65536/", "ws://u@h/", "ws://h/#f", "ws://h/ä", "ws://h/a b", "ws://[::1]x/",
        ])
    func refused(_ text: String) { #expect(throws: WebSocketURL.Invalid.self) { try WebSocketURL(text) } }
}
