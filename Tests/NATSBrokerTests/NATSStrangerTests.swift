import Base
import Broker
import BrokerSupport
import NIOCore
import Testing

@testable import NATSBroker

extension NATSTests {
    /// What other programs and operators may do in the streams and on the subjects of a hub.
    @Suite struct Stranger {
        @Test("A message that begins with what a server says in place of one is a message", arguments: [404, 503])
        func status(_ status: Int) async throws {
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                let stranger = try await NATSStranger(fixture.server.port)
                let subject = NATSSubjects(prefix: "t").stream(BrokerConformance.limits).subject("c")
                let header = "NATS/1.0 \(status)\r\n\r\n"
                try await nodes[0].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try await stranger.publish(subject, "", header: header)
                try await stranger.publish("t.users.c.bob", "u", header: header)
                try await BrokerConformance.hasMembers(nodes[0], "c", [:])
                #expect(try await nodes[0].subscribe("c", history: BrokerConformance.limits).history == ["m1"])
                BrokerConformance.change(nodes[0], "c", "ada")
                BrokerConformance.change(nodes[0], "c", "bob")
                try await BrokerConformance.hasMembers(nodes[0], "c", ["ada": 1, "bob": 1])
                try await nodes[0].publishAndWait("c", ["m2"], history: BrokerConformance.limits)
                try await BrokerConformance.eventually("m2") { nodes[0].record.seen("c").contains("m2") }
                await BrokerConformance.end(nodes)
                try await stranger.end()
            }
        }

        @Test("A message that is nowhere in the stream does not keep its channel from being live")
        func unplaced() async throws {
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                try await nodes[0].subscribe("c")
                let stranger = try await NATSStranger(fixture.server.port)
                let header =
                    "NATS/1.0\r\nNats-Stream: t_0_86400\r\nNats-Sequence: 9000000000000000000\r\n"
                    + "Nats-Last-Sequence: 5\r\n\r\n"
                try await stranger.publish("t.live.c", "9:0:e:-:0:", header: header)
                // It is held behind that one.
                try await stranger.publish("t.live.c", "0:0::-:0:")
                try await nodes[0].record.wait("what comes behind") { $0.batches["c"]?.count == 1 ? () : nil }
                try await nodes[0].publishAndWait("c", ["m1"])
                try await nodes[0].record.sees("c", ["m1"])
                await BrokerConformance.end(nodes)
                try await stranger.end()
            }
        }

        @Test("A batch without numbers that comes twice is delivered once, whatever comes in between")
        func doubles() async throws {
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                try await nodes[0].subscribe("c")
                let stranger = try await NATSStranger(fixture.server.port)
                let (a, b) = (NodeID(rawValue: 7), NodeID(rawValue: 8))
                for identity in ["\(a):7", "\(b):7", "-:0", "\(a):7", "-:0", "\(b):7", "\(b):8"] {
                    try await stranger.publish("t.live.c", "0:0::\(identity):")
                }
                try await nodes[0].record.wait("the last") { $0.batches["c"]?.last?.number == 8 ? () : nil }
                let batches = nodes[0].record.now.batches["c"] ?? []
                #expect(batches.map(\.node) == [a, b, nil, nil, b])
                #expect(batches.map(\.number) == [7, 7, 0, 0, 8])
                await BrokerConformance.end(nodes)
                try await stranger.end()
            }
        }

        @Test("A stream that an operator removes is made again, though another program listens to its subjects")
        func removedStreams() async throws {
            try await NATSFixture.with { fixture in
                let limits = BrokerConformance.limits
                let nodes = try await fixture.nodes(1)
                let node = nodes[0]
                try await node.subscribe("c", history: limits)
                try await node.publishAndWait("c", ["m1"], history: limits)
                let backend = try await NATSBackend(fixture.server.port)
                let stranger = try await NATSStranger(fixture.server.port)
                try await stranger.listen(to: "t.ch.>")
                func remove(_ limits: HistoryLimits?) async throws {
                    try await backend.ask("$JS.API.STREAM.DELETE.\(NATSSubjects(prefix: "t").stream(limits).name)")
                }
                try await remove(limits)
                try await node.publishAndWait("c", ["m2"], history: limits)
                try await remove(limits)
                try await node.subscribe("d", history: limits)
                try await remove(limits)
                try await node.publishAndWait("e", ["m1"], history: limits)
                // The probes are in the one without a history.
                try await remove(nil)
                try await node.publishAndWait("f", ["m1"])
                try await node.isUp()
                try await BrokerConformance.eventually("m2") { node.record.seen("c").contains("m2") }
                await BrokerConformance.end(nodes)
                try await backend.end()
                try await stranger.end()
            }
        }

        @Test("A message that never came is found when its channel is kept from being forgotten")
        func lost() async throws {
            try await NATSFixture.with { fixture in
                let port = fixture.server.port
                let publisher = fixture.node { $0.servers = [NATSAddress(host: "127.0.0.1", port: port)] }
                let reader = fixture.node { $0.refreshInterval = .seconds(2) }
                for node in [publisher, reader] { try await node.isUp() }
                try await reader.subscribe("c")
                try await fixture.proxy.delay("HMSG t.live.c ", by: .hours(1))
                try await publisher.publishAndWait("c", ["m1"])
                try await reader.record.sees("c", ["m1"])
                await BrokerConformance.end([publisher, reader])
            }
        }
    }
}
