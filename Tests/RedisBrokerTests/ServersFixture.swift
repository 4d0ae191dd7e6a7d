import Base
import Broker
import Glibc
import Testing

@testable import RedisBroker

extension RedisBroker.Options {
    /// The options of a node in a test.
    init(_ servers: RedisBroker.Servers, prefix: String) {
        let id = NodeID.random()
        self.init(servers, node: id)
        self.prefix = prefix
        probeInterval = .seconds(1)
        presenceTTL = .seconds(2)
        nodeDescription = NodeDescription(
            id: id, name: "node \(id)", version: "1", addresses: ["[::]:8080"], startedAt: 1)
    }
}

extension RedisServer {
    var address: RedisAddress { .tcp(host: "127.0.0.1", port: port) }
}

/// Several servers that know nothing of each other, each with a part of the channels.
final class ServersFixture: BrokerFixture {
    let servers: [RedisServer]

    init(_ count: Int) throws {
        var servers: [RedisServer] = []
        for _ in 0..<count { servers.append(try RedisServer()) }
        self.servers = servers
    }

    func node(prefix: String) -> BrokerNode {
        let options = RedisBroker.Options(.independent(servers.map(\.address)), prefix: prefix)
        return BrokerNode(options.node, RedisBroker(options))
    }

    func cutDeliveries() throws {
        for server in servers { try server.call("CLIENT", "KILL", "TYPE", "pubsub") }
    }

    func cutCommands() throws {
        for server in servers { try server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }
    }

    func pause() { for server in servers { server.pause() } }
    func resume() { for server in servers { server.resume() } }

    func restart(keepingData: Bool) throws {
        for server in servers {
            if keepingData { try server.call("SAVE") }
            server.kill()
            if !keepingData { unlink(server.directory + "/dump.rdb") }
            try server.start()
        }
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        for server in servers { try server.call("SAVE") }
        try await body()
        for server in servers {
            server.kill()
            try server.start()
        }
    }

    func end() { for server in servers { server.end() } }
}
