import ClusterControl
import Control
import ControlServer
import Operations
import Testing
import Varlink

@Suite("The control service of a node", .blocking)
struct ClusterServiceTests {
    private let one = List.Parameters(limit: 1, cluster: true)

    @Test("with a broker asks all nodes if it is told to, and else itself")
    func everywhere() async throws {
        let exchange = Exchange()
        let backend = MemoryBackend(count: 300, worker: 1)
        // Tests beside this one keep the processors busy.
        var limits = Cluster.Limits.short
        limits.patience = .seconds(12)
        let cluster = exchange.add(1, backend, limits)
        exchange.add(2, MemoryBackend(count: 400, worker: 2))
        try await withClients(of: ControlService(backend: backend, cluster: cluster)) { control, status in
            func count(_ cluster: Bool?) throws -> Int {
                var count = 0
                try control.callMore(
                    "io.wsd.Control.List", List.Parameters(cluster: cluster), returning: ConnectionPage.self
                ) { count += $0.connections.count }
                return count
            }
            #expect(try [count(nil), count(false), count(true)] == [300, 300, 700])
            let id = "\(MemoryBackend.id(7, 2))"
            let shown: Show.Reply = try control.call("io.wsd.Control.Show", Show.Parameters(id: id, cluster: true))
            #expect(shown.connection.node == "node-2" && shown.silent == [])
            let channels: ListChannels.Reply = try control.call(
                "io.wsd.Control.ListChannels", ListChannels.Parameters(pattern: "a", limit: 3, cluster: true))
            #expect(channels.channels.map(\.connections) == [6])
            let ends: Why.Reply = try control.call("io.wsd.Control.Why", Why.Parameters(limit: 3, cluster: true))
            #expect(ends.events.map(\.node) == ["node-1", "node-1", "node-2"])
            let nodes: Nodes.Reply = try control.call("io.wsd.Control.Nodes")
            #expect(nodes.nodes.map(\.connections) == [300, 400])
            let sent: PublishResult = try control.call(
                "io.wsd.Control.Broadcast", Broadcast.Parameters(message: "a", cluster: true))
            #expect(sent == PublishResult(recipients: 700, silent: []))
            let kicked: Kick.Reply = try control.call(
                "io.wsd.Control.Kick", Kick.Parameters(filter: .init(all: true), cluster: true))
            #expect(kicked == Kick.Reply(connections: 700, silent: []))
            #expect(throws: VarlinkClientError.failed(.permissionDenied)) {
                try status.call("io.wsd.Status.Nodes", returning: NoParameters.self)
            }
        }
    }

    @Test("without one says so")
    func alone() async throws {
        let backend = MemoryBackend(count: 3)
        try await withClients(of: ControlService(backend: backend)) { control, _ in
            let error = VarlinkClientError.failed(VarlinkError(name: "io.wsd.Control.NoBroker"))
            #expect(throws: error) { try control.call("io.wsd.Control.Nodes", returning: Nodes.Reply.self) }
            #expect(throws: error) { try control.call("io.wsd.Control.List", one, returning: ConnectionPage.self) }
            #expect(throws: error) {
                try control.call(
                    "io.wsd.Control.Kick", Kick.Parameters(filter: .init(all: true), cluster: true),
                    returning: Kick.Reply.self)
            }
            let own: ConnectionPage = try control.call("io.wsd.Control.List", List.Parameters(cluster: false))
            #expect(own.connections.count == 3 && own.silent == nil)
        }
    }
}
