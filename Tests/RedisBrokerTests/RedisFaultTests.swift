import Broker
import Glibc
import Testing

@testable import RedisBroker

extension RedisTests {
    /// What Redis servers do to their clients.
    @Suite struct Fault {
        @Test("A server that stands still is noticed, and what was published then is there later")
        func pause() async throws {
            try await RedisFixture.with { fixture in
                try await BrokerConformance.aPauseIsNoticed(fixture, within: .seconds(1.6))
            }
        }

        @Test func aRestartIsMadeUpFor() async throws {
            try await RedisFixture.with { try await BrokerConformance.aRestartIsMadeUpFor($0) }
        }

        @Test("A subscriber that the server cuts for its backlog misses nothing")
        func slowNode() async throws {
            try await RedisFixture.with(["--client-output-buffer-limit", "pubsub", "4mb", "2mb", "60"]) { fixture in
                try await BrokerConformance.aSlowNodeIsMadeUpFor(fixture, byteCount: 20 << 20)
            }
        }

        @Test func tenThousandChannelsComeBack() async throws {
            try await RedisFixture.with { try await BrokerConformance.manyChannelsComeBack($0, 10_000) }
        }

        @Test("A server that is not there at the start is awaited")
        func unreachable() async throws {
            try await RedisFixture.with { fixture in
                fixture.server.kill()
                try await BrokerConformance.itIsAwaited(fixture.node()) { try fixture.server.start() }
            }
        }

        @Test("A wrong password is told, and tried again", arguments: [false, true])
        func credentials(isAtReconnect: Bool) async throws {
            try await RedisFixture.with(["--requirepass", "right"]) { options in
                options.password = "right"
            } body: { fixture in
                let client = try RedisClient(port: fixture.server.port)
                try client.call("AUTH", "right")
                if !isAtReconnect { try client.call("CONFIG", "SET", "requirepass", "other") }
                let node = fixture.node()
                if isAtReconnect {
                    try await node.isUp()
                    try client.call("CONFIG", "SET", "requirepass", "other")
                    try client.call("CLIENT", "KILL", "TYPE", "normal")
                    try client.call("CLIENT", "KILL", "TYPE", "pubsub")
                }
                let reason = try await node.isDown { $0.contains("password") }
                #expect(
                    reason.hasPrefix("127.0.0.1:\(fixture.server.port) refused the password: WRONGPASS"), "\(reason)")
                try client.call("CONFIG", "SET", "requirepass", "right")
                try await node.isUp()
                await BrokerConformance.end([node])
            }
        }

        @Test(
            "What is wrong with a server is said",
            arguments: [
                (["--requirepass", "x"], "asks for a password: NOAUTH"),
                (["--replicaof", "127.0.0.1", "1"], "is a replica"),
                (["--cluster-enabled", "yes"], "is part of a cluster"),
            ])
        func unfit(_ arguments: [String], _ expected: String) async throws {
            try await RedisFixture.with(arguments) { fixture in
                let node = fixture.node()
                let reason = try await node.isDown { !$0.contains("yet") }
                #expect(reason.hasPrefix("127.0.0.1:\(fixture.server.port) \(expected)"), "\(reason)")
                await BrokerConformance.end([node])
            }
        }

        @Test("A full server is told, and batches are refused with its words, and taken later")
        func outOfMemory() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { try await node.subscribe("c", history: BrokerConformance.limits) }
                try await nodes[0].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try fixture.server.call("CONFIG", "SET", "maxmemory", "1")
                let reason = try await nodes[0].isDown()
                #expect(reason.contains("OOM"), "\(reason)")
                let refused = nodes[0].publish("d", ["x"], within: .milliseconds(300))
                let refusal = try await nodes[0].refused("d", refused)
                #expect(refusal.reason.contains("OOM"), "\(refusal)")
                let waiting = nodes[0].publish("c", ["m2"], history: BrokerConformance.limits)
                try fixture.server.call("CONFIG", "SET", "maxmemory", "0")
                _ = try await nodes[0].accepted("c", waiting)
                for node in nodes {
                    try await node.isUp()
                    try await node.record.sees("c", ["m1", "m2"])
                }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A user with these rights, and no others, is enough")
        func rights() async throws {
            try await RedisFixture.with { options in
                options.user = "wsd"
                options.password = "secret"
            } body: { fixture in
                let rights = RedisBroker.accessRules(prefix: "t")
                try fixture.server.call("ACL", "SETUSER", "wsd", "on", ">secret", "reset", "on", ">secret")
                let words: [RESPArgument] = rights.split(separator: " ").map { .text(String($0)) }
                _ = try RedisClient(port: fixture.server.port).call(["ACL", "SETUSER", "wsd", "on", ">secret"] + words)
                let nodes = try await fixture.nodes(2)
                for node in nodes { try await node.subscribe("c", history: BrokerConformance.limits) }
                try await nodes[0].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                BrokerConformance.change(nodes[0], "c", "ada")
                try await nodes[1].record.sees("c", ["m1", "+ada"])
                try await nodes[1].comesBack { try fixture.cutDeliveries() }
                try await BrokerConformance.hasMembers(nodes[1], "c", ["ada": 1])
                await BrokerConformance.end([nodes[0]])
                try await nodes[1].record.sees("c", ["m1", "+ada", "-ada"])
                // Each of them is needed.
                try fixture.server.call("ACL", "SETUSER", "wsd", "-xadd")
                let reason = try await nodes[1].isDown()
                #expect(reason.contains("xadd") || reason.contains("can't run"), "\(reason)")
                try fixture.server.call("ACL", "SETUSER", "wsd", "+xadd")
                try await nodes[1].isUp()
                let log = try fixture.server.call("ACL", "LOG").elements ?? []
                #expect(log.allSatisfy { $0["object"]?.text == "xadd" }, "\(log)")
                await BrokerConformance.end([nodes[1]])
            }
        }

        @Test("A server that forgot the scripts is given them again")
        func forgottenScripts() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                try await nodes[0].subscribe("c")
                for index in 1...20 {
                    if index % 5 == 0 { try fixture.server.call("SCRIPT", "FLUSH") }
                    try await nodes[0].publishAndWait("c", ["m\(index)"])
                }
                try await nodes[0].record.sees("c", BrokerConformance.texts(1...20))
                await BrokerConformance.end(nodes)
            }
        }

        @Test("What others wrote under a channel's key is said to its publisher, and disturbs no other")
        func strangeKeys() async throws {
            try await RedisFixture.with { fixture in
                try fixture.server.call("SET", "t:{cbad}:m", "x")
                let nodes = try await fixture.nodes(1)
                nodes[0].broker.subscribe([Subscription(channel: "bad", history: nil)])
                let refused = nodes[0].publish("bad", ["x"])
                #expect(try await nodes[0].refused("bad", refused).reason.contains("WRONGTYPE"))
                try await nodes[0].subscribe("good")
                try await nodes[0].publishAndWait("good", ["m1"])
                try await nodes[0].isUp()
                // It heals.
                try fixture.server.call("DEL", "t:{cbad}:m")
                try await nodes[0].record.wait("subscribed") { $0.subscribed["bad"] != nil ? () : nil }
                try await nodes[0].publishAndWait("bad", ["m1"])
                try await nodes[0].record.sees("bad", ["m1"])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A damaged message is counted, and the next one makes up for it")
        func damagedMessages() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                let position = try await nodes[0].subscribe("c").position
                for text in [
                    "", "x", "1:2:e:-:0:x", "1:1:\(position.epoch)", "-1:0:e:-:0:", "99999999999999999999:1:e:-:0:",
                ] {
                    try fixture.server.call("PUBLISH", "t:c:c", .text(text))
                }
                try await nodes[0].publishAndWait("c", ["m1"])
                try await nodes[0].record.sees("c", ["m1"])
                #expect((nodes[0].broker as? RedisBroker)?.statistics.damagedMessages == 6)
                await BrokerConformance.end(nodes)
            }
        }
    }
}
