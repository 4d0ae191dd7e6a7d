import Base
import Broker
import Glibc
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
                #expect(ContinuousClock.now - start < .seconds(1.6))
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

        @Test("TLS, with the server's certificate and name checked, and a client's certificate")
        func tls() async throws {
            var template = Array("/tmp/wsd-redis-tls-XXXXXX".utf8CString)
            let directory = String(cString: mkdtemp(&template))
            defer { _ = system("rm -r '\(directory)'") }
            let script = """
                cd '\(directory)' &&
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca &&
                for name in localhost client; do
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name &&
                  printf 'subjectAltName=DNS:%s' $name > $name.ext &&
                  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
                done
                """
            #expect(system("{ \(script)\n} > '\(directory)/log' 2>&1") == 0)
            let server = try RedisServer()
            defer { server.end() }
            for (name, file) in [("ca-cert", "ca.pem"), ("cert", "localhost.pem"), ("key", "localhost.key")] {
                try server.call("CONFIG", "SET", .text("tls-\(name)-file"), .text("\(directory)/\(file)"))
            }
            let port = server.port + 1
            try server.call("CONFIG", "SET", "tls-port", .number(Int64(port)))
            func node(_ host: String, _ tls: RedisBroker.TLS?) -> BrokerNode {
                var options = RedisBroker.Options(address: .tcp(host: host, port: port), node: .random())
                options.tls = tls
                return BrokerNode(options.node, RedisBroker(options))
            }
            let right = RedisBroker.TLS(
                authorityFile: directory + "/ca.pem", certificateFile: directory + "/client.pem",
                keyFile: directory + "/client.key")
            let up = node("localhost", right)
            try await up.isUp()
            try await up.subscribe("c")
            let large = String(repeating: "x", count: 1 << 20)
            try await up.publishAndWait("c", [large])
            try await up.record.sees("c", [large])
            await BrokerConformance.end([up])
            var byAddress = right
            byAddress.serverName = "localhost"
            let named = node("127.0.0.1", byAddress)
            try await named.isUp()
            await BrokerConformance.end([named])
            var unknown = right
            unknown.authorityFile = nil
            var bare = right
            bare.certificateFile = nil
            bare.keyFile = nil
            var missing = right
            missing.authorityFile = directory + "/none.pem"
            let cases: [(String, RedisBroker.TLS?, String)] = [
                ("localhost", unknown, "has a certificate that nobody whom this machine trusts vouches for"),
                ("127.0.0.1", right, "has a certificate for another name"),
                ("localhost", bare, "asks for a certificate of this client"),
                ("localhost", missing, "can't be used with TLS"),
                ("localhost", nil, "broke off the connection"),
            ]
            for (host, tls, expected) in cases {
                let down = node(host, tls)
                let reason = try await down.isDown { !$0.contains("yet") }
                #expect(reason.contains(expected), "\(reason)")
                #expect(!reason.contains("none.pem") || reason.hasSuffix("none.pem: No such file or directory"))
                await down.broker.stop(within: .zero)
            }
            let plain = RedisBroker.Options(address: .tcp(host: "localhost", port: server.port), node: .random())
            var wrong = plain
            wrong.tls = right
            wrong.connectTimeout = .milliseconds(500)
            let down = BrokerNode(wrong.node, RedisBroker(wrong))
            let reason = try await down.isDown { !$0.contains("yet") }
            #expect(reason.contains("did not accept the connection with TLS within 0.5 s"), "\(reason)")
            await down.broker.stop(within: .zero)
        }
    }
}
