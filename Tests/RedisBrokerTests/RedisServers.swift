import Base
import Broker
import BrokerSupport
import Glibc
import Testing

@testable import RedisBroker

/// Redis servers of a test.
protocol RedisServers: BrokerFixture {
    /// Those that nodes use.
    var masters: [RedisServer] { get }
    func end()
}

extension RedisServers {
    func cutDeliveries() throws {
        for server in masters { try server.call("CLIENT", "KILL", "TYPE", "pubsub") }
    }

    func cutCommands() throws {
        for server in masters { try server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }
    }

    func pause() { for server in masters { server.pause() } }
    func resume() { for server in masters { server.resume() } }

    func restart(keepingData: Bool) async throws {
        for server in masters {
            if keepingData { try await server.save() }
            server.kill()
            if !keepingData { unlink(server.directory + "/dump.rdb") }
        }
        for server in masters { try server.start() }
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        for server in masters { try await server.save() }
        try await body()
        for server in masters { server.kill() }
        for server in masters { try server.start() }
    }

    /// Deletes what the servers have stored.
    func clear() throws { for server in masters { try server.call("FLUSHALL") } }
}

extension RedisBroker.Options {
    /// The options of a node in a test.
    init(_ servers: RedisBroker.Servers, prefix: String, tls: BrokerTLS? = nil) {
        let id = NodeID.random()
        self.init(servers, node: id)
        self.prefix = prefix
        self.tls = tls
        probeInterval = .seconds(1)
        // A busy machine may keep a node from renewing its lease for a second or two.
        presenceTTL = .seconds(5)
        nodeDescription = NodeDescription(
            id: id, name: "node \(id)", version: "1", addresses: ["[::]:8080"], startedAt: 1)
    }
}

extension RedisServer {
    /// Writes its data into its file, as soon as it does not write them for a replica.
    fileprivate func save() async throws {
        try await BrokerConformance.eventually("a saved file") { [self] in
            do { return try call("SAVE").text == "OK" } catch let error as RedisError {
                guard error.text.contains("save already in progress") else { throw error }
                return false
            }
        }
    }

    /// Where nodes connect to: with TLS, if the server has it.
    var address: RedisAddress { address(of: "127.0.0.1") }
    func address(of host: String) -> RedisAddress { .tcp(host: host, port: tlsPort ?? port) }
}
