import Base
import Broker
import Glibc
import Testing

@testable import RedisBroker

/// A Redis server of a test, and nodes that use it.
final class RedisFixture: BrokerFixture {
    let server: RedisServer
    private let changes: @Sendable (inout RedisBroker.Options) -> Void

    init(
        _ arguments: [String] = [], _ changes: @escaping @Sendable (inout RedisBroker.Options) -> Void = { _ in }
    ) throws {
        server = try RedisServer(arguments)
        self.changes = changes
    }

    func node(prefix: String) -> BrokerNode { node(prefix: prefix) { _ in } }

    func node(prefix: String = "t", _ more: (inout RedisBroker.Options) -> Void) -> BrokerNode {
        let id = NodeID.random()
        var options = RedisBroker.Options(address: .tcp(host: "127.0.0.1", port: server.port), node: id)
        options.prefix = prefix
        options.probeInterval = .seconds(1)
        options.presenceTTL = .seconds(2)
        options.nodeDescription = NodeDescription(
            id: id, name: "node \(id)", version: "1", addresses: ["[::]:8080"], startedAt: 1)
        changes(&options)
        more(&options)
        return BrokerNode(id, RedisBroker(options))
    }

    func cutDeliveries() throws { try server.call("CLIENT", "KILL", "TYPE", "pubsub") }

    func cutCommands() throws { try server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }

    func pause() { server.pause() }
    func resume() { server.resume() }

    func restart(keepingData: Bool) throws {
        if keepingData { try server.call("SAVE") }
        server.kill()
        if !keepingData { unlink(server.directory + "/dump.rdb") }
        try server.start()
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        try server.call("SAVE")
        try await body()
        server.kill()
        try server.start()
    }

    func end() { server.end() }

    /// Passes a fixture to a test, and the nodes' end.
    static func with(
        _ arguments: [String] = [], _ changes: @escaping @Sendable (inout RedisBroker.Options) -> Void = { _ in },
        body: (RedisFixture) async throws -> Void
    ) async throws {
        let fixture = try RedisFixture(arguments, changes)
        defer { fixture.end() }
        try await body(fixture)
    }
}
