import Base
import Broker
import BrokerSupport
import Testing

@testable import RedisBroker

extension RedisTests {
    /// The ways to a server.
    @Suite struct Connection {
        private func works(_ fixture: RedisFixture, _ change: (inout RedisBroker.Options) -> Void) async throws {
            let node = fixture.node(prefix: "t", change)
            try await node.isUp()
            try await node.subscribe("c")
            try await node.publishAndWait("c", ["m1"])
            try await node.record.sees("c", ["m1"])
            await BrokerConformance.end([node])
        }

        @Test("A Unix socket, IPv6, and a host's name")
        func addresses() async throws {
            try await RedisFixture.with { fixture in
                let port = fixture.server.port
                try await works(fixture) { $0.servers = .independent([.unix(path: fixture.server.socket)]) }
                try await works(fixture) { $0.servers = .independent([.tcp(host: "::1", port: port)]) }
                try await works(fixture) { $0.servers = .independent([.tcp(host: "localhost", port: port)]) }
            }
        }

        @Test(
            "What can't be reached is said",
            arguments: [
                (RedisAddress.unix(path: "/nowhere"), "/nowhere can't be reached: No such file or directory"),
                (.tcp(host: "127.0.0.1", port: 1), "127.0.0.1:1 can't be reached: Connection refused"),
                (.tcp(host: "no.invalid", port: 1), "no.invalid:1 has no address"),
            ])
        func unreachable(_ address: RedisAddress, _ expected: String) async throws {
            var options = RedisBroker.Options(address: address, node: .random())
            options.connectTimeout = .seconds(20)
            let node = BrokerNode(options.node, RedisBroker(options))
            let reason = try await node.isDown { !$0.contains("yet") }
            #expect(reason.hasPrefix(expected), "\(reason)")
            await node.broker.stop(within: .zero)
        }

        @Test("A server that is none, or says nothing, is given up in time")
        func strangers() async throws {
            try await RedisFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                try await proxy.silence()
                let node = fixture.node(prefix: "t") {
                    $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)])
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

        @Test("A database has its own channels' history, and pub/sub has none")
        func databases() async throws {
            try await RedisFixture.with { fixture in
                try await works(fixture) { $0.database = 3 }
                let client = try RedisClient(port: fixture.server.port)
                #expect(try client.call("EXISTS", "t:{cc}:m") == .integer(0))
                try client.call("SELECT", "3")
                #expect(try client.call("EXISTS", "t:{cc}:m") == .integer(1))
                let node = fixture.node(prefix: "t") { $0.database = 99 }
                let reason = try await node.isDown { !$0.contains("yet") }
                #expect(reason.contains("has no database 99"), "\(reason)")
                await BrokerConformance.end([node])
            }
        }

        @Test("A node that alone is cut off from a server notices, though nothing ends its connections")
        func partition() async throws {
            try await RedisFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let node = fixture.node(prefix: "t") {
                    $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)])
                }
                let other = fixture.node()
                for node in [node, other] {
                    try await node.isUp()
                    try await node.subscribe("c", history: BrokerConformance.limits)
                }
                try await other.publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try await node.record.sees("c", ["m1"])
                let start = ContinuousClock.now
                try await proxy.silence()
                let waiting = node.publish("c", ["m3"], history: BrokerConformance.limits)
                let reason = try await node.isDown()
                #expect(ContinuousClock.now - start < .seconds(10))
                #expect(reason.contains("does not answer: no reply for 0."), "\(reason)")
                #expect(other.record.now.health == .up)
                try await other.publishAndWait("c", ["m2"], history: BrokerConformance.limits)
                try await proxy.mend()
                _ = try await node.accepted("c", waiting)
                for node in [node, other] { try await node.record.sees("c", ["m1", "m2", "m3"]) }
                await BrokerConformance.end([node, other])
                try await proxy.end()
            }
        }
    }
}
