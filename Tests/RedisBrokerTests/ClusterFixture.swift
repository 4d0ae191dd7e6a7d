import Base
import Broker
import BrokerSupport
import Glibc
import Testing

@testable import RedisBroker

/// A cluster of three masters, each with a replica if the test wants that.
final class ClusterFixture: RedisServers {
    let masters: [RedisServer]
    let replicas: [RedisServer]
    private let host: String
    private let tls: BrokerTLS?

    private static func port(_ server: RedisServer) -> Int { server.tlsPort ?? server.port }

    /// - Parameters:
    ///   - host: how the servers are called by each other and by clients.
    ///   - certificate: the certificate of all servers, which then use TLS.
    init(
        withReplicas: Bool = false, program: RedisProgram = .standard, host: String = "127.0.0.1",
        tls certificate: TestCertificate? = nil
    ) async throws {
        self.host = host
        tls = certificate.map { BrokerTLS(authorityFile: $0.authority.file) }
        let arguments =
            [
                "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0",
            ] + (certificate == nil ? [] : ["--tls-cluster", "yes"])
            + (host == "127.0.0.1"
                ? [] : ["--cluster-announce-hostname", host, "--cluster-preferred-endpoint-type", "hostname"])
        var servers: [RedisServer] = []
        for _ in 0..<(withReplicas ? 6 : 3) {
            servers.append(try RedisServer(arguments, program: program, tls: certificate))
        }
        masters = Array(servers.prefix(3))
        replicas = Array(servers.dropFirst(3))
        let all = servers.map(\.address.description).joined(separator: " ")
        let way = certificate.map { "--tls --cacert \($0.authority.file)" } ?? ""
        let create = "--cluster create \(all) --cluster-replicas \(withReplicas ? 1 : 0) --cluster-yes"
        // A server that is slow forgets another one before their first exchange is complete: then redis-cli waits for ever,
        // unless they are told again.
        let meet = servers.dropFirst().map { server in
            "redis-cli \(way) -h \(host) -p \(Self.port(servers[0])) CLUSTER MEET 127.0.0.1 \(Self.port(server)); "
        }
        let status = shell(
            "exec >/dev/null 2>&1; timeout \(patience / .seconds(1)) redis-cli \(way) \(create) & making=$!; "
                + "while sleep 5; do \(meet.joined())done & telling=$!; wait $making; made=$?; kill $telling; exit $made"
        )
        guard status == 0 else { throw NotSeen("the cluster can't be made: \(status)") }
        try await BrokerConformance.eventually("a cluster that is whole") { [servers] in
            try servers.allSatisfy { server in
                let state = try server.call("CLUSTER", "INFO").text ?? ""
                return state.contains("cluster_state:ok") && state.contains("cluster_known_nodes:\(servers.count)")
            }
        }
        guard withReplicas else { return }
        try await BrokerConformance.eventually("replicas that are connected") { [masters] in
            try masters.allSatisfy { try $0.call("INFO", "replication").text?.contains("state=online") == true }
        }
    }

    func node(prefix: String) -> BrokerNode {
        let options = RedisBroker.Options(.cluster(masters.map { $0.address(of: host) }), prefix: prefix, tls: tls)
        return BrokerNode(options.node, RedisBroker(options))
    }

    /// The master that a channel is on.
    func owner(of channel: String) throws -> RedisServer {
        let slot = ClusterSlots.slot(ofChannel: channel)
        let value = try #require(alive).call("CLUSTER", "SLOTS")
        let ranges = SlotRange.all(in: value, askedAt: masters[0].address) ?? []
        let range = try #require(ranges.first { $0.slots.contains(slot) })
        // Whoever asks without TLS is told where that is.
        return try #require(
            (masters + replicas).first { .tcp(host: host, port: $0.port) == range.master })
    }

    private var alive: RedisServer? { masters.first { (try? $0.call("PING")) != nil } }

    /// Moves a slot to a server, as `redis-cli --cluster reshard` does; `half` is called while some keys have moved.
    func move(_ slot: Int, from source: RedisServer, to target: RedisServer, half: () async throws -> Void) async throws
    {
        func id(_ server: RedisServer) throws -> String { try server.call("CLUSTER", "MYID").text ?? "" }
        let (sourceID, targetID) = (try id(source), try id(target))
        let number = RESPArgument.number(Int64(slot))
        try target.call("CLUSTER", "SETSLOT", number, "IMPORTING", .text(sourceID))
        try source.call("CLUSTER", "SETSLOT", number, "MIGRATING", .text(targetID))
        var isHalf = false
        while true {
            let keys = try source.call("CLUSTER", "GETKEYSINSLOT", number, 1).elements?.compactMap(\.text) ?? []
            guard let key = keys.first else { break }
            try source.call("MIGRATE", "127.0.0.1", .number(Int64(target.tlsPort ?? target.port)), .text(key), 0, 5_000)
            if !isHalf { try await half() }
            isHalf = true
        }
        if isHalf { try await half() }
        for server in [target, source] + masters {
            _ = try? server.call("CLUSTER", "SETSLOT", number, "NODE", .text(targetID))
        }
    }

    func end() { for server in masters + replicas { server.end() } }

    /// Passes a fixture to a test.
    static func with(
        withReplicas: Bool = false, host: String = "127.0.0.1", tls certificate: TestCertificate? = nil,
        _ body: (ClusterFixture) async throws -> Void
    ) async throws {
        let fixture = try await ClusterFixture(withReplicas: withReplicas, host: host, tls: certificate)
        defer { fixture.end() }
        try await body(fixture)
    }
}
