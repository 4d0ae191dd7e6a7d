import Testing

@testable import WebSocket

/// Parses text as a request; the status of the refusal, or the head.
private func parse(_ text: String, limit: Int = 16_384) -> RequestParser.Result {
    Array(text.utf8).withUnsafeBytes { RequestParser.parse($0, scannedCount: 0, limit: limit) }
}

private func status(_ text: String, limit: Int = 16_384) -> Int? {
    switch parse(text, limit: limit) {
    case .incomplete: return 0
    case .refused(let refusal): return refusal.status.rawValue
    case .complete(let head, _):
        if let refusal = Handshake.checkCommon(head) { return refusal.status.rawValue }
        switch Handshake.evaluate(head) {
        case .upgrade: return 101
        case .refused(let refusal): return refusal.status.rawValue
        }
    }
}

private func request(
    line: String = "GET /ws HTTP/1.1", dropping: [String] = [], adding: [String] = []
) -> String {
    let fields = [
        "Host: example.org", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ].filter { field in !dropping.contains { field.hasPrefix($0 + ":") } }
    return ([line] + fields + adding).map { $0 + "\r\n" }.joined() + "\r\n"
}

@Suite struct HandshakeTests {
    @Test func theExampleOfTheRFCIsAnswered() {
        #expect(Handshake.acceptValue(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    static let correct: [String] = [
        request(),
        request(dropping: ["Connection"], adding: ["Connection: keep-alive, Upgrade"]),
        request(dropping: ["Connection"], adding: ["Connection: keep-alive", "connection:   UPGRADE  "]),
        request(dropping: ["Upgrade"], adding: ["UPGRADE: h2c, WebSocket"]),
        request(adding: ["Sec-WebSocket-Extensions: x", "Sec-WebSocket-Protocol: y", "Empty:"]),
        request(line: "GET http://example.org/ws?a=b HTTP/1.1"),
        "\r\n" + request(),
    ]

    @Test(arguments: correct)
    func aCorrectHandshakeIsAccepted(_ text: String) { #expect(status(text) == 101) }

    static let wrong: [(String, Int)] = [
        (request(line: "GET /ws HTTP/1.0"), 400), (request(line: "GET /ws HTTP/2.0"), 505),
        (request(line: "POST /ws HTTP/1.1"), 405), (request(line: "GET  /ws HTTP/1.1"), 400),
        (request(line: "GET ws HTTP/1.1"), 400), (request(line: "GET /a#b HTTP/1.1"), 400),
        (request(dropping: ["Host"]), 400), (request(adding: ["Host: other"]), 400),
        (request(dropping: ["Upgrade"]), 426), (request(dropping: ["Connection"]), 400),
        (request(dropping: ["Sec-WebSocket-Version"]), 426),
        (request(dropping: ["Sec-WebSocket-Version"], adding: ["Sec-WebSocket-Version: 8"]), 426),
        (request(dropping: ["Sec-WebSocket-Key"]), 400),
        (request(adding: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]), 400),
        (request(dropping: ["Sec-WebSocket-Key"], adding: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"]), 400),
        (request(dropping: ["Sec-WebSocket-Key"], adding: ["Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ=="]), 400),
        (request(adding: [" folded"]), 400), (request(adding: ["Name : value"]), 400),
        (request(adding: ["novalue"]), 400),
        (request(adding: ["Bad: a\u{0}b"]), 400), (request(adding: ["Content-Length: 5"]), 400),
        (request(adding: ["Transfer-Encoding: chunked"]), 400),
        ("GET /ws HTTP/1.1\nHost: a\n\n", 400), ("\u{16}\u{3}\u{1}\u{2}", 400), ("SSH-2.0-OpenSSH_9.2\r\n", 400),
    ]

    @Test(arguments: wrong)
    func whatIsWrongIsRefused(_ text: String, _ expected: Int) { #expect(status(text) == expected) }

    @Test func versionRefusalsNameTheVersion() {
        guard case .complete(let head, _) = parse(request(dropping: ["Sec-WebSocket-Version"])),
            case .refused(let refusal) = Handshake.evaluate(head)
        else { return #expect(Bool(false)) }
        let answer = String(decoding: Handshake.response(refusal), as: UTF8.self)
        #expect(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n\(refusal.reason)\n"))
    }

    @Test func aHeaderOverTheLimitIsRefusedEvenBeforeItsEnd() {
        let long = request(adding: ["Long: " + String(repeating: "x", count: 2_000)])
        #expect(status(long, limit: 1_024) == 431)
        #expect(status(String(long.prefix(1_100)), limit: 1_024) == 431)
        #expect(status(long, limit: 4_096) == 101)
    }

    @Test func aHeaderHasAtMost128Fields() {
        let count = request().utf8.split(separator: 10).count - 2
        #expect(status(request(adding: Array(repeating: "a:", count: 128 - count))) == 101)
        #expect(status(request(adding: Array(repeating: "a:", count: 129 - count))) == 431)
    }

    @Test func whatIsNoUTF8IsReplacedByteForByte() {
        let head = Array("GET / HTTP/1.1\r\nA: b\u{E9}".utf8) + [0xFF, 0xE9] + Array("c\r\nB: \u{E9}\r\n\r\n".utf8)
        guard
            case .complete(let head, _) = head.withUnsafeBytes({ RequestParser.parse($0, scannedCount: 0, limit: 99) })
        else { return #expect(Bool(false)) }
        #expect(head.value("a") == "b\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}c")
        #expect(head.value("b") == "\u{E9}")
    }

    @Test(
        arguments: [
            ("a=1", "1"), ("b&a=2&a=3", "2"), ("&&a", ""), ("a=", ""), ("aa=1&A=2", nil), ("", nil),
            ("a=%41%4a+%2", "AJ %2"),
            ("a=%+1%-1", "% 1%-1"), ("b=a=1", nil), ("a=b=c", "b=c"), ("=a", nil),
        ] as [(String, String?)])
    func aParameterIsFound(_ query: String, _ expected: String?) {
        #expect(FormQuery.value("a", in: query) == expected)
    }

    @Test func elementsFromTheEnd() {
        let head = RequestHead(
            method: "GET", path: "/", query: nil, fields: [("x", "a, b"), ("y", "z"), ("x", ",c ,, d,")])
        var seen: [String] = []
        head.forEachElementFromTheEnd("x") {
            seen.append($0.text)
            return $0.text != "a"
        }
        #expect(seen == ["d", "c", "b", "a"])
        seen = []
        head.forEachElementFromTheEnd("x") {
            seen.append($0.text)
            return seen.count < 3
        }
        #expect(seen == ["d", "c", "b"])
    }

    @Test func bytesBehindTheHeadAreLeft() {
        guard case .complete(_, let count) = parse(request() + "rest") else { return #expect(Bool(false)) }
        #expect(count == request().utf8.count)
    }

    /// The parser is called again with more bytes and told how many it has seen.
    @Test func everyCutLeadsToTheSameHead() {
        let bytes = Array(request(adding: ["User-Agent: test"]).utf8)
        for cut in 1..<bytes.count {
            let first = bytes[..<cut].withUnsafeBytes { RequestParser.parse($0, scannedCount: 0, limit: 4_096) }
            guard case .incomplete = first else { return #expect(Bool(false), "cut at \(cut)") }
            let second = bytes.withUnsafeBytes { RequestParser.parse($0, scannedCount: cut, limit: 4_096) }
            guard case .complete(let head, _) = second else { return #expect(Bool(false), "cut at \(cut)") }
            #expect(head.value("user-agent") == "test")
        }
    }

    @Test(arguments: [
        ("https://example.org", "example.org", true), ("https://example.org", "EXAMPLE.org:443", true),
        ("http://localhost:8080", "localhost:8080", true), ("http://localhost", "localhost:8080", false),
        ("http://[::1]:8080", "[::1]:8080", true), ("https://evil.org", "example.org", false),
        ("https://example.org.evil.org", "example.org", false), ("HTTP://a:80", "A", true), ("http:/a://a", "a", true),
        ("http://a", "a:80", true), ("http://[::80", "[:", false), ("wss://a:443", "a:443", true), ("://a", "a", true),
        ("null", "example.org", false), ("", "", false),
    ])
    func sameHostComparesHostAndPort(_ origin: String, _ host: String, _ expected: Bool) {
        #expect(Handshake.isSameHost(origin, host: host) == expected)
    }
}
