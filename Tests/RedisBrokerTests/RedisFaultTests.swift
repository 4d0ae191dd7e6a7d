import Base
import Broker
import Glibc
import Testing

@testable import RedisBroker

extension RedisTests {
    /// What Redis servers do to their clients.
    @Suite struct Fault {
        @Test(
            "The users of a node that is lost vanish in time, and come back with it", arguments: RedisProgram.allCases)
        func lostNode(_ program: RedisProgram) async throws {
            try await RedisFixture.with(program: program) { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let lost = fixture.node { $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)]) }
                try await BrokerConformance.aLostNodesUsersVanish(
                    fixture, within: .seconds(10), cut: { _ in try await proxy.cut() },
                    mend: { _ in try await proxy.mend() }, lost: lost)
                try await proxy.end()
            }
        }

        @Test("A subscriber that the server cuts for its backlog misses nothing", arguments: RedisProgram.allCases)
        func slowNode(_ program: RedisProgram) async throws {
            let limit = ["--client-output-buffer-limit", "pubsub", "4mb", "2mb", "60"]
            try await RedisFixture.with(limit, program: program) { fixture in
                try await BrokerConformance.aSlowNodeIsMadeUpFor(fixture, byteCount: 20 << 20)
            }
        }

        @Test func tenThousandChannelsComeBack() async throws {
            // What is said on the way keeps a busy machine from answering probes, and the channels have no history.
            try await RedisFixture.with { options in
                options.probeInterval = .seconds(30)
            } body: {
                try await BrokerConformance.manyChannelsComeBack($0, 10_000)
            }
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

        @Test("Who comes back later than others after all leases have ended is not taken for gone")
        func graceAfterAnOutage() async throws {
            try await RedisFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let late = fixture.node { $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)]) }
                let early = fixture.node()
                for node in [late, early] {
                    try await node.isUp()
                    try await node.subscribe("c")
                }
                BrokerConformance.change(late, "c", "ada")
                try await early.record.sees("c", ["+ada"])
                try await proxy.cut()
                try await late.isDown()
                try await early.comesBack {
                    try fixture.server.call("DEL", .text("t:node:\(late.id)"), .text("t:node:\(early.id)"))
                    try fixture.cutCommands()
                }
                // Longer than between two looks for those that are gone.
                try await BrokerConformance.eventually("some beats") {
                    (2_000..<3_000).contains(try fixture.server.call("PTTL", .text("t:node:\(early.id)")).number ?? 0)
                }
                try await proxy.mend()
                try await late.isUp()
                try await late.publishAndWait("c", ["last"])
                try await early.record.sees("c", ["+ada", "last"])
                try await BrokerConformance.hasMembers(early, "c", ["ada": 1])
                await BrokerConformance.end([late, early])
                try await proxy.end()
            }
        }

        @Test("Whoever has just come back gives the others the whole presence TTL before it removes them")
        func patience() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                // One that does not come back, with a lease that ends meanwhile.
                let gone = NodeID.random()
                let clock = ContinuousClock()
                var back = clock.now
                try await node.comesBack {
                    try fixture.server.call("SET", .text("t:node:\(gone)"), "{}", "PX", "300")
                    try fixture.server.call("SADD", "t:nodes", .text("\(gone)"))
                    back = clock.now
                    try fixture.cutCommands()
                }
                try await BrokerConformance.eventually("its removal") {
                    try fixture.server.call("SISMEMBER", "t:nodes", .text("\(gone)")) == .integer(0)
                }
                #expect(clock.now - back >= .seconds(5))
                await BrokerConformance.end([node])
            }
        }

        @Test("Who comes and goes while the server is away is announced once the members hear it, after a gap")
        func announcementsAfterAnOutage() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                // Many, so that the subscriptions take longer than the other connection.
                let names = (0..<1_000).map { "channel-\($0)" } + ["c"]
                node.broker.subscribe(names.map { Subscription(channel: $0, history: nil) })
                try await node.record.wait("all subscribed") { $0.subscribed.count == names.count ? () : nil }
                BrokerConformance.change(node, "c", "ada")
                BrokerConformance.change(node, "c", "cy")
                try await node.record.sees("c", ["+ada", "+cy"])
                try fixture.server.call("SAVE")
                fixture.server.kill()
                try await node.isDown()
                BrokerConformance.change(node, "c", "ada", isPresent: false)
                BrokerConformance.change(node, "c", "bob")
                try fixture.server.start()
                try await node.record.sees("c", ["+ada", "+cy", "gap", "-ada", "+bob"])
                try await BrokerConformance.hasMembers(node, "c", ["bob": 1, "cy": 1])
                await BrokerConformance.end([node])
            }
        }

        @Test("A lost subscription is a gap where users are announced, though all messages are there")
        func gapOfUsers() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                for (channel, isAnnounced) in [("told", true), ("silent", false)] {
                    try await nodes[0].subscribe(channel, history: BrokerConformance.limits)
                    BrokerConformance.change(nodes[0], channel, "ada", isAnnounced: isAnnounced)
                    try await BrokerConformance.hasMembers(nodes[0], channel, ["ada": 1])
                }
                try await nodes[0].comesBack { try fixture.cutDeliveries() }
                for channel in ["told", "silent"] {
                    try await nodes[0].publishAndWait(channel, ["m1"], history: BrokerConformance.limits)
                }
                try await nodes[0].record.sees("told", ["+ada", "gap", "m1"])
                try await nodes[0].record.sees("silent", ["m1"])
                #expect(nodes[0].record.now.gaps["told"]?.map(\.seq) == [0])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A node that comes back writes its users again, though the server does not answer at once")
        func returnWithoutAnAnswer() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                try await node.subscribe("c")
                BrokerConformance.change(node, "c", "ada")
                try await node.record.sees("c", ["+ada"])
                try await BrokerConformance.hasMembers(node, "c", ["ada": 1])
                // As by others who take it for gone.
                let keys = RedisKeys(prefix: "t")
                try fixture.server.call("ACL", "SETUSER", "default", "-exists")
                try fixture.server.call("DEL", .text(keys.users("c")), .text(keys.userCounts("c")))
                try fixture.server.call("DEL", .text(keys.node(node.id)))
                try await BrokerConformance.eventually("a question that is refused") {
                    try fixture.server.call("ACL", "LOG").elements?.isEmpty == false
                }
                try fixture.server.call("ACL", "SETUSER", "default", "+exists")
                try await BrokerConformance.hasMembers(node, "c", ["ada": 1])
                await BrokerConformance.end([node])
            }
        }

        @Test("A full server lets the leases be renewed")
        func leasesOfAFullServer() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                let key = RESPArgument.text("t:node:\(node.id)")
                try fixture.server.call("CONFIG", "SET", "maxmemory", "1")
                try await node.isDown()
                for _ in 1...2 {
                    // More than a renewal leaves. On a slow machine the lease may have ended, and comes back if there is room.
                    try await BrokerConformance.eventually("a lease") {
                        if try fixture.server.call("PEXPIRE", key, 100_000) == .integer(1) { return true }
                        try fixture.server.call("CONFIG", "SET", "maxmemory", "0")
                        return false
                    }
                    try fixture.server.call("CONFIG", "SET", "maxmemory", "1")
                    try await BrokerConformance.eventually("a renewal") {
                        (1...3_000).contains(try fixture.server.call("PTTL", key).number ?? 0)
                    }
                }
                await BrokerConformance.end([node])
            }
        }

        @Test("A node that could not renew its lease gives the others the whole presence TTL before it removes them")
        func patienceAfterRefusals() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                let gone = NodeID.random()
                try fixture.server.call("SET", .text("t:node:\(gone)"), "{}")
                try fixture.server.call("SADD", "t:nodes", .text("\(gone)"))
                try fixture.server.call("CONFIG", "SET", "min-replicas-to-write", "1")
                try await node.isDown { $0.contains("NOREPLICAS") }
                // Its own lease ends, as does that of the other.
                try await BrokerConformance.eventually("the end of its lease") {
                    try fixture.server.call("EXISTS", .text("t:node:\(node.id)")) == .integer(0)
                }
                let clock = ContinuousClock()
                let back = clock.now
                try fixture.server.call("CONFIG", "SET", "min-replicas-to-write", "0")
                try fixture.server.call("DEL", .text("t:node:\(gone)"))
                try await BrokerConformance.eventually("its removal") {
                    try fixture.server.call("SISMEMBER", "t:nodes", .text("\(gone)")) == .integer(0)
                }
                #expect(clock.now - back >= .seconds(5))
                await BrokerConformance.end([node])
            }
        }

        @Test("Numbers that were acknowledged are not given again in one epoch, though the node subscribes nothing")
        func rollbackWithoutSubscription() async throws {
            try await RedisFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                for limits in [nil, BrokerConformance.limits] {
                    let channel = limits == nil ? "lost" : "kept"
                    let before = try await node.publishAndWait(channel, ["a", "b"], history: limits)
                    try await fixture.forget {
                        let last = try await node.publishAndWait(channel, ["c", "d", "e"], history: limits)
                        #expect(last == MessagePosition(epoch: before.epoch, seq: 5))
                    }
                    let after = try await node.publishAndWait(channel, ["f"], history: limits)
                    #expect(after.epoch != before.epoch)
                    #expect(try await node.publishAndWait(channel, ["g"], history: limits).epoch == after.epoch)
                }
                await BrokerConformance.end([node])
            }
        }

        @Test("A message that does not come is fetched from the history, or told to be missing")
        func missingMessages() async throws {
            try await RedisFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                let client = try RedisClient(port: fixture.server.port)
                for (channel, limits) in [("kept", BrokerConformance.limits), ("lost", nil)] {
                    try await nodes[0].subscribe(channel, history: limits)
                    try await nodes[0].publishAndWait(channel, ["m1"], history: limits)
                    var writer = PublicationWriter()
                    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
                    let time = ContinuousTime.millisecondsSince1970
                    writer.append(CarriedPublication(.join, time: time, user: nothing, payload: nothing))
                    // Numbered, stored, and sent where nobody listens.
                    try client.call(
                        "EVAL", .text(RedisScript.publish.text), "2", .text("t:{c\(channel)}:m"),
                        .text("t:{c\(channel)}:h"), "t:nowhere", 1, .bytes(writer.bytes), "-", 0, "x",
                        limits == nil ? 0 : 100, 10_000, 100, 1_000)
                    try await nodes[0].publishAndWait(channel, ["m3"], history: limits)
                }
                try await nodes[0].record.sees("kept", ["m1", "+", "m3"])
                try await nodes[0].record.sees("lost", ["m1", "gap", "m3"])
                #expect(nodes[0].record.now.gaps["lost"]?.map(\.seq) == [2])
                await BrokerConformance.end(nodes)
            }
        }

        @Test(
            "Numbers that were given twice before a node came back are noticed by what they were given to",
            arguments: [
                [["x6"], ["x7"], ["x8"]], [["x6"], ["x7"], ["x8"], ["x9"]], [["x6", "x7", "x8", "x9"]],
                [["x6", "x7"], ["x8", "x9"]],
            ])
        func rollbackWhileAway(_ again: [[String]]) async throws {
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
                }
                for texts in again { try await publisher.publishAndWait("c", texts, history: limits) }
                try await proxy.mend()
                let renumbered = try await late.record.wait("renumbered") { $0.renumbered["c"]?.first }
                let all = again.flatMap(\.self)
                #expect(renumbered.history == BrokerConformance.texts(1...5) + all)
                #expect(renumbered.position.seq == UInt64(5 + all.count))
                #expect(renumbered.position.epoch != epoch)
                let next = try await publisher.publishAndWait("c", ["next"], history: limits)
                #expect(next.epoch == renumbered.position.epoch)
                try await late.record.wait("the next") { $0.seen["c"]?.last == "next" ? () : nil }
                #expect(late.record.now.renumbered["c"]?.count == 1)
                await BrokerConformance.end([late, publisher])
                try await proxy.end()
            }
        }
    }
}
