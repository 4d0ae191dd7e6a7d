import Base
import Broker
import BrokerSupport
import Glibc
import Synchronization
import Testing

@testable import RedisBroker

/// A master with a replica, and three Sentinels that look after them.
final class SentinelFixture: RedisServers {
    private let servers: Mutex<[RedisServer]>
    let sentinels: [RedisServer]
    private let password: String?
    private let host: String
    private let tls: BrokerTLS?

    /// - Parameters:
    ///   - downAfter: the time in milliseconds after which Sentinels take the master for down.
    ///   - password: the password that the Sentinels ask for.
    ///   - host: how the servers are called by Sentinels and clients.
    ///   - certificate: the certificate of all servers, which then use TLS.
    ///   - replicaCertificate: the replica's, if it has another one.
    init(
        downAfter: Int = 1_000, password: String? = nil, program: RedisProgram = .standard,
        host: String = "127.0.0.1", tls certificate: TestCertificate? = nil,
        replicaCertificate: TestCertificate? = nil
    ) async throws {
        self.password = password
        self.host = host
        tls = certificate.map { BrokerTLS(authorityFile: $0.authority.file) }
        let arguments =
            ["--repl-diskless-sync-delay", "0"] + (host == "127.0.0.1" ? [] : ["--replica-announce-ip", host])
        let first = try RedisServer(arguments, program: program, tls: certificate)
        let second = try RedisServer(
            arguments + ["--replicaof", "\(host) \(first.tlsPort ?? first.port)"], program: program,
            tls: replicaCertificate ?? certificate)
        servers = Mutex([first, second])
        let lines =
            ["sentinel down-after-milliseconds mymaster \(downAfter)"]
            + (password.map { ["requirepass \($0)", "sentinel sentinel-pass \($0)"] } ?? [])
        var sentinels: [RedisServer] = []
        for _ in 0..<3 {
            sentinels.append(
                try RedisServer(sentinelOf: first, host: host, lines, program: program, tls: certificate))
        }
        self.sentinels = sentinels
        try await BrokerConformance.eventually("Sentinels that know each other and the replica") { [sentinels] in
            try sentinels.allSatisfy { sentinel in
                let client = try RedisClient(port: sentinel.port)
                if let password { try client.call("AUTH", .text(password)) }
                let state = try client.call("SENTINEL", "MASTER", "mymaster")
                return state["num-slaves"]?.number == 1 && state["num-other-sentinels"]?.number == 2
            }
        }
    }

    /// The server that is master now.
    var master: RedisServer { servers.withLock { $0[0] } }
    var masters: [RedisServer] { [master] }
    var replica: RedisServer { servers.withLock { $0[1] } }

    var options: RedisBroker.Sentinel {
        RedisBroker.Sentinel(
            masterName: "mymaster", addresses: sentinels.map { $0.address(of: host) }, password: password)
    }

    func node(prefix: String) -> BrokerNode {
        let options = RedisBroker.Options(.sentinel(options), prefix: prefix, tls: tls)
        return BrokerNode(options.node, RedisBroker(options))
    }

    /// Waits until the replica has become the master.
    func failsOver() async throws {
        let next = replica
        try await BrokerConformance.eventually("a new master") {
            // Sentinels cut all connections of a server whose role they change.
            (try? next.call("ROLE"))?.elements?.first?.text == "master"
        }
        servers.withLock { $0.reverse() }
    }

    func end() {
        for server in sentinels + servers.withLock(\.self) { server.end() }
    }

    /// Passes a fixture to a test.
    static func with(
        host: String = "127.0.0.1", tls certificate: TestCertificate? = nil,
        replicaCertificate: TestCertificate? = nil, _ body: (SentinelFixture) async throws -> Void
    ) async throws {
        let fixture = try await SentinelFixture(host: host, tls: certificate, replicaCertificate: replicaCertificate)
        defer { fixture.end() }
        try await body(fixture)
    }
}
