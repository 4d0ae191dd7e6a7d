import Broker

@testable import RedisBroker

/// A Redis server of a test, and nodes that use it.
final class RedisFixture: RedisServers {
    let server: RedisServer
    var masters: [RedisServer] { [server] }
    private let changes: @Sendable (inout RedisBroker.Options) -> Void

    init(
        _ arguments: [String] = [], program: RedisProgram = .standard,
        _ changes: @escaping @Sendable (inout RedisBroker.Options) -> Void = { _ in }
    ) throws {
        server = try RedisServer(arguments, program: program)
        self.changes = changes
    }

    func node(prefix: String) -> BrokerNode { node(prefix: prefix) { _ in } }

    func node(prefix: String = "t", _ more: (inout RedisBroker.Options) -> Void) -> BrokerNode {
        var options = RedisBroker.Options(.independent([server.address]), prefix: prefix)
        changes(&options)
        more(&options)
        return BrokerNode(options.node, RedisBroker(options))
    }

    func end() { server.end() }

    /// Passes a fixture to a test, and the nodes' end.
    static func with(
        _ arguments: [String] = [], program: RedisProgram = .standard,
        _ changes: @escaping @Sendable (inout RedisBroker.Options) -> Void = { _ in },
        body: (RedisFixture) async throws -> Void
    ) async throws {
        let fixture = try RedisFixture(arguments, program: program, changes)
        defer { fixture.end() }
        try await body(fixture)
    }
}
