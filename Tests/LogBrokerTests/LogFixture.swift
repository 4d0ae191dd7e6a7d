import Base
import Broker
import Foundation
import Testing

@testable import LogBroker

/// A program that a log is kept by, for a test alone.
protocol LogServer: Sendable {
    /// The kind of broker, which is the plugin's name.
    var type: String { get }
    /// What the plugin is told of where it is.
    var options: [(key: String, value: String)] { get }
    func start() throws
    /// Cuts the connections that there are.
    func cut() async throws
    func restart(keepingData: Bool) throws
    func pause()
    func resume()
    /// Takes it back to what it had before `body`.
    func forget(_ body: @Sendable () async throws -> Void) async throws
    func end() async
}

extension LogServer {
    func forget(_ body: @Sendable () async throws -> Void) async throws {
        throw NotSeen("\(Self.self) can't go back to what it was")
    }
}

/// A server of a test, and nodes that use it.
final class LogFixture: BrokerFixture {
    let server: any LogServer
    /// Before all prefixes: others may use the same server.
    private let name = NodeID.random().description
    private let changes: @Sendable (inout LogBroker.Options) -> Void

    init(_ server: any LogServer, _ changes: @escaping @Sendable (inout LogBroker.Options) -> Void = { _ in }) {
        self.server = server
        self.changes = changes
    }

    func node(prefix: String) -> BrokerNode { node(prefix: prefix) { _ in } }

    func node(prefix: String = "t", _ more: (inout LogBroker.Options) -> Void) -> BrokerNode {
        let id = NodeID.random()
        var plugin = server.options
        plugin += [
            ("prefix", "\(name)-\(prefix)"), ("partitions", "2"), ("retention", "3600000"), ("client", "wsd-test"),
        ]
        var options = LogBroker.Options("the server", plugin: plugin, node: id)
        options.window = .seconds(600)
        options.probeInterval = .seconds(1)
        options.presenceTTL = .seconds(2)
        options.nodeDescription = NodeDescription(
            id: id, name: "node \(id)", version: "1", addresses: ["[::]:8080"], startedAt: 1)
        changes(&options)
        more(&options)
        return BrokerNode(id, LogBroker(TestPlugins.plugin(server.type), options))
    }

    func cutDeliveries() async throws { try await server.cut() }
    func cutCommands() async throws { try await server.cut() }
    func pause() { server.pause() }
    func resume() { server.resume() }
    func restart(keepingData: Bool) throws { try server.restart(keepingData: keepingData) }
    func forget(_ body: @Sendable () async throws -> Void) async throws { try await server.forget(body) }
    func end() async { await server.end() }

    /// Passes a fixture to a test, and the nodes' end.
    static func with(
        _ server: any LogServer, _ changes: @escaping @Sendable (inout LogBroker.Options) -> Void = { _ in },
        body: (LogFixture) async throws -> Void
    ) async throws {
        let fixture = LogFixture(server, changes)
        try server.start()
        do {
            try await body(fixture)
            await fixture.end()
        } catch {
            await fixture.end()
            throw error
        }
    }
}

/// The plugins, built from their sources once for all tests.
enum TestPlugins {
    private static let directory: String = {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let directory = "/\(root)/.build/test-plugins"
        let status = shell("'/\(root)/packaging/plugins' '\(directory)' >&2")
        precondition(status == 0, "the plugins can't be built")
        return directory
    }()

    private static let kafka = plugin(named: "kafka")
    private static let rabbitmq = plugin(named: "rabbitmq")

    static func plugin(_ name: String) -> LogPlugin { name == "kafka" ? kafka : rabbitmq }

    private static func plugin(named name: String) -> LogPlugin {
        do { return try LogPlugin(name, in: directory) } catch { preconditionFailure("\(error)") }
    }
}
