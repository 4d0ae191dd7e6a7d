import Base
import Broker

@testable import RedisBroker

/// Servers that know nothing of each other, each with a part of the channels.
final class ServersFixture: RedisServers {
    let servers: [RedisServer]
    var masters: [RedisServer] { servers }

    init(_ count: Int, program: RedisProgram = .standard) throws {
        var servers: [RedisServer] = []
        for _ in 0..<count { servers.append(try RedisServer(program: program)) }
        self.servers = servers
    }

    func node(prefix: String) -> BrokerNode {
        let options = RedisBroker.Options(.independent(servers.map(\.address)), prefix: prefix)
        return BrokerNode(options.node, RedisBroker(options))
    }

    func end() { for server in servers { server.end() } }
}
