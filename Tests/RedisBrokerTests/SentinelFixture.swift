import Base
import Broker
import Glibc
import Synchronization
import Testing

@testable import RedisBroker

/// A master with a replica, and three Sentinels that look after them.
final class SentinelFixture: BrokerFixture {
    private let servers: Mutex<[RedisServer]>
    let sentinels: [RedisServer]
    private let password: String?

    /// - Parameters:
    ///   - downAfter: the time in milliseconds after which Sentinels take the master for down.
    ///   - password: the password that the Sentinels ask for.
    init(downAfter: Int = 1_000, password: String? = nil) async throws {
        let first = try RedisServer(["--repl-diskless-sync-delay", "0"])
        let second = try RedisServer(["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1 \(first.port)"])
        servers = Mutex([first, second])
        self.password = password
        let lines =
            ["sentinel down-after-milliseconds mymaster \(downAfter)"]
            + (password.map { ["requirepass \($0)", "sentinel sentinel-pass \($0)"] } ?? [])
        var sentinels: [RedisServer] = []
        for _ in 0..<3 { sentinels.append(try RedisServer(sentinelOf: first, lines)) }
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
    var replica: RedisServer { servers.withLock { $0[1] } }

    var options: RedisBroker.Sentinel {
        RedisBroker.Sentinel(masterName: "mymaster", addresses: sentinels.map(\.address), password: password)
    }

    func node(prefix: String) -> BrokerNode {
        let options = RedisBroker.Options(.sentinel(options), prefix: prefix)
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

    func cutDeliveries() throws { try master.call("CLIENT", "KILL", "TYPE", "pubsub") }
    func cutCommands() throws { try master.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }
    func pause() { master.pause() }
    func resume() { master.resume() }
    func restart(keepingData: Bool) throws {}
    func forget(_ body: @Sendable () async throws -> Void) async throws {}

    func end() {
        for server in sentinels + servers.withLock(\.self) { server.end() }
    }
}
