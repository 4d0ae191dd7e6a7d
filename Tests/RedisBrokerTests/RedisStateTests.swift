import Base
import Broker
import FoundationEssentials
import Testing

@testable import RedisBroker

extension RedisTests {
    /// What is at a server, and what it has lost.
    @Suite struct State {
        @Test("A program with the rights in the manual, and no others, publishes to a channel that is new")
        func publishersRights() async throws {
            try await RedisFixture.with { fixture in
                let nodes = [fixture.node(prefix: "wsd")]
                try await nodes[0].isUp()
                let tree = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
                let manual = try String(contentsOfFile: tree + "/man/wsd-broker.7", encoding: .utf8)
                let start = try #require(manual.firstRange(of: "\nuser backend on ")).upperBound
                let end = try #require(manual[start...].firstRange(of: "\n.Ed")).lowerBound
                let rules = manual[start..<end].split { $0 == " " || $0 == "\n" }
                let words: [RESPArgument] = rules.map { .text(String($0)) }
                _ = try RedisClient(port: fixture.server.port).call(["ACL", "SETUSER", "backend", "on"] + words)
                let client = try RedisClient(port: fixture.server.port)
                try client.call("AUTH", "backend", "PASSWORD")
                let script = try #require(try client.call("GET", "wsd:publish").text)
                for limit in [0, 100] as [Int64] {
                    let answer = try client.call(
                        "EVAL", .text(script), 2, .text("wsd:{cn\(limit)}:m"), .text("wsd:{cn\(limit)}:h"),
                        .text("wsd:c:n\(limit)"), 1, "x", "-", 0, "random", .number(limit), 1_000, 100, 1_000)
                    #expect(answer.elements?.first?.text == "random")
                }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("The publish script refuses what would be damage to the nodes, and writes nothing")
        func badArguments() async throws {
            try await RedisFixture.with { fixture in
                let client = try RedisClient(port: fixture.server.port)
                let script = RESPArgument.text(RedisScript.publish.text)
                func publish(_ channel: String, _ count: String, _ epoch: String) throws -> RESPValue {
                    try client.call(
                        "EVAL", script, 2, .text("t:{c\(channel)}:m"), .text("t:{c\(channel)}:h"),
                        .text("t:c:\(channel)"), .text(count), "x", "-", 0, .text(epoch), 100, 1_000, 100, 1_000)
                }
                for count in ["", "-1", "1.5", "1e3", "12345678", "x"] {
                    #expect(throws: RedisError.self, "\(count)") { try publish("c", count, "e") }
                }
                #expect(try client.call("DBSIZE") == .integer(0))
                // Any other text that is to be an epoch stands for one that is made.
                for (place, epoch) in ["", "a:b", "0e984725-c51c-4bf4-9960-e1c80e27aba0", "E"].enumerated() {
                    let made = try #require(try publish("c\(place)", "1", epoch).elements?.first?.text)
                    #expect(made.wholeMatch(of: /[0-9a-z]{10,13}/) != nil, "\(made)")
                }
            }
        }

        @Test(
            "An epoch or a number of others that is none begins a new numbering",
            arguments: [
                ("e", ""), ("e", "a:b"), ("e", "0e984725-c51c-4bf4-9960-e1c80e27aba0"),
                ("e", String(repeating: "e", count: 70)), ("s", "-1"), ("s", "x"), ("s", "99999999999999999999"),
                ("s", "9007199254740992"),
            ])
        func strangeState(_ field: String, _ value: String) async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                try await nodes[0].subscribe("c", history: BrokerConformance.limits)
                try await nodes[0].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try fixture.server.call("HSET", "t:{cc}:m", .text(field), .text(value))
                try await nodes[0].publishAndWait("c", ["m2"], history: BrokerConformance.limits)
                try await nodes[0].record.wait("a new numbering") { $0.renumbered["c"]?.first }
                let position = try await nodes[0].publishAndWait("c", ["m3"], history: BrokerConformance.limits)
                #expect(position.seq == 2 && (1...13).contains(position.epoch.utf8.count))
                try await nodes[0].record.wait("the next") { $0.seen["c"]?.last == "m3" ? () : nil }
                // And where nobody publishes.
                try fixture.server.call("HSET", "t:{cd}:m", "e", "x", .text(field), .text(value))
                let sound = try await nodes[1].subscribe("d").position
                if value != "9007199254740992" { #expect(sound.seq == 0 && sound.epoch != value) }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A channel whose state is none keeps no node from being ready again")
        func otherChannelsOfAStrangeOne() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                for channel in ["good", "bad"] { try await nodes[0].subscribe(channel) }
                try fixture.server.call("DEL", "t:{cbad}:m")
                try fixture.server.call("SET", "t:{cbad}:m", "x")
                try await nodes[0].comesBack { try fixture.cutDeliveries() }
                try await nodes[0].publishAndWait("good", ["m1"])
                try await nodes[0].record.sees("good", ["m1"])
                // It heals.
                try fixture.server.call("DEL", "t:{cbad}:m")
                try await nodes[0].record.wait("renumbered") { $0.renumbered["bad"]?.first }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("Numbers that were acknowledged while nothing was delivered are not given again in one epoch")
        func rollbackWithoutDeliveries() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                try await node.subscribe("c")
                let before = try await node.publishAndWait("c", ["a", "b"])
                try await node.record.sees("c", ["a", "b"])
                try await fixture.forget {
                    try fixture.server.call("ACL", "SETUSER", "default", "-subscribe")
                    try fixture.cutDeliveries()
                    try await node.isDown { $0.contains("subscribe") }
                    let last = try await node.publishAndWait("c", ["c", "d", "e"])
                    #expect(last == MessagePosition(epoch: before.epoch, seq: 5))
                }
                #expect(try await node.publishAndWait("c", ["f"]).epoch != before.epoch)
                // Nor if it has been unsubscribed meanwhile, and is subscribed first.
                try await node.isUp()
                try await node.subscribe("d")
                let other = try await node.publishAndWait("d", ["a"])
                try await fixture.forget {
                    try await node.publishAndWait("d", ["b"])
                    node.broker.unsubscribe(["d"])
                }
                #expect(try await node.subscribe("d").position.epoch != other.epoch)
                await BrokerConformance.end([node])
            }
        }

        @Test(
            "A server that has lost messages is noticed by whoever subscribes a channel again meanwhile",
            arguments: [[], ["x6", "x7", "x8"], ["x6", "x7", "x8", "x9"]])
        func rollbackAtASubscription(_ again: [String]) async throws {
            try await RedisFixture.with { fixture in
                let limits = BrokerConformance.limits
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let late = fixture.node { $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)]) }
                let publisher = fixture.node()
                for node in [late, publisher] { try await node.isUp() }
                let epoch = try await late.subscribe("c", history: limits).position.epoch
                for index in 1...5 { try await publisher.publishAndWait("c", ["m\(index)"], history: limits) }
                try await fixture.forget {
                    for index in 6...8 { try await publisher.publishAndWait("c", ["lost\(index)"], history: limits) }
                    try await late.record.wait("all") { $0.seen["c"]?.count == 8 ? () : nil }
                    try await proxy.cut()
                    try await late.isDown()
                }
                // By one that has not been told of the first numbers.
                let other = fixture.node()
                try await other.isUp()
                for text in again { try await other.publishAndWait("c", [text], history: limits) }
                late.broker.subscribe([Subscription(channel: "c", history: limits)])
                try await proxy.mend()
                let answer = try await late.record.wait("subscribed again") { state in
                    state.subscribed["c"].flatMap { $0.count > 1 ? $0.last : nil }
                }
                #expect(answer.position.epoch != epoch)
                #expect(answer.history == BrokerConformance.texts(1...5) + again)
                await BrokerConformance.end([late, publisher, other])
                try await proxy.end()
            }
        }

        @Test("Questions about a channel's users that come while one is under way share an answer")
        func questionsOfMany() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                BrokerConformance.change(node, "c", "ada")
                try await BrokerConformance.hasMembers(node, "c", ["ada": 1])
                try fixture.server.call("CONFIG", "RESETSTAT")
                fixture.server.pause()
                for token in 1...100 as ClosedRange<UInt64> { node.broker.askForMembers(of: "c", token: token) }
                fixture.server.resume()
                let answers = try await node.record.wait("all answers") { state in
                    let answers = (1...100).compactMap { state.members[$0] }
                    return answers.count == 100 ? answers : nil
                }
                #expect(answers.allSatisfy { $0?.map(\.user) == ["ada"] })
                let statistics = try #require(try fixture.server.call("INFO", "commandstats").text)
                let line = try #require(statistics.split(whereSeparator: \.isNewline).first { $0.contains("hgetall:") })
                // As many as there are rounds: one is over when the next begins.
                let calls = try #require(line.firstMatch(of: /calls=([0-9]+),/).flatMap { Int($0.1) })
                #expect(calls < 50, "\(line)")
                await BrokerConformance.end([node])
            }
        }

        @Test("A history that has become larger than the limit is given as far as the limit goes")
        func largeHistory() async throws {
            try await RedisFixture.with { fixture in
                let nodes = [
                    fixture.node(), fixture.node { $0.decoderLimits.valueByteCount = 500_000 },
                ]
                for node in nodes { try await node.isUp() }
                let text = String(repeating: "x", count: 10_000)
                for index in 1...100 {
                    try await nodes[0].publishAndWait("c", ["\(index) " + text], history: BrokerConformance.limits)
                }
                let small = HistoryLimits(messageCount: 1_000, age: 600_000, byteCount: 100_000)
                let history = try await nodes[1].subscribe("c", history: small).history
                #expect(history.map { $0.prefix { $0 != " " } } == (91...100).map { "\($0)"[...] })
                // One batch is given in any case.
                let least = HistoryLimits(messageCount: 1_000, age: 600_000, byteCount: 10)
                #expect(try await nodes[1].subscribe("c", history: least).history.count == 1)
                await BrokerConformance.end(nodes)
            }
        }
    }
}
