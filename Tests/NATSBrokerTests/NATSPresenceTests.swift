import Base
import Broker
import NIOCore
import Testing

@testable import NATSBroker

extension NATSTests {
    /// What becomes of users whose nodes, or whose stream, others take away.
    @Suite struct Presence {
        /// Runs a test with two nodes whose members in a channel have heard that ada came to the first, and another program.
        private func withAda(_ body: ([BrokerNode], NATSStranger) async throws -> Void) async throws {
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { try await node.subscribe("c") }
                BrokerConformance.change(nodes[0], "c", "ada")
                for node in nodes { try await node.record.sees("c", ["+ada"]) }
                let stranger = try await NATSStranger(fixture.server.port)
                try await body(nodes, stranger)
                try await stranger.end()
            }
        }

        @Test("A node that stood still while its connection lasted takes nobody for gone, and writes its users again")
        func standstill() async throws {
            try await NATSFixture.with { fixture in
                let others = try await fixture.nodes(2)
                // The least node removes the users of others.
                let node = fixture.node { $0.node = NodeID(rawValue: 1) }
                try await node.isUp()
                for node in others + [node] { try await node.subscribe("c") }
                BrokerConformance.change(node, "c", "ada")
                BrokerConformance.change(others[0], "c", "bob")
                try await BrokerConformance.hasMembers(others[1], "c", ["ada": 1, "bob": 1])
                let gate = Gate()
                node.record.isBefore { gate.wait() }
                others[0].broker.send([], to: nil)
                try await gate.isReached()
                try await BrokerConformance.hasMembers(others[1], "c", ["bob": 1])
                node.record.isBefore {}
                gate.open()
                try await BrokerConformance.hasMembers(others[1], "c", ["ada": 1, "bob": 1])
                try await others[1].record.wait("its return") { state in
                    state.seen["c"]?.filter { $0.hasSuffix("ada") } == ["+ada", "-ada", "+ada"] ? () : nil
                }
                #expect(others[1].record.seen("c").filter { $0.hasSuffix("bob") } == ["+bob"])
                await BrokerConformance.end(others + [node])
            }
        }

        @Test("A node that is told that it was taken for gone writes its users again")
        func back() async throws {
            try await withAda { nodes, stranger in
                try await stranger.publish("t.users.c.ada", "u")
                try await stranger.publish("t.back", "\(nodes[0].id)")
                for node in nodes { try await node.record.sees("c", ["+ada", "+ada"]) }
                try await BrokerConformance.hasMembers(nodes[1], "c", ["ada": 1])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("Users are in a stream that is made anew, and are not announced again")
        func deletedStream() async throws {
            try await withAda { nodes, stranger in
                try await stranger.publish("$JS.API.STREAM.DELETE.t_users", "")
                // Nobody comes or goes: the node looks for it by itself.
                try await BrokerConformance.eventually("it is gone") {
                    try await BrokerConformance.members(nodes[1], "c")?.map(\.user) != ["ada"]
                }
                try await BrokerConformance.hasMembers(nodes[1], "c", ["ada": 1])
                try await stranger.publish("$JS.API.STREAM.DELETE.t_users", "")
                BrokerConformance.change(nodes[1], "c", "bob")
                try await BrokerConformance.hasMembers(nodes[0], "c", ["ada": 1, "bob": 1])
                for node in nodes { try await node.record.sees("c", ["+ada", "+bob"]) }
                for node in nodes { try await node.isUp() }
                // That the stream was lost does not make their leaving silent.
                await BrokerConformance.end([nodes[0]])
                try await nodes[1].record.sees("c", ["+ada", "+bob", "-ada"])
                await BrokerConformance.end([nodes[1]])
            }
        }

        @Test("Users are in a stream that was purged, and are not announced again")
        func purgedStream() async throws {
            try await withAda { nodes, stranger in
                func purge() async throws {
                    // Who is in the stream alone is gone with what it has.
                    try await stranger.publish("t.users.c.ghost", "u,\(nodes[1].id):1:0")
                    try await BrokerConformance.hasMembers(nodes[0], "c", ["ada": 1, "ghost": 1])
                    try await stranger.publish("$JS.API.STREAM.PURGE.t_users", "")
                    for node in nodes { try await BrokerConformance.hasMembers(node, "c", ["ada": 1]) }
                }
                // The first time, a node that is new writes its users once more, whatever the stream has.
                try await purge()
                let before = nodes.map { $0.record.seen("c") }
                try await purge()
                BrokerConformance.change(nodes[1], "c", "bob")
                for (node, before) in zip(nodes, before) { try await node.record.sees("c", before + ["+bob"]) }
                await BrokerConformance.end(nodes)
            }
        }

        @Test("Users of a node that goes while those of another are being removed are removed, too")
        func twoAreGone() async throws {
            try await NATSFixture.with { fixture in
                let node = fixture.node {
                    $0.node = NodeID(rawValue: 1)
                    $0.presenceTTL = .seconds(1)
                }
                try await node.isUp()
                try await node.subscribe("c")
                let (first, second) = (NodeID(rawValue: 7), NodeID(rawValue: 8))
                let stranger = try await NATSStranger(fixture.server.port)
                func areThere(_ ids: [NodeID]) async throws {
                    for id in ids { try await stranger.publish("t.beat", "\(id) {}") }
                }
                let count = 10_000
                try await stranger.publish("t.users.c.eve", "u,\(second):1:1")
                for number in 1...count {
                    try await stranger.publish("t.users.d.u\(number)", "u,\(first):1:0")
                    if number % 100 == 0 { try await areThere([first, second]) }
                }
                // The last one is removed first.
                try await stranger.publish("t.users.c.ada", "u,\(first):1:1")
                let beats = Task {
                    while node.record.seen("c").isEmpty {
                        try await areThere([second])
                        try await Task.sleep(for: .milliseconds(50))
                    }
                }
                try await node.record.sees("c", ["-ada", "-eve"])
                try await beats.value
                try await BrokerConformance.hasMembers(node, "d", [:])
                await BrokerConformance.end([node])
                try await stranger.end()
            }
        }

        @Test("A user of very many nodes that are gone is removed in time")
        func manyNodes() async throws {
            try await NATSFixture.with { fixture in
                let node = fixture.node { $0.node = NodeID(rawValue: 1) }
                try await node.isUp()
                try await node.subscribe("c")
                let stranger = try await NATSStranger(fixture.server.port)
                let nodes = (2...3_000).map { ",\(NodeID(rawValue: UInt64($0))):1:1" }
                try await stranger.publish("t.users.c.ada", "u" + nodes.joined())
                try await node.record.sees("c", ["-ada"])
                try await BrokerConformance.hasMembers(node, "c", [:])
                #expect(node.record.now.healths.filter { $0 != .up }.count == 1)
                await BrokerConformance.end([node])
                try await stranger.end()
            }
        }

        @Test("Members of a channel that announces users are told of a gap when the connection is back")
        func gaps() async throws {
            try await NATSFixture.with { fixture in
                let node = fixture.node()
                try await node.isUp()
                for channel in ["c", "d"] { try await node.subscribe(channel, history: BrokerConformance.limits) }
                BrokerConformance.change(node, "c", "ada")
                BrokerConformance.change(node, "d", "ada", isAnnounced: false)
                try await node.record.sees("c", ["+ada"])
                try await BrokerConformance.hasMembers(node, "d", ["ada": 1])
                try await node.comesBack { try await fixture.cutDeliveries() }
                for channel in ["c", "d"] {
                    try await node.publishAndWait(channel, ["m1"], history: BrokerConformance.limits)
                }
                try await node.record.sees("c", ["+ada", "gap", "m1"])
                try await node.record.sees("d", ["m1"])
                await BrokerConformance.end([node])
            }
        }
    }
}
