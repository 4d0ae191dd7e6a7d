import Base
import Broker
import BrokerSupport
import NIOCore
import Testing

@testable import NATSBroker

/// What is sent and received, without a server.
@Suite struct NATSFormatTests {
    private static let stream =
        "INFO {\"server_id\":\"x\",\"headers\":true} \r\nPING\r\nMSG a.b 1 5\r\nhello\r\n+OK\r\n"
        + "MSG a.b  12  _INBOX.1 0\r\n\r\nHMSG s 3 23 26\r\nNATS/1.0\r\nA: b\r\nc:  d\r\n\r\nx\r\npong\n"
        + "-ERR 'Permissions Violation for Publish to \"x\"'\r\n"

    private func operations(_ pieces: [[UInt8]], _ limits: NATSDecoder.Limits = .init()) throws -> [NATSOperation] {
        var decoder = NATSDecoder(limits: limits)
        var found: [NATSOperation] = []
        for piece in pieces {
            decoder.append(ByteBuffer(bytes: piece))
            while let operation = try decoder.next() { found.append(operation) }
        }
        return found
    }

    private let expected: [NATSOperation] = [
        .info(ByteBuffer(string: "{\"server_id\":\"x\",\"headers\":true} ")), .ping,
        .message(NATSMessage(subject: "a.b", subscription: 1, payload: ByteBuffer(string: "hello"))), .ok,
        .message(NATSMessage(subject: "a.b", subscription: 12, reply: "_INBOX.1")),
        .message(
            NATSMessage(
                subject: "s", subscription: 3, header: NATSHeader(ByteBuffer(string: "NATS/1.0\r\nA: b\r\nc:  d\r\n")),
                payload: ByteBuffer(string: "\r\nx"))),
        .pong, .error("Permissions Violation for Publish to \"x\""),
    ]

    @Test("Operations are the same however their bytes are cut")
    func cuts() throws {
        let bytes = Array(Self.stream.utf8)
        #expect(try operations([bytes]) == expected)
        #expect(try operations(bytes.map { [$0] }) == expected)
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(seed: seed)
        for _ in 0..<500 {
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...min(40, rest.count), using: &random)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(try operations(pieces) == expected, "seed \(seed)")
        }
    }

    @Test("Damaged bytes are refused or read, and never more")
    func damage() {
        let seed = UInt64.random(in: 0 ... .max)
        Array(Self.stream.utf8).damaged(3_000, seed: seed) { bytes in _ = try? operations([bytes]) }
    }

    @Test(
        "What is no operation, or too large, is refused",
        arguments: [
            "FOO\r\n", "MSG a 1\r\n", "MSG a x 1\r\n", "MSG a 1 -1\r\n", "MSG a 1 99999999999999999999\r\n",
            "MSG a 1 11\r\n", "HMSG a 1 5 4\r\n", "HMSG a 1 9 11\r\n", "MSG a 1 2\r\nabcd", "MSG a b c d e 1\r\n",
            String(repeating: "x", count: 101),
        ])
    func refused(_ text: String) {
        let limits = NATSDecoder.Limits(lineByteCount: 100, messageByteCount: 10)
        #expect(throws: NATSError.self) { try operations([Array(text.utf8)], limits) }
        #expect(throws: NATSError.self) { try operations(text.utf8.map { [$0] }, limits) }
    }

    @Test("A header may be as large as a message")
    func largeHeader() throws {
        let header = "NATS/1.0\r\nA: \(String(repeating: "x", count: 1 << 20))\r\n\r\n"
        let text = "HMSG s 3 \(header.utf8.count) \(header.utf8.count + 1)\r\n\(header)y\r\n"
        let message = NATSMessage(
            subject: "s", subscription: 3, header: NATSHeader(ByteBuffer(string: header)),
            payload: ByteBuffer(string: "y"))
        #expect(try operations([Array(text.utf8)]) == [.message(message)])
    }

    @Test("What stands for nobody has no place in a stream, and newer servers name the subject in it")
    func nobody() {
        func isFromNobody(_ header: String, _ payload: String = "") -> Bool {
            NATSMessage(
                subject: "s", subscription: 1, header: NATSHeader(ByteBuffer(string: header)),
                payload: ByteBuffer(string: payload)
            ).isFromNobody
        }
        #expect(isFromNobody("NATS/1.0 503\r\n\r\n"))
        #expect(isFromNobody("NATS/1.0 503\r\nNats-Subject: a\r\n\r\n"))
        #expect(!isFromNobody("NATS/1.0 503\r\n\r\n", "x"))
        #expect(!isFromNobody("NATS/1.0 503\r\nNats-Subject: a\r\nNats-Sequence: 5\r\n\r\n"))
        #expect(!isFromNobody("NATS/1.0 404\r\n\r\n"))
    }

    @Test("A stream that knows an identity and has no place for it yet does not refuse the message")
    func inProcess() {
        func isInProcess(_ text: String) -> Bool {
            let message = NATSMessage(subject: "s", subscription: 1, payload: ByteBuffer(string: text))
            if case .inProcess = StreamAnswer(.message(message)) { return true }
            return false
        }
        #expect(isInProcess("{\"error\":{\"code\":409,\"err_code\":10158},\"stream\":\"s\",\"seq\":0}"))
        #expect(isInProcess("{\"stream\":\"s\", \"seq\":0,\"duplicate\": true}"))
        #expect(!isInProcess("{\"stream\":\"s\", \"seq\":7,\"duplicate\": true}"))
        #expect(!isInProcess("{\"error\":{\"code\":400,\"err_code\":10071},\"stream\":\"s\",\"seq\":0}"))
    }

    @Test(
        "A header that counts more than there is, or beyond all bounds, is none",
        arguments: [
            "9999999999999999999:9223372036854775807:e:-:0:", "9007199254740993:0:e:-:0:", "2:2:e:-:0:",
            "2:2:e:-:0:\(String(repeating: "x", count: 29))",
        ])
    func boundlessHeader(_ text: String) {
        var message = ByteBuffer(string: text)
        #expect(LiveHeader(from: &message) == nil)
        #expect(message == ByteBuffer(string: text))
    }

    @Test("A header counts as many publications as there may be")
    func boundedHeader() {
        var message = ByteBuffer(string: "9007199254740992:2:e:-:5:\(String(repeating: "x", count: 30))")
        #expect(
            LiveHeader(from: &message)
                == LiveHeader(last: 9_007_199_254_740_992, count: 2, epoch: "e", node: nil, number: 5))
        #expect(message.readableBytes == 30)
    }

    @Test("Header lines are found by their names")
    func header() {
        let header = NATSHeader(
            ByteBuffer(
                string: "NATS/1.0 404 No Messages\r\nNats-Sequence: 12\r\nNats-Sequence-2: 3\r\nEmpty:\r\nX:y \r\n\r\n")
        )
        #expect(header.status == 404)
        #expect(header.number("Nats-Sequence") == 12)
        #expect(header["X"] == "y")
        #expect(header["Empty"] == "")
        #expect(header["Nats"] == nil)
        #expect(NATSHeader(ByteBuffer(string: "NATS/1.0\r\n\r\n")).status == nil)
        #expect(NATSHeader(ByteBuffer(string: "A: 99999999999999999999\r\n")).number("A") == nil)
        #expect(NATSHeader().status == nil)
    }

    @Test("Names with any characters have subjects of their own")
    func subjects() {
        let names = ["", "=", "a.b", "*", ">", "ü", "a b", "A_b-9", "=3D", "\0", "\n"]
        #expect(Set(names.map(NATSSubjects.escaped)).count == names.count)
        for name in names {
            let text = NATSSubjects.escaped(name)
            #expect(!text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && !".*>~".utf8.contains($0) })
            #expect(NATSSubjects.unescaped(text) == name)
        }
        #expect(NATSSubjects.escaped("room:1") == "room=3A1")
        let subjects = NATSSubjects(prefix: "a.b")
        let limits = HistoryLimits(messageCount: 100, age: 3_600_000, byteCount: 1)
        #expect(subjects.stream(limits).name == "a=2Eb_100_86400")
        #expect(subjects.stream(limits).subject("x.y") == "a=2Eb.ch.100-86400.x=2Ey")
        #expect(subjects.stream(nil).messageCount == 1)
        #expect(subjects.channelAndUser(of: subjects.user("a.b", "c d"))?.user == "c d")
        let longest = HistoryLimits(messageCount: .max, age: .max, byteCount: .max)
        #expect(subjects.stream(longest).life > 0)
    }

    @Test("Where a user is goes into a row and out of it")
    func rows() {
        var row = UserRow()
        #expect(row.text == "u")
        row.nodes[NodeID(rawValue: 7)] = UserRow.Node(since: 1_000, isAnnounced: true)
        row.nodes[NodeID(rawValue: 1 << 60)] = UserRow.Node(since: -1, isAnnounced: false)
        #expect(UserRow(row.text) == row)
        #expect(UserRow("u,x,7:1,7:a:1,,").nodes.isEmpty)
        let many = (1...10_001).map { ",\(NodeID(rawValue: UInt64($0))):0:0" }
        #expect(UserRow("u" + many.joined()).nodes.count == 10_000)
    }

    private func message(_ seq: UInt64, after claimed: UInt64?, _ last: UInt64, _ count: Int = 1) -> StreamMessage {
        let head = claimed.map { "NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: \($0)\r\n\r\n" } ?? ""
        return StreamMessage(
            seq: seq, header: NATSHeader(ByteBuffer(string: head)),
            payload: ByteBuffer(string: "\(last):\(count):e:-:0:\(String(repeating: "x", count: 15 * count))"))
    }

    @Test("A message counts if it follows the one that it claims to follow")
    func counting() {
        func counted(_ messages: [StreamMessage]) -> [UInt64] { StreamHistory.counting(messages).map(\.seq) }
        #expect(counted([]) == [])
        #expect(counted([message(5, after: 2, 7)]) == [5])
        #expect(counted([message(5, after: 2, 7), message(9, after: 5, 9, 2)]) == [5, 9])
        // Two that claim to follow one, and one that claims nothing.
        let twice = [
            message(5, after: 2, 7), message(6, after: 5, 8), message(8, after: 5, 8), message(9, after: 8, 9),
        ]
        #expect(counted(twice) == [5, 6, 9])
        #expect(counted([message(5, after: 2, 7), message(6, after: nil, 8), message(7, after: 6, 8)]) == [5, 7])
        // One that was removed between the two.
        #expect(counted([message(5, after: 2, 7), message(9, after: 7, 10)]) == [5, 9])
    }

    @Test("A seed signs what nkeys' own library says it does")
    func keys() throws {
        let seed = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
        let key = try NATSKey(seed: seed)
        #expect(key.publicText == "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK")
        // Signatures of Ed25519 need not be the same each time.
        let signature = try #require(key.signature(of: "nonce"))
        #expect(signature.count == 86 && signature.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
        let damaged = seed.replacing("AAICA", with: "AAICB")
        for text in ["", "S", damaged, "x y", String(repeating: "A", count: 58)] {
            #expect(throws: NATSKeyError.self) { try NATSKey(seed: text) }
            #expect(throws: NATSKeyError.self) { try NATSLogin(file: text) }
        }
        #expect(throws: NATSKeyError.self) {
            try NATSLogin(file: "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n")
        }
    }

    @Test func addresses() {
        #expect(NATSAddress("10.0.0.5:4222") == NATSAddress(host: "10.0.0.5", port: 4222))
        #expect(NATSAddress("[::1]:4222") == NATSAddress(host: "::1", port: 4222))
        for text in ["", ":", "a", "a:0", "a:65536", "::1:4222", "a b:1"] { #expect(NATSAddress(text) == nil) }
    }

    @Test("Servers that a server does not tell of any more are forgotten")
    func servers() {
        let configured = [NATSAddress(host: "a", port: 1)]
        func known(_ text: String) -> [String] {
            NATSLink.servers(configured, and: NATSServerInfo(ByteBuffer(string: text)) ?? .init()).map(\.description)
        }
        #expect(known("{\"connect_urls\":[\"b:2\",\"a:1\",\"c:3\"]}") == ["a:1", "b:2", "c:3"])
        #expect(known("{\"connect_urls\":[\"d:4\"]}") == ["a:1", "d:4"])
        #expect(known("{}") == ["a:1"])
    }

    @Test func whatIsSaidToLogIn() {
        var options = NATSBroker.Options([], node: .random())
        options.login = .user("a\"b", password: "c\\d\n")
        let text = NATSConnection.connectText(NATSServerInfo(), options)
        #expect(text.contains("\"user\":\"a\\\"b\",\"pass\":\"c\\\\d\\u000a\""))
    }
}
