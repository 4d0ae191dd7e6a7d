import Base
import Broker
import Glibc
import Testing

@testable import RedisBroker

/// A cluster of three masters, each with a replica if the test wants that.
final class ClusterFixture: BrokerFixture {
    let masters: [RedisServer]
    let replicas: [RedisServer]

    init(withReplicas: Bool = false) async throws {
        let arguments = [
            "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0",
        ]
        var servers: [RedisServer] = []
        for _ in 0..<(withReplicas ? 6 : 3) { servers.append(try RedisServer(arguments)) }
        masters = Array(servers.prefix(3))
        replicas = Array(servers.dropFirst(3))
        let all = servers.map { "127.0.0.1:\($0.port)" }.joined(separator: " ")
        let status = system(
            "redis-cli --cluster create \(all) --cluster-replicas \(withReplicas ? 1 : 0) --cluster-yes >/dev/null 2>&1"
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
        let options = RedisBroker.Options(.cluster(masters.map(\.address)), prefix: prefix)
        return BrokerNode(options.node, RedisBroker(options))
    }

    /// The master that a channel is on.
    func owner(of channel: String) throws -> RedisServer {
        let slot = ClusterSlots.slot(ofChannel: channel)
        let value = try #require(alive).call("CLUSTER", "SLOTS")
        let ranges = SlotRange.all(in: value, askedAt: masters[0].address) ?? []
        let range = try #require(ranges.first { $0.slots.contains(slot) })
        return try #require((masters + replicas).first { $0.address == range.master })
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
            try source.call("MIGRATE", "127.0.0.1", .number(Int64(target.port)), .text(key), 0, 5_000)
            if !isHalf { try await half() }
            isHalf = true
        }
        if isHalf { try await half() }
        for server in [target, source] + masters {
            _ = try? server.call("CLUSTER", "SETSLOT", number, "NODE", .text(targetID))
        }
    }

    func cutDeliveries() throws {
        for server in masters { try server.call("CLIENT", "KILL", "TYPE", "pubsub") }
    }

    func cutCommands() throws {
        for server in masters { try server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }
    }

    func pause() { for server in masters { server.pause() } }
    func resume() { for server in masters { server.resume() } }

    func restart(keepingData: Bool) throws {
        for server in masters {
            if keepingData { try server.call("SAVE") }
            server.kill()
            if !keepingData { unlink(server.directory + "/dump.rdb") }
        }
        for server in masters { try server.start() }
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        for server in masters { try server.call("SAVE") }
        try await body()
        for server in masters { server.kill() }
        for server in masters { try server.start() }
    }

    func end() { for server in masters + replicas { server.end() } }

    /// Passes a fixture to a test.
    static func with(withReplicas: Bool = false, _ body: (ClusterFixture) async throws -> Void) async throws {
        let fixture = try await ClusterFixture(withReplicas: withReplicas)
        do {
            try await body(fixture)
            fixture.end()
        } catch {
            fixture.end()
            throw error
        }
    }
}
