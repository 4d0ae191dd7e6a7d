import Base
import Broker
import Testing

@testable import NATSBroker

/// A NATS server of a test, and nodes that use it, by a way that can be cut.
final class NATSFixture: BrokerFixture {
    let server: NATSServer
    let proxy: Proxy
    private let changes: @Sendable (inout NATSBroker.Options) -> Void

    init(
        _ lines: [String], hasJetStream: Bool = true,
        _ changes: @escaping @Sendable (inout NATSBroker.Options) -> Void = { _ in }
    ) async throws {
        server = try NATSServer(["max_payload: 8MB"] + lines, hasJetStream: hasJetStream)
        proxy = try await Proxy(to: server.port)
        self.changes = changes
    }

    func node(prefix: String) -> BrokerNode { node(prefix: prefix) { _ in } }

    func node(prefix: String = "t", _ more: (inout NATSBroker.Options) -> Void) -> BrokerNode {
        let id = NodeID.random()
        var options = NATSBroker.Options([NATSAddress(host: "127.0.0.1", port: proxy.port)], node: id)
        options.prefix = prefix
        options.probeInterval = .seconds(1)
        options.presenceTTL = .seconds(2)
        options.nodeDescription = NodeDescription(
            id: id, name: "node \(id)", version: "1", addresses: ["[::]:8080"], startedAt: 1)
        changes(&options)
        more(&options)
        return BrokerNode(id, NATSBroker(options))
    }

    // One connection does both.
    func cutDeliveries() async throws { try await proxy.mend() }
    func cutCommands() async throws { try await proxy.mend() }

    func pause() { server.pause() }
    func resume() { server.resume() }

    func restart(keepingData: Bool) throws {
        if keepingData {
            server.terminate()
        } else {
            server.kill()
            server.removeStore()
        }
        try server.start()
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        server.terminate()
        server.saveStore()
        try server.start()
        try await body()
        server.kill()
        server.restoreStore()
        try server.start()
    }

    func end() async {
        try? await proxy.end()
        server.end()
    }

    /// Passes a fixture to a test, and the nodes' end.
    static func with(
        _ lines: [String] = [], hasJetStream: Bool = true,
        _ changes: @escaping @Sendable (inout NATSBroker.Options) -> Void = { _ in },
        body: (NATSFixture) async throws -> Void
    ) async throws {
        let fixture = try await NATSFixture(lines, hasJetStream: hasJetStream, changes)
        do {
            try await body(fixture)
            await fixture.end()
        } catch {
            await fixture.end()
            throw error
        }
    }
}
