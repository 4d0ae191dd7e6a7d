import Base
import Broker
import BrokerSupport
import Glibc
import NIOCore
import Testing

@testable import NATSBroker

extension NATSTests {
    /// What NATS servers do to their clients.
    @Suite struct Fault {
        @Test("A server that is not there at the start is awaited")
        func unreachable() async throws {
            try await NATSFixture.with { fixture in
                fixture.server.terminate()
                let port = fixture.server.port
                let node = fixture.node { $0.servers = [NATSAddress(host: "127.0.0.1", port: port)] }
                try await BrokerConformance.itIsAwaited(node) { try fixture.server.start() }
            }
        }

        @Test("A subscriber that the server cuts for its backlog misses nothing")
        func slowNode() async throws {
            try await NATSFixture.with(["max_pending: 9MB", "write_deadline: \"1s\""]) { fixture in
                try await BrokerConformance.aSlowNodeIsMadeUpFor(fixture, byteCount: 40 << 20)
            }
        }

        /// Servers before 2.9.16 do that now and then, if two nodes publish in a channel at once.
        @Test(
            "A message that comes after the one behind it is delivered before that, and nothing is told",
            arguments: [nil, BrokerConformance.limits])
        func overtaken(history: HistoryLimits?) async throws {
            try await NATSFixture.with { fixture in
                let port = fixture.server.port
                let publisher = fixture.node { $0.servers = [NATSAddress(host: "127.0.0.1", port: port)] }
                let reader = fixture.node()
                for node in [publisher, reader] { try await node.isUp() }
                try await reader.subscribe("c", history: history)
                var texts: [String] = []
                for round in 1...10 {
                    try await fixture.proxy.delay("HMSG t.live.c ", by: .milliseconds(Int64(round * 3)))
                    for text in ["a\(round)", "b\(round)"] {
                        try await publisher.publishAndWait("c", [text], history: history)
                        texts.append(text)
                    }
                    try await reader.record.sees("c", texts)
                }
                await BrokerConformance.end([publisher, reader])
            }
        }

        @Test("A server without JetStream is told, with the way out")
        func noJetStream() async throws {
            try await NATSFixture.with(hasJetStream: false) { fixture in
                let node = fixture.node()
                let reason = try await node.isDown { $0.contains("JetStream") }
                #expect(reason.contains("add jetstream {} to its configuration"), "\(reason)")
                await BrokerConformance.end([node])
            }
        }

        @Test("A stream that can't be made is told, with the way out")
        func refusedStreams() async throws {
            try await NATSFixture.with { fixture in
                let node = fixture.node { $0.replicas = 3 }
                let reason = try await node.isDown { $0.contains("stream") }
                #expect(reason.contains("lower broker.nats_replicas, or add servers"), "\(reason)")
                await BrokerConformance.end([node])
            }
        }

        @Test("A server that takes too little at once is told, and a batch that is too large is refused")
        func payloads() async throws {
            let server = try NATSServer(["max_payload: 65536"])
            defer { server.end() }
            let address = NATSAddress(host: "127.0.0.1", port: server.port)
            let node = NATSBroker.Options([address], node: .random())
            let down = BrokerNode(node.node, NATSBroker(node))
            let reason = try await down.isDown { !$0.contains("yet") }
            #expect(reason.contains("takes 65536 bytes at once; set max_payload"), "\(reason)")
            await down.broker.stop(within: .zero)
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(1)
                let number = nodes[0].publish("c", [String(repeating: "x", count: 9 << 20)])
                let refusal = try await nodes[0].refused("c", number)
                #expect(refusal.reason.contains("raise max_payload") && !refusal.isUncertain, "\(refusal)")
                try await nodes[0].publishAndWait("c", ["small"])
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A message in another form is counted, and the next one goes on behind it")
        func strangers() async throws {
            try await NATSFixture.with { fixture in
                let nodes = try await fixture.nodes(2)
                try await nodes[0].subscribe("c", history: BrokerConformance.limits)
                let stranger = try await NATSStranger(fixture.server.port)
                let subject = NATSSubjects(prefix: "t").stream(BrokerConformance.limits).subject("c")
                try await nodes[1].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                for text in ["", "x", "1:1:e", "-1:0:e:-:0:", "99999999999999999999:1:e:-:0:"] {
                    try await stranger.publish(subject, text)
                }
                try await stranger.publish("t.live.c", "5:1::-:0:numbered without a stream")
                try await nodes[1].publishAndWait("c", ["m2"], history: BrokerConformance.limits)
                try await nodes[0].record.sees("c", ["m1", "m2"])
                let other = try await nodes[1].subscribe("c", history: BrokerConformance.limits)
                #expect(other.history.suffix(1) == ["m2"])
                try await nodes[0].isUp()
                await BrokerConformance.end(nodes)
                try await stranger.end()
            }
        }

        @Test("A node that alone is cut off from a server notices, though nothing ends its connection")
        func partition() async throws {
            try await NATSFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let node = fixture.node { $0.servers = [NATSAddress(host: "127.0.0.1", port: port)] }
                let other = fixture.node()
                for node in [node, other] {
                    try await node.isUp()
                    try await node.subscribe("c", history: BrokerConformance.limits)
                }
                try await other.publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try await node.record.sees("c", ["m1"])
                try await proxy.silence()
                let waiting = node.publish("c", ["m3"], history: BrokerConformance.limits)
                let reason = try await node.isDown()
                #expect(reason.contains("does not answer: no reply for "), "\(reason)")
                #expect(other.record.now.health == .up)
                try await other.publishAndWait("c", ["m2"], history: BrokerConformance.limits)
                try await proxy.mend()
                _ = try await node.accepted("c", waiting)
                for node in [node, other] { try await node.record.sees("c", ["m1", "m2", "m3"]) }
                await BrokerConformance.end([node, other])
                try await proxy.end()
            }
        }

        @Test("A server that is none, or says nothing, is given up in time")
        func silence() async throws {
            try await NATSFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                try await proxy.silence()
                let node = fixture.node {
                    $0.servers = [NATSAddress(host: "127.0.0.1", port: port)]
                    $0.connectTimeout = .milliseconds(300)
                }
                let reason = try await node.isDown { !$0.contains("yet") }
                #expect(reason == "127.0.0.1:\(port) did not accept the connection within 0.3 s")
                try await proxy.mend()
                try await node.isUp()
                await BrokerConformance.end([node])
                try await proxy.end()
            }
        }
    }
}
