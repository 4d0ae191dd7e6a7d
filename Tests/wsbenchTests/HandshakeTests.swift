import Testing

@testable import wsbench

@Suite("The client's opening handshake")
struct ClientHandshakeTests {
    private static func request(compression: Bool = false) throws -> HandshakeRequest {
        // The key and the accept value of RFC 6455, section 1.3.
        HandshakeRequest(
            url: try WebSocketURL("ws://h:81/a?b"), key: "dGhlIHNhbXBsZSBub25jZQ==",
            fields: [HeaderField(name: "Origin", value: "https://e")], offersCompression: compression)
    }

    private static func parse(_ text: String, compression: Bool = false) throws -> HandshakeResponse {
        let request = try request(compression: compression)
        return Array(text.utf8).withUnsafeBytes { HandshakeResponse.parse($0, for: request) }
    }

    private static let good = """
        HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n
        """

    @Test("asks for what it wants")
    func asks() throws {
        let text = String(decoding: try Self.request(compression: true).bytes, as: UTF8.self)
        #expect(text.hasPrefix("GET /a?b HTTP/1.1\r\nHost: h:81\r\n"))
        #expect(text.contains("\r\nOrigin: https://e\r\n"))
        #expect(text.contains("\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"))
        #expect(text.hasSuffix("\r\n\r\n"))
        #expect(!String(decoding: try Self.request().bytes, as: UTF8.self).contains("Extensions"))
    }

    @Test("takes the right answer, and leaves what follows it")
    func open() throws {
        let head = Self.good + "\r\n"
        #expect(try Self.parse(head + "\u{01}\u{02}") == .open(byteCount: head.utf8.count, isCompressed: false))
    }

    @Test("waits for the end of the head")
    func incomplete() throws {
        for count in 0..<(Self.good.utf8.count + 1) {
            #expect(
                try Self.parse(String(decoding: (Self.good + "\r\n").utf8.prefix(count), as: UTF8.self)) == .incomplete)
        }
        guard case .wrong = try Self.parse(String(repeating: "x", count: 17_000)) else {
            Issue.record("a head without an end is waited for")
            return
        }
    }

    @Test("tells a refusal from a mistake")
    func refused() throws {
        #expect(
            try Self.parse("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nfull") == .refused(status: 503))
        for text in [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
            Self.good.replacing("s3pPLM", with: "t3pPLM") + "\r\n",
            Self.good + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n",
        ] {
            guard case .wrong = try Self.parse(text) else {
                Issue.record("taken: \(text)")
                continue
            }
        }
    }

    @Test("agrees to the compression it offered, without context takeover only")
    func compression() throws {
        let extensions = "Sec-WebSocket-Extensions: permessage-deflate"
        let agreed = Self.good + extensions + "; server_no_context_takeover\r\n\r\n"
        #expect(
            try Self.parse(agreed, compression: true) == .open(byteCount: agreed.utf8.count, isCompressed: true))
        guard case .wrong = try Self.parse(Self.good + extensions + "\r\n\r\n", compression: true) else {
            Issue.record("a window from message to message is taken")
            return
        }
    }
}
