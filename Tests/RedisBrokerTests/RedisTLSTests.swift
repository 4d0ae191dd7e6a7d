import Base
import Broker
import BrokerSupport
import Glibc
import Testing

@testable import RedisBroker

extension RedisTests {
    /// Connections with TLS.
    @Suite struct TLS {
        @Test("The server's certificate and name are checked, and a client's certificate is shown")
        func server() async throws {
            let authority = try TestAuthority()
            let client = try authority.certificate("client", for: "DNS:client")
            let server = try RedisServer(tls: authority.certificate("localhost", for: "DNS:localhost"))
            defer { server.end() }
            try server.call("CONFIG", "SET", "tls-auth-clients", "yes")
            func node(_ host: String, _ tls: BrokerTLS?) -> BrokerNode {
                var options = RedisBroker.Options(address: server.address(of: host), node: .random())
                options.tls = tls
                return BrokerNode(options.node, RedisBroker(options))
            }
            let right = BrokerTLS(
                authorityFile: authority.file, certificateFile: client.file, keyFile: client.keyFile)
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
            missing.authorityFile = authority.file + ".none.pem"
            let cases: [(String, BrokerTLS?, String)] = [
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
            var wrong = RedisBroker.Options(address: .tcp(host: "localhost", port: server.port), node: .random())
            wrong.tls = right
            wrong.connectTimeout = .milliseconds(500)
            let down = BrokerNode(wrong.node, RedisBroker(wrong))
            let reason = try await down.isDown { !$0.contains("yet") }
            #expect(reason.contains("did not accept the connection with TLS within 0.5 s"), "\(reason)")
            await down.broker.stop(within: .zero)
        }

        /// How servers call each other, and what their certificates are for then.
        static let hosts = [("127.0.0.1", "IP:127.0.0.1"), ("localhost", "DNS:localhost")]

        @Test("Sentinels, master and replica by address or by name: nodes follow a failover", arguments: hosts)
        func sentinels(_ host: String, _ names: String) async throws {
            let certificate = try TestAuthority().certificate("servers", for: names)
            try await SentinelFixture.with(host: host, tls: certificate) { fixture in
                let nodes = try await fixture.nodes(2)
                let load = FailoverLoad(nodes, channels: ["c0"])
                let result = try await load.run {
                    fixture.master.kill()
                    try await fixture.failsOver()
                    for node in nodes { try await node.isUp() }
                    try await load.moves(20)
                }
                #expect(result.refused == 0)
                await BrokerConformance.end(nodes)
            }
        }

        @Test("A replica whose certificate is for another name is not used when it becomes the master")
        func otherReplica() async throws {
            let authority = try TestAuthority()
            let right = try authority.certificate("master", for: "IP:127.0.0.1")
            let wrong = try authority.certificate("replica", for: "DNS:elsewhere")
            try await SentinelFixture.with(tls: right, replicaCertificate: wrong) { fixture in
                let nodes = try await fixture.nodes(1)
                fixture.master.kill()
                try await fixture.failsOver()
                let next = fixture.master
                let reason = try await nodes[0].isDown { $0.contains("\(next.tlsPort ?? 0) has") }
                #expect(reason.contains("has a certificate for another name"), "\(reason)")
                // It is used as soon as it has the right one.
                try next.call(
                    "CONFIG", "SET", "tls-cert-file", .text(right.file), "tls-key-file", .text(right.keyFile))
                try await nodes[0].isUp()
                await BrokerConformance.end(nodes)
            }
        }

        @Test("Sentinels and servers of a cluster that have another name are not believed")
        func otherNames() async throws {
            let authority = try TestAuthority()
            let server = try RedisServer(tls: authority.certificate("servers", for: "DNS:elsewhere"))
            defer { server.end() }
            func reason(_ servers: RedisBroker.Servers) async throws -> String {
                let options = RedisBroker.Options(servers, prefix: "t", tls: .init(authorityFile: authority.file))
                let node = BrokerNode(options.node, RedisBroker(options))
                let reason = try await node.isDown { !$0.contains("yet") }
                await node.broker.stop(within: .zero)
                return reason
            }
            for host in ["127.0.0.1", "localhost"] {
                let address = server.address(of: host)
                let sentinel = try await reason(.sentinel(.init(masterName: "mymaster", addresses: [address])))
                #expect(sentinel.hasPrefix("no Sentinel says where the master"), "\(sentinel)")
                #expect(sentinel.contains("has a certificate for another name"), "\(sentinel)")
                let cluster = try await reason(.cluster([address]))
                #expect(cluster.contains("has a certificate for another name"), "\(cluster)")
            }
        }

        @Test("A cluster by addresses or by names: slots move, and a replica replaces a master", arguments: hosts)
        func cluster(_ host: String, _ names: String) async throws {
            let certificate = try TestAuthority().certificate("servers", for: names)
            try await ClusterFixture.with(withReplicas: true, host: host, tls: certificate) { fixture in
                let nodes = try await fixture.nodes(2)
                let load = FailoverLoad(nodes, channels: ["c0", "c1"])
                let result = try await load.run {
                    let source = try fixture.owner(of: "c0")
                    let target = try #require(fixture.masters.first { $0 !== source })
                    try await fixture.move(ClusterSlots.slot(ofChannel: "c0"), from: source, to: target) {
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    try await load.moves(20)
                    target.kill()
                    try await BrokerConformance.eventually("a new owner") {
                        try fixture.owner(of: "c0") !== target
                    }
                    for node in nodes { try await node.isUp() }
                    try await load.moves(20)
                }
                #expect(result.refused == 0)
                await BrokerConformance.end(nodes)
            }
        }
    }
}
