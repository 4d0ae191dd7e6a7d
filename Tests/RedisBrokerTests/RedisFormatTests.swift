import Base
import Broker
import NIOCore
import Testing

@testable import RedisBroker

extension RedisTests {
    /// What is stored, as others may use it.
    @Suite struct Format {
        private static func publication(_ text: String) -> [UInt8] {
            let time = withUnsafeBytes(of: ContinuousTime.millisecondsSince1970.bigEndian) { Array($0) }
            return Array("c".utf8) + time + [0, 0, 0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8)
        }

        /// Runs the publish script as a node, and returns its epoch, number and whether it had been taken.
        private func publish(
            _ client: RedisClient, _ channel: String = "c", count: Int64 = 1, _ blob: String = "x", node: String,
            number: Int64, limit: Int64 = 100, bytes: Int64 = 1 << 20, now: Int64 = 1_000_000
        ) throws -> (epoch: String, seq: Int64, had: Int64) {
            let answer =
                try client.call([
                    "EVAL", .text(RedisScript.publish.text), "2", .text("t:{c\(channel)}:m"),
                    .text("t:{c\(channel)}:h"),
                    .text("t:c:\(channel)"), .number(count), .text(blob), .text(node), .number(number), "fresh",
                    .number(limit),
                    .number(bytes), 100, 1_000, .number(now),
                ]).elements ?? []
            return (answer[0].text ?? "", answer[1].number ?? -1, answer[2].number ?? -1)
        }

        @Test("Another program publishes by the stored script")
        func otherPrograms() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                try await nodes[0].subscribe("c", history: BrokerConformance.limits)
                let client = try RedisClient(port: fixture.server.port)
                let script = try #require(try client.call("GET", "t:publish").text)
                let hash = try #require(try client.call("SCRIPT", "LOAD", .text(script)).text)
                for text in ["one", "two"] {
                    try client.call(
                        "EVALSHA", .text(hash), "2", "t:{cc}:m", "t:{cc}:h", "t:c:c", 1,
                        .bytes(Self.publication(text)), "-", 0, "random", 100, 1_048_576, 300, 86_400)
                }
                try await nodes[0].record.sees("c", ["one", "two"])
                let batches = try #require(nodes[0].record.now.batches["c"])
                #expect(batches.map(\.node) == [nil, nil])
                #expect(batches.map(\.position.seq) == [1, 2])
                #expect(batches[0].number < batches[1].number, "they are told apart by their time")
                #expect(try await nodes[0].subscribe("c", history: BrokerConformance.limits).history == ["one", "two"])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("What is in the keys of a channel")
        func keys() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                #expect(try publish(client, count: 2, "ab", node: "n1", number: 7) == ("fresh", 2, 0))
                #expect(try publish(client, count: 1, "c", node: "n2", number: 1) == ("fresh", 3, 0))
                #expect(try publish(client, count: 0, "d", node: "n2", number: 2) == ("fresh", 3, 0))
                let meta = try client.call("HGETALL", "t:{cc}:m")
                for (key, value) in [
                    ("e", "fresh"), ("s", "3"), ("l", "n2:1"), ("b", "3"), ("n:n1", "7:2:1000000"),
                    ("n:n2", "2:3:1000000"),
                ] { #expect(meta[key]?.text == value, "\(key)") }
                let entries = try client.call("XRANGE", "t:{cc}:h", "-", "+").elements ?? []
                #expect(entries.map { $0.elements?.first?.text } == ["2-0", "3-0"])
                let fields = entries.first?.elements?.last?.elements?.compactMap(\.text)
                #expect(fields == ["n", "2", "d", "ab", "o", "n1:7", "b", "2"])
                #expect((900...1_000).contains(try client.call("TTL", "t:{cc}:m").number ?? 0))
                #expect((90...100).contains(try client.call("TTL", "t:{cc}:h").number ?? 0))
            }
        }

        @Test("A batch that comes again has the position that it was given")
        func repetition() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                #expect(try publish(client, count: 2, node: "n1", number: 7) == ("fresh", 2, 0))
                #expect(try publish(client, count: 5, node: "n2", number: 1) == ("fresh", 7, 0))
                #expect(try publish(client, count: 2, node: "n1", number: 7) == ("fresh", 2, 1))
                #expect(try publish(client, count: 1, node: "n1", number: 8) == ("fresh", 8, 0))
                #expect(try client.call("XLEN", "t:{cc}:h") == .integer(3))
                // Numbers that Lua writes as 1e+15 otherwise.
                let large: Int64 = 1_795_918_738_269_002
                #expect(try publish(client, node: "n1", number: large) == ("fresh", 9, 0))
                #expect(try publish(client, node: "n1", number: large) == ("fresh", 9, 1))
                #expect(try publish(client, node: "n1", number: large + 1) == ("fresh", 10, 0))
            }
        }

        @Test("What is kept of nodes that are long gone is bounded")
        func oldNodes() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                for index in 1...200 as ClosedRange<Int64> {
                    _ = try publish(client, node: "n\(index)", number: 1, now: 1_000_000 + index * 100)
                }
                let count = try #require(try client.call("HLEN", "t:{cc}:m").number)
                #expect((36...72).contains(count), "\(count) fields")
                // The last ones are there.
                for index in 170...200 as ClosedRange<Int64> {
                    #expect(try publish(client, node: "n\(index)", number: 1).had == 1)
                }
            }
        }

        @Test("The history is cut to its bytes, and never to less than the last batch")
        func byteLimit() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                var random = Seeded()
                for index in 1...500 as ClosedRange<Int64> {
                    let size = Int.random(in: 1...2_000, using: &random)
                    _ = try publish(
                        client, count: .random(in: 1...5, using: &random), String(repeating: "x", count: size),
                        node: "n",
                        number: index, limit: 10_000, bytes: 32_000)
                    guard index % 50 == 0 else { continue }
                    let entries = try client.call("XRANGE", "t:{cc}:h", "-", "+").elements ?? []
                    let total = entries.reduce(0) { $0 + ($1.elements?[1]["d"]?.bytes?.readableBytes ?? 0) }
                    #expect(total <= 32_000 + 2_000 + 2_000, "seed \(random.seed)")
                    if index >= 100 { #expect(total >= 32_000 - 2_000, "seed \(random.seed)") }
                }
                _ = try publish(
                    client, count: 1, String(repeating: "x", count: 100_000), node: "n", number: 501, limit: 10_000,
                    bytes: 32_000)
                #expect(try client.call("XLEN", "t:{cc}:h") == .integer(1))
            }
        }

        @Test("A history that is left of an earlier numbering is not gone on with")
        func leftovers() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                for index in 1...3 as ClosedRange<Int64> { _ = try publish(client, "old", node: "n", number: index) }
                try client.call("DEL", "t:{cold}:m")
                #expect(try publish(client, "old", count: 5, "new", node: "n", number: 4) == ("fresh", 5, 0))
                #expect(try client.call("XLEN", "t:{cold}:h") == .integer(1))
                // Numbers that are behind those of the history.
                try client.call("HSET", "t:{cold}:m", "s", "2")
                #expect(try publish(client, "old", count: 1, "late", node: "n", number: 5) == ("fresh", 3, 0))
                #expect(try client.call("XLEN", "t:{cold}:h") == .integer(1))
            }
        }

        @Test("The keys of quiet channels live on while they are used")
        func refreshing() async throws {
            try await RedisFixture.with([]) { options in
                options.keyRefreshInterval = .milliseconds(50)
            } body: { fixture in
                let nodes = try await fixture.nodes(1)
                try await nodes[0].subscribe("c")
                BrokerConformance.change(nodes[0], "c", "ada")
                try await BrokerConformance.hasMembers(nodes[0], "c", ["ada": 1])
                for key in ["t:{cc}:m", "t:{cc}:u", "t:{cc}:n"] {
                    try fixture.server.call("EXPIRE", .text(key), 10)
                    try await BrokerConformance.eventually("\(key) lives on") {
                        try fixture.server.call("TTL", .text(key)).number ?? 0 > 10_000
                    }
                }
                await BrokerConformance.end(nodes)
            }
        }
    }
}
