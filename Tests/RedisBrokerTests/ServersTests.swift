import Base
import Broker
import Testing

@testable import RedisBroker

extension RedisTests {
    @Suite struct Servers {
        @Test("Channels are spread evenly, and a server more takes its part from each of the others")
        func jumpHash() {
            let names = (0..<30_000).map { "room-\($0)" }
            for count in 1...8 {
                var counts = [Int](repeating: 0, count: count)
                var moved = 0
                for name in names {
                    let place = JumpHash.place(of: name, among: count)
                    counts[place] += 1
                    let next = JumpHash.place(of: name, among: count + 1)
                    if next != place {
                        moved += 1
                        #expect(next == count)
                    }
                }
                for part in counts { #expect(abs(part - names.count / count) < names.count / count / 10) }
                let expected = names.count / (count + 1)
                #expect(abs(moved - expected) < expected / 10)
            }
        }

        @Test("The places of keys are those of the published algorithm")
        func jumpHashIsTheKnownOne() {
            let known: [(UInt64, Int, Int)] = [
                (0, 1, 0), (3, 1, 0), (0, 2, 0), (7, 2, 0), (1, 1, 0), (0xDEAD_BEEF, 1, 0), (256, 1024, 520),
                (0x2A, 57, 43), (0xDEAD10CC, 666, 361), (0xDEAD10CC, 1, 0),
            ]
            for (key, count, place) in known {
                #expect(JumpHash.place(of: key, among: count) == place, "\(key) \(count)")
            }
        }

        @Test("One of two servers that is away is named; channels on the other go on")
        func oneIsAway() async throws {
            let fixture = try ServersFixture(2)
            defer { fixture.end() }
            let nodes = try await fixture.nodes(2)
            let names = (0..<40).map { "c\($0)" }
            let away = names.filter { JumpHash.place(of: $0, among: 2) == 1 }
            let there = names.filter { JumpHash.place(of: $0, among: 2) == 0 }
            #expect(min(away.count, there.count) > 8)
            for name in names { try await nodes[1].subscribe(name, history: BrokerConformance.limits) }
            fixture.servers[1].kill()
            let reason = try await nodes[0].isDown()
            #expect(reason.contains("\(fixture.servers[1].port)"), "\(reason)")
            let waiting = away.map { ($0, nodes[0].publish($0, ["to \($0)"], history: BrokerConformance.limits)) }
            for name in there {
                try await nodes[0].publishAndWait(name, ["to \(name)"], history: BrokerConformance.limits)
                try await nodes[1].record.sees(name, ["to \(name)"])
            }
            nodes[0].broker.send(Array("hello".utf8), to: nil)
            try await nodes[1].record.wait("a message") { $0.messages.count == 1 ? () : nil }
            #expect(await nodes[0].broker.nodes()?.count == 2)
            try fixture.servers[1].start()
            for (name, number) in waiting { _ = try await nodes[0].accepted(name, number) }
            for node in nodes { try await node.isUp() }
            for name in away {
                // The server has lost its data; what it got first may be in what it has kept since.
                try await nodes[1].record.wait(name) { state in
                    let kept = state.renumbered[.init(name)]?.last?.history ?? []
                    return (kept + (state.seen[.init(name)] ?? [])).contains("to \(name)") ? () : nil
                }
            }
            await BrokerConformance.end(nodes)
        }

        @Test("The users of a node that is lost vanish from every server")
        func lostNode() async throws {
            let fixture = try ServersFixture(2)
            defer { fixture.end() }
            let nodes = try await fixture.nodes(2)
            var proxies: [Proxy] = []
            for server in fixture.servers { proxies.append(try await Proxy(to: server.port)) }
            let options = RedisBroker.Options(
                .independent(proxies.map { .tcp(host: "127.0.0.1", port: $0.port) }), prefix: "t")
            let lost = BrokerNode(options.node, RedisBroker(options))
            try await lost.isUp()
            let names = (0..<20).map { "c\($0)" }
            for name in names { BrokerConformance.change(lost, name, "ada") }
            for name in names { try await BrokerConformance.hasMembers(nodes[1], name, ["ada": 1]) }
            for proxy in proxies { try await proxy.cut() }
            for name in names { try await BrokerConformance.hasMembers(nodes[1], name, [:]) }
            for proxy in proxies { try await proxy.mend() }
            for name in names { try await BrokerConformance.hasMembers(nodes[1], name, ["ada": 1]) }
            await BrokerConformance.end([lost] + nodes)
            for proxy in proxies { try await proxy.end() }
        }
    }
}
