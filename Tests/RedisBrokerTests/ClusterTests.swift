import Base
import Broker
import Testing

@testable import RedisBroker

extension RedisTests {
    @Suite struct ClusterServers {
        @Test("Slots are those that Redis computes, and all keys of a channel are in one")
        func slots() async throws {
            let server = try RedisServer(["--cluster-enabled", "yes"])
            defer { server.end() }
            let keys = RedisKeys(prefix: "a.b:c", isCluster: true)
            for name in ["room", "}", "{", "a}b", "{}", "}{x}", "é", "c:1", String(repeating: "x", count: 255)] {
                let slot = ClusterSlots.slot(ofChannel: name)
                let all = [
                    keys.meta(name), keys.history(name), keys.users(name), keys.userCounts(name), keys.live(name),
                ]
                for key in all {
                    #expect(ClusterSlots.slot(of: key) == slot)
                    #expect(try server.call("CLUSTER", "KEYSLOT", .text(key)).number == Int64(slot), "\(key)")
                }
                #expect(keys.channel(ofLive: Array(keys.live(name).utf8)) == Name(name))
            }
            for key in ["a.b:c:nodes", "123456789", "foo{}bar", "{user}.x", "foo{{bar}}"] {
                #expect(try server.call("CLUSTER", "KEYSLOT", .text(key)).number == Int64(ClusterSlots.slot(of: key)))
            }
        }

        @Test("A slot that moves under load takes its channels with it: one order, no doubles, nothing lost")
        func migration() async throws {
            try await ClusterFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                // Joins and leaves would be a gap.
                BrokerConformance.change(nodes[0], "c0", "ada", isAnnounced: false)
                let load = FailoverLoad(nodes, channels: ["c0", "c1"], isWithoutHistory: false)
                let result = try await load.run {
                    for _ in 0..<3 {
                        let source = try fixture.owner(of: "c0")
                        let target = try #require(fixture.masters.first { $0 !== source })
                        try await fixture.move(ClusterSlots.slot(ofChannel: "c0"), from: source, to: target) {
                            try await Task.sleep(for: .milliseconds(100))
                        }
                        try await load.moves(20)
                    }
                }
                print("moved slots: \(result)")
                #expect(result.toldLost == 0 && result.gaps == 0 && result.renumberings == 0 && result.refused == 0)
                try await BrokerConformance.hasMembers(nodes[1], "c0", ["ada": 1])
                for node in nodes { try await node.isUp() }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A master that is killed under load is replaced by its replica")
        func failover() async throws {
            try await ClusterFixture.with(withReplicas: true) { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { BrokerConformance.change(node, "c0", "ada") }
                let load = FailoverLoad(nodes, channels: ["c0", "c1", "c2", "c3"])
                let result = try await load.run {
                    let owner = try fixture.owner(of: "c0")
                    owner.kill()
                    try await BrokerConformance.eventually("a new owner") {
                        try fixture.owner(of: "c0") !== owner
                    }
                    for node in nodes { try await node.isUp() }
                }
                print("a killed master of a cluster: \(result)")
                #expect(result.refused == 0)
                try await BrokerConformance.hasMembers(nodes[0], "c0", ["ada": 2])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A master that is stopped under load is replaced by its replica, and not used when it goes on")
        func stoppedMaster() async throws {
            try await ClusterFixture.with(withReplicas: true) { fixture in
                let nodes = try await fixture.nodes(2)
                let load = FailoverLoad(nodes, channels: ["c0", "c1", "c2", "c3"])
                let result = try await load.run {
                    let owner = try fixture.owner(of: "c0")
                    owner.pause()
                    let other = try #require(fixture.masters.first { $0 !== owner })
                    try await BrokerConformance.eventually("a new owner") {
                        let value = try other.call("CLUSTER", "SLOTS")
                        return SlotRange.all(in: value, askedAt: other.address)?.contains { $0.master == owner.address }
                            == false
                    }
                    for node in nodes { try await node.isUp() }
                    owner.resume()
                    try await load.moves(50)
                }
                print("a stopped master of a cluster: \(result)")
                #expect(result.refused == 0)
                for node in nodes { try await node.isUp() }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("The documented rules of access are enough for a cluster")
        func access() async throws {
            try await ClusterFixture.with { fixture in
                let rules = RedisBroker.accessRules(prefix: "t", isCluster: true).split(separator: " ")
                for server in fixture.masters {
                    _ = try RedisClient(port: server.port).call(
                        ["ACL", "SETUSER", "wsd", "on", ">secret"] + rules.map { .text(String($0)) })
                }
                var nodes: [BrokerNode] = []
                for _ in 0..<2 {
                    var options = RedisBroker.Options(.cluster(fixture.masters.map(\.address)), prefix: "t")
                    options.user = "wsd"
                    options.password = "secret"
                    nodes.append(BrokerNode(options.node, RedisBroker(options)))
                }
                for node in nodes { try await node.isUp() }
                for name in (0..<20).map({ "c\($0)" }) {
                    try await nodes[1].subscribe(name, history: BrokerConformance.limits)
                    BrokerConformance.change(nodes[0], name, "ada")
                    try await BrokerConformance.hasMembers(nodes[1], name, ["ada": 1])
                    try await nodes[0].publishAndWait(name, ["one"], history: BrokerConformance.limits)
                    try await nodes[1].record.sees(name, ["+ada", "one"])
                    nodes[1].broker.unsubscribe([name])
                    #expect(try await nodes[1].subscribe(name, history: BrokerConformance.limits).history == ["one"])
                }
                nodes[0].broker.send(Array("hello".utf8), to: nodes[1].id)
                try await nodes[1].record.wait("a message") { $0.messages.count == 1 ? () : nil }
                #expect(await nodes[0].broker.nodes()?.count == 2)
                await BrokerConformance.end(nodes)
            }
        }

        @Test("What is wrong with a cluster is said")
        func reasons() async throws {
            let single = try RedisServer()
            let empty = try RedisServer(["--cluster-enabled", "yes"])
            defer {
                single.end()
                empty.end()
            }
            func reason(_ servers: RedisBroker.Servers) async throws -> String {
                let options = RedisBroker.Options(servers, prefix: "t")
                let node = BrokerNode(options.node, RedisBroker(options))
                let reason = try await node.isDown { !$0.contains("yet") }
                await node.broker.stop(within: .seconds(1))
                return reason
            }
            #expect(try await reason(.cluster([single.address])).contains("is not part of a cluster"))
            #expect(try await reason(.independent([empty.address])).contains("redis+cluster://"))
            #expect(try await reason(.cluster([empty.address])).contains("has not been made"))
            #expect(try await reason(.cluster([.tcp(host: "127.0.0.1", port: 1)])).contains("can't be reached"))
        }
    }
}
