import NIOCore
import Testing

@testable import RedisBroker

@Suite struct RESPTests {
    private static func string(_ text: String) -> RESPValue { .string(ByteBuffer(string: text)) }

    /// Values of all types, as they are sent and as they are read.
    private static let samples: [(String, RESPValue)] = [
        ("+OK\r\n", string("OK")),
        ("-WRONGPASS no such user\r\n", .error(RedisError("WRONGPASS no such user"))),
        (":-42\r\n", .integer(-42)),
        ("$5\r\na\r\nbc\r\n", string("a\r\nbc")),
        ("$0\r\n\r\n", string("")),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("*0\r\n", .array([])),
        ("*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", .array([.integer(1), .array([string("x")])])),
        ("_\r\n", .null),
        ("#t\r\n", .boolean(true)),
        (",1.5\r\n", .double(1.5)),
        (",inf\r\n", .double(.infinity)),
        ("(12345678901234567890123\r\n", .bigNumber("12345678901234567890123")),
        ("!9\r\nERR it is\r\n", .error(RedisError("ERR it is"))),
        ("=8\r\ntxt:some\r\n", string("some")),
        ("%1\r\n+a\r\n:1\r\n", .map([string("a"), .integer(1)])),
        ("~2\r\n+a\r\n+b\r\n", .set([string("a"), string("b")])),
        ("|1\r\n+ttl\r\n:9\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", .array([.integer(1), .integer(2)])),
        (">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n", .push([string("message"), string("c"), string("m")])),
    ]

    private static var all: [UInt8] { samples.flatMap { Array($0.0.utf8) } }

    private func values(_ parts: [ArraySlice<UInt8>]) throws -> [RESPValue] {
        var decoder = RESPDecoder()
        var values: [RESPValue] = []
        for part in parts {
            decoder.append(ByteBuffer(bytes: part))
            while let value = try decoder.next() { values.append(value) }
        }
        return values
    }

    @Test func allTypesAreRead() throws {
        #expect(try values([Self.all[...]]) == Self.samples.map(\.1))
    }

    @Test("It does not matter how the bytes are cut")
    func cuts() throws {
        #expect(try values(Self.all.indices.map { Self.all[$0...$0] }) == Self.samples.map(\.1))
        var random = Seeded()
        for _ in 0..<200 {
            var parts: [ArraySlice<UInt8>] = []
            var start = 0
            while start < Self.all.count {
                let end = min(Self.all.count, start + Int.random(in: 1...30, using: &random))
                parts.append(Self.all[start..<end])
                start = end
            }
            #expect(try values(parts) == Self.samples.map(\.1), "seed \(random.seed)")
        }
    }

    @Test(
        "What is no RESP is refused, and so is what is streamed",
        arguments: [
            "x\r\n", "$?\r\n", "*?\r\n", "$-2\r\n", "$1\r\nab\r\n", ":1.5\r\n", "#x\r\n", ",x\r\n", "(x\r\n",
            "=2\r\nab\r\n",
            "*1\r\n>1\r\n+a\r\n", "+a\rb\r\n", "_x\r\n", "*12345678901234\r\n", ";4\r\n",
        ])
    func damage(_ text: String) {
        #expect(throws: RESPError.self) { try values([Array(text.utf8)[...]]) }
    }

    @Test("A server can't make a client keep more than the limits")
    func limits() {
        var limits = RESPDecoder.Limits()
        limits.stringByteCount = 100
        limits.valueByteCount = 1_000
        limits.lineByteCount = 50
        limits.elementCount = 20
        func isRefused(_ text: String) -> Bool {
            var decoder = RESPDecoder(limits: limits)
            decoder.append(ByteBuffer(string: text))
            do {
                while try decoder.next() != nil {}
                return false
            } catch {
                return true
            }
        }
        #expect(isRefused("+" + String(repeating: "x", count: 51)))
        #expect(!isRefused("+" + String(repeating: "x", count: 50) + "\r\n"))
        #expect(isRefused("*21\r\n"))
        #expect(isRefused(String(repeating: "*1\r\n", count: 17)))
        #expect(!isRefused(String(repeating: "*1\r\n", count: 16)))
        #expect(
            isRefused("*15\r\n" + String(repeating: "$90\r\n" + String(repeating: "x", count: 90) + "\r\n", count: 12)))
        #expect(!isRefused(String(repeating: "$90\r\n" + String(repeating: "x", count: 90) + "\r\n", count: 12)))
    }

    @Test("A string that is too long is null, and costs what is around it nothing")
    func longStrings() throws {
        var limits = RESPDecoder.Limits()
        limits.stringByteCount = 100
        let long = "$101\r\n" + String(repeating: "x", count: 101) + "\r\n"
        let text = "*2\r\n" + long + "+a\r\n" + long + "$100\r\n" + String(repeating: "y", count: 100) + "\r\n"
        let expected: [RESPValue] = [
            .array([.null, Self.string("a")]), .null, Self.string(String(repeating: "y", count: 100)),
        ]
        for size in [1, 2, 7, 50, 1_000] {
            var decoder = RESPDecoder(limits: limits)
            var found: [RESPValue] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                decoder.append(ByteBuffer(bytes: rest.prefix(size)))
                rest = rest.dropFirst(size)
                while let value = try decoder.next() { found.append(value) }
            }
            #expect(found == expected, "\(size) bytes at once")
        }
    }

    @Test("Damage never does more than end the reading")
    func corruption() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        Self.all.damaged(20_000, seed: seed) { bytes in
            var decoder = RESPDecoder()
            decoder.append(ByteBuffer(bytes: bytes))
            while let value = try? decoder.next() { _ = value }
        }
    }

    @Test func commandsAreArraysOfStrings() {
        var buffer = ByteBuffer()
        buffer.writeCommand([
            "SET", .text("é"), .number(-120), .bytes([0, 13, 10]), .text(String(repeating: "x", count: 12)),
        ])
        #expect(
            String(buffer: buffer)
                == "*5\r\n$3\r\nSET\r\n$2\r\né\r\n$4\r\n-120\r\n$3\r\n\0\r\n\r\n$12\r\nxxxxxxxxxxxx\r\n")
    }

    @Test("The code of an error within a script is that of its command")
    func codes() {
        #expect(RedisError("OOM command not allowed when used memory > 'maxmemory'.").code == "OOM")
        #expect(
            RedisError(
                "ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM command not allowed"
            )
            .code == "OOM")
        #expect(RedisError("ERR The user executing the script can't run this command or subcommand").code == "NOPERM")
        #expect(RedisError("ERR unknown command").code == "ERR")
    }

    @Test(
        "Addresses",
        arguments: [
            ("10.0.0.5", "10.0.0.5:6379"), ("redis:7000", "redis:7000"), ("[::1]", "[::1]:6379"),
            ("[::1]:1", "[::1]:1"),
            ("/run/redis.sock", "/run/redis.sock"), ("::1", nil), ("a:0", nil), ("a:70000", nil), ("", nil),
            ("a b", nil),
            (":1", nil),
        ] as [(String, String?)])
    func addresses(_ text: String, _ expected: String?) {
        #expect(RedisAddress(text)?.description == expected)
    }
}
