import Base
import ClusterControl
import Control
import Operations
import Testing

@Suite("What shows all nodes")
struct LookingTests {
    private let exchange = Exchange()

    /// All connections of a listing in pages, and the nodes that did not answer.
    private func list(
        _ cluster: Cluster, _ filter: ConnectionFilter = ConnectionFilter(), limit: Int,
        betweenPages: (Int) -> Void = { _ in }
    ) async throws -> (rows: [ConnectionRow], silent: [String]) {
        var (rows, silent): ([ConnectionRow], [String]) = ([], [])
        var after: String?
        var pages = 0
        repeat {
            let page = try await cluster.connections(matching: filter, after: after, limit: limit)
            #expect(page.connections.count <= limit)
            rows += page.connections
            silent += page.silent ?? []
            after = page.next
            pages += 1
            betweenPages(pages)
        } while after != nil
        return (rows, silent)
    }

    @Test("lists every connection once, with its node, whatever the size of the pages", arguments: [1, 7, 100, 1000])
    func paging(_ limit: Int) async throws {
        let counts = [40, 0, 700]
        let clusters = counts.enumerated().map { node, count in
            exchange.add(node + 1, MemoryBackend(count: count, worker: node))
        }
        let count = limit == 1 ? 40 : 740
        let filter = limit == 1 ? ConnectionFilter(ids: (0..<40).map { "\(MemoryBackend.id($0))" }) : ConnectionFilter()
        for cluster in clusters {
            let (rows, silent) = try await list(cluster, filter, limit: limit)
            #expect(rows.count == count && Set(rows.map(\.id)).count == count && silent.isEmpty)
            #expect(rows.allSatisfy { $0.node == "node-\($0.id.worker + 1)" })
        }
    }

    @Test("goes on behind a node that has gone, and names one that is silent once")
    func nodesThatGo() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 10, worker: 1))
        exchange.add(2, MemoryBackend(count: 10, worker: 2))
        exchange.addMute(3)
        exchange.add(4, MemoryBackend(count: 10, worker: 4))
        let (rows, silent) = try await list(cluster, limit: 5) { if $0 == 3 { exchange.remove(2) } }
        #expect(
            rows.map(\.id.worker) == Array(repeating: 1, count: 10) + Array(repeating: 2, count: 5)
                + Array(repeating: 4, count: 10))
        #expect(silent == ["node-3"])
    }

    @Test("cuts what does not fit into a message into pages")
    func cutting() async throws {
        var limits = Cluster.Limits.short
        limits.messageByteCount = 64 << 10
        let cluster = exchange.add(1, MemoryBackend(count: 0), limits)
        exchange.add(2, MemoryBackend(count: 200, worker: 2, userAgentByteCount: 2000), limits)
        let (rows, silent) = try await list(cluster, limit: 1000)
        #expect(rows.map(\.id) == (0..<200).map { MemoryBackend.id($0, 2) })
        #expect(silent.isEmpty)
    }

    @Test("names the node whose answer is too large even so")
    func tooLarge() async throws {
        var limits = Cluster.Limits.short
        limits.messageByteCount = 1000
        let cluster = exchange.add(1, MemoryBackend(count: 1), limits)
        exchange.add(2, MemoryBackend(count: 1, worker: 2, userAgentByteCount: 2000), limits)
        let (rows, silent) = try await list(cluster, limit: 1000)
        #expect(rows.count == 1 && silent == ["node-2"])
    }

    @Test("goes on from nowhere but its own cursors", arguments: ["", "7", "/", "x!/3", "7/7", "1000000000001/x"])
    func cursors(_ cursor: String) async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 1))
        guard cursor != "7/7" else {
            // A node that has gone, before all others.
            let page = try await cluster.connections(matching: ConnectionFilter(), after: cursor, limit: 1)
            return #expect(page.connections.count == 1)
        }
        await #expect(throws: ControlError.invalidParameter("after")) {
            try await cluster.connections(matching: ConnectionFilter(), after: cursor, limit: 1)
        }
    }

    @Test("finds a connection wherever it is, and says where it may be")
    func show() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 3, worker: 1))
        exchange.add(2, MemoryBackend(count: 3, worker: 2))
        for worker in [1, 2] {
            let reply = try await cluster.connection(id: "\(MemoryBackend.id(1, worker))")
            #expect(reply.connection.node == "node-\(worker)" && reply.silent == [])
        }
        await #expect(throws: ControlError.noSuchConnection(id: "x")) { try await cluster.connection(id: "x") }
        exchange.addMute(3)
        #expect(try await cluster.connection(id: "\(MemoryBackend.id(1, 2))").connection.node == "node-2")
        await #expect(throws: ControlError.noSuchConnection(id: "x", silent: ["node-3"])) {
            try await cluster.connection(id: "x")
        }
    }

    @Test("tells the newest ends of all nodes, in order")
    func endings() async throws {
        func events(_ times: [Int64]) -> [Event] { times.map { Event(.close, millisecondsSinceEpoch: $0) } }
        let cluster = exchange.add(1, MemoryBackend(count: 0, events: events([90, 50, 10])))
        exchange.add(2, MemoryBackend(count: 0, events: events([80, 50, 50, 20])))
        let reply = try await cluster.endings(matching: nil, limit: 5)
        #expect(reply.events.map(\.time.millisecondsSinceEpoch) == [90, 80, 50, 50, 50])
        #expect(reply.events.map(\.node) == ["node-1", "node-2", "node-1", "node-2", "node-2"])
        #expect(reply.silent == [])
    }

    @Test("sums the connections of a channel over all nodes, page by page", arguments: [1, 2, 3, 100])
    func channels(_ limit: Int) async throws {
        func rows(_ names: [String], _ count: Int) -> [ChannelRow] {
            names.map { ChannelRow(name: $0, connections: count) }
        }
        let cluster = exchange.add(1, MemoryBackend(count: 0, channels: rows(["a", "c", "z", "ä"], 1)))
        exchange.add(2, MemoryBackend(count: 0, channels: rows(["b", "c", "d", "e", "f", "z"], 10)))
        exchange.add(3, MemoryBackend(count: 0, channels: []))
        var found: [ChannelRow] = []
        var after: String?
        repeat {
            let reply = try await cluster.channels(pattern: nil, after: after, limit: limit)
            #expect(reply.channels.count <= limit && reply.silent == [])
            found += reply.channels
            after = reply.next
        } while after != nil
        #expect(found.map(\.name) == ["a", "b", "c", "d", "e", "f", "z", "ä"])
        #expect(found.map(\.connections) == [1, 10, 11, 10, 10, 10, 11, 1])
    }

    @Test("shows each node, with figures if it answers")
    func nodes() async throws {
        exchange.add(1, MemoryBackend(count: 3))
        let cluster = exchange.add(2, MemoryBackend(count: 5))
        exchange.addMute(3)
        let reply = try await cluster.nodeRows()
        #expect(reply.nodes.map(\.name) == ["node-1", "node-2", "node-3"] && reply.silent == ["node-3"])
        #expect(reply.nodes.map(\.isThis) == [false, true, false])
        #expect(reply.nodes.map(\.connections) == [3, 5, nil])
        #expect(reply.nodes.map { $0.lagSeconds != nil } == [true, false, false])
        #expect(reply.nodes[0].id == "\(Exchange.id(1))" && reply.nodes[0].addresses == ["192.0.2.1:8080"])
        #expect(reply.nodes[0].state == .running && reply.nodes[2].state == nil)
    }
}
