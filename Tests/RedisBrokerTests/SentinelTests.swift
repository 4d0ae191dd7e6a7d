import Broker
import Testing

@testable import RedisBroker

extension RedisTests {
    @Suite struct SentinelServers {
        @Test("A master that is killed under load is replaced: one order, no doubles, no silent loss")
        func kill() async throws {
            try await SentinelFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { BrokerConformance.change(node, "c0", "ada") }
                let load = FailoverLoad(nodes, channels: ["c0", "c1", "c2", "c3"])
                let result = try await load.run {
                    fixture.master.kill()
                    try await fixture.failsOver()
                    for node in nodes { try await node.isUp() }
                }
                print("a killed master: \(result)")
                #expect(result.refused == 0)
                try await BrokerConformance.hasMembers(nodes[0], "c0", ["ada": 2])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A master that is stopped under load is replaced, and not used when it goes on")
        func stop() async throws {
            try await SentinelFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                let load = FailoverLoad(nodes, channels: ["c0", "c1", "c2", "c3"])
                let old = fixture.master
                let result = try await load.run {
                    old.pause()
                    try await fixture.failsOver()
                    for node in nodes { try await node.isUp() }
                    try await load.moves(20)
                    old.resume()
                    try await BrokerConformance.eventually("the old master is a replica") {
                        (try? old.call("ROLE"))?.elements?.first?.text == "slave"
                    }
                    try await load.moves(50)
                }
                print("a stopped master: \(result)")
                #expect(result.refused == 0)
                for node in nodes { #expect(node.record.now.health == .up) }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("Numbers that a failover gave twice begin a new numbering; users are as they should be")
        func laggingReplica() async throws {
            try await SentinelFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { try await node.subscribe("c", history: BrokerConformance.limits) }
                for index in 1...5 {
                    try await nodes[0].publishAndWait("c", ["m\(index)"], history: BrokerConformance.limits)
                }
                BrokerConformance.change(nodes[0], "c", "ada")
                try await BrokerConformance.hasMembers(nodes[1], "c", ["ada": 1])
                try await nodes[1].record.sees("c", BrokerConformance.texts(1...5) + ["+ada"])
                // The replica has what there is so far, and then hears nothing more.
                #expect(try fixture.master.call("WAIT", 1, 5_000).number == 1)
                fixture.replica.pause()
                try fixture.master.call("CLIENT", "KILL", "TYPE", "replica")
                for index in 6...8 {
                    try await nodes[0].publishAndWait("c", ["lost\(index)"], history: BrokerConformance.limits)
                }
                BrokerConformance.change(nodes[0], "c", "ada", isPresent: false)
                BrokerConformance.change(nodes[1], "c", "bob")
                try await BrokerConformance.hasMembers(nodes[1], "c", ["bob": 1])
                for node in nodes {
                    try await node.record.wait("lost") { $0.seen["c"]?.contains("+bob") == true ? () : nil }
                }
                fixture.master.kill()
                fixture.replica.resume()
                try await fixture.failsOver()
                for node in nodes { try await node.isUp() }
                try await nodes[1].publishAndWait("c", ["last"], history: BrokerConformance.limits)
                for node in nodes {
                    try await node.record.wait("the last") { $0.seen["c"]?.last == "last" ? () : nil }
                    let state = node.record.now
                    #expect(state.renumbered["c"]?.count == 1)
                    #expect(state.renumbered["c"]?.first?.history == BrokerConformance.texts(1...5))
                }
                try await BrokerConformance.hasMembers(nodes[0], "c", ["bob": 1])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A Sentinel that is gone or stands still is passed over")
        func sentinelsFail() async throws {
            try await SentinelFixture.with { fixture in
                fixture.sentinels[0].kill()
                let nodes = try await fixture.nodes(1)
                fixture.sentinels[1].pause()
                try await nodes[0].comesBack(after: { try fixture.cutCommands() })
                fixture.sentinels[1].resume()
                await BrokerConformance.end(nodes)
            }
        }

        @Test("What is wrong with the Sentinels is said")
        func reasons() async throws {
            let fixture = try await SentinelFixture(password: "secret-word")
            defer { fixture.end() }
            func reason(_ change: (inout RedisBroker.Sentinel) -> Void) async throws -> String {
                var sentinel = fixture.options
                change(&sentinel)
                let options = RedisBroker.Options(.sentinel(sentinel), prefix: "t")
                let node = BrokerNode(options.node, RedisBroker(options))
                let reason = try await node.isDown { !$0.contains("yet") }
                await node.broker.stop(within: .seconds(1))
                #expect(reason.contains("\"\(sentinel.masterName)\""))
                #expect(!reason.contains("secret"), "\(reason)")
                return reason
            }
            #expect(try await reason { $0.password = nil }.contains("asks for a password"))
            #expect(try await reason { $0.password = "secret-wrong" }.contains("refused the password"))
            #expect(try await reason { $0.masterName = "other" }.contains("does not know a master called \"other\""))
            #expect(try await reason { $0.addresses = [fixture.master.address] }.contains("is no Sentinel"))
            #expect(try await reason { $0.addresses = [.tcp(host: "127.0.0.1", port: 1)] }.contains("can't be reached"))
            let node = fixture.node()
            try await node.isUp()
            await node.broker.stop(within: .seconds(1))
        }
    }
}
