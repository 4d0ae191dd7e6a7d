import Base
import Broker
import Testing

@testable import NATSBroker

/// Three servers of a cluster, with three copies of each stream, and nodes that know one of them.
final class NATSClusterFixture: BrokerFixture {
    let servers: [NATSServer]
    let proxies: [Proxy]
    private let name = "c\(UInt32.random(in: 0 ... .max))"

    init() async throws {
        servers = try (0..<3).map { try NATSServer(name: "n\($0)", starts: false) }
        let routes = servers.map { "\"nats-route://127.0.0.1:\($0.routePort)\"" }.joined(separator: ", ")
        for server in servers {
            server.configure([
                "max_payload: 8MB",
                "cluster { name: \(name), host: 127.0.0.1, port: \(server.routePort), routes: [\(routes)] }",
            ])
        }
        for server in servers { try server.start() }
        var proxies: [Proxy] = []
        for server in servers { proxies.append(try await Proxy(to: server.port)) }
        self.proxies = proxies
    }

    func node(prefix: String) -> BrokerNode { node(prefix: prefix, servers: nil) }

    /// A node that knows some of the servers. It learns of the others.
    func node(prefix: String = "t", servers places: [Int]?) -> BrokerNode {
        let id = NodeID.random()
        let addresses = (places ?? [0, 1, 2]).map { NATSAddress(host: "127.0.0.1", port: proxies[$0].port) }
        var options = NATSBroker.Options(addresses, node: id)
        options.prefix = prefix
        options.replicas = 3
        options.probeInterval = .seconds(2)
        options.presenceTTL = .seconds(3)
        return BrokerNode(id, NATSBroker(options))
    }

    func cutDeliveries() async throws { for proxy in proxies { try await proxy.mend() } }
    func cutCommands() async throws { try await cutDeliveries() }
    func pause() { for server in servers { server.pause() } }
    func resume() { for server in servers { server.resume() } }
    func restart(keepingData: Bool) throws {
        for server in servers { server.kill() }
        if !keepingData { for server in servers { server.removeStore() } }
        for server in servers { try server.start() }
    }
    func forget(_ body: @Sendable () async throws -> Void) async throws {
        throw NotSeen("a cluster has nobody who could have less")
    }

    func end() async {
        for proxy in proxies { try? await proxy.end() }
        for server in servers { server.end() }
    }

    static func with(_ body: (NATSClusterFixture) async throws -> Void) async throws {
        let fixture = try await NATSClusterFixture()
        do {
            try await body(fixture)
            await fixture.end()
        } catch {
            await fixture.end()
            throw error
        }
    }

    /// Begins nodes, and waits until they are up: a cluster takes some seconds to choose its leaders.
    func nodes(_ count: Int) async throws -> [BrokerNode] {
        var nodes: [BrokerNode] = []
        for _ in 0..<count { nodes.append(node(prefix: "t")) }
        for node in nodes {
            for attempt in 1... {
                do {
                    try await node.isUp()
                    break
                } catch {
                    if attempt == 3 { throw NotSeen("\(error): \(String(describing: node.record.now.health))") }
                }
            }
        }
        return nodes
    }
}

/// Three servers with three copies.
@Suite(.blocking) struct NATSClusterTests {
    /// The cases that need no lag between copies, and no end of all servers: those of one server do them.
    private static let cases = BrokerConformance.cases.filter { conformance in
        ![
            "lost data is a new numbering", "numbers given twice", "numbers given twice, published",
            "users survive lost data", "a restart is made up for", "a pause is noticed",
        ].contains(conformance.testDescription)
    }

    @Test("What every broker has to do, with three copies")
    func conformance() async throws {
        try await NATSClusterFixture.with { fixture in
            for conformance in Self.cases {
                do {
                    // The next case has the names of channels for itself.
                    try await conformance.run(PrefixedFixture(fixture))
                } catch {
                    Issue.record("\(conformance.testDescription): \(error)")
                }
            }
        }
    }

    @Test("A server of three dies, and nobody misses anything", .serialized, arguments: 0..<3)
    func serverDies(victim: Int) async throws {
        try await NATSClusterFixture.with { fixture in
            let nodes = try await fixture.nodes(3)
            for node in nodes { try await node.subscribe("c", history: BrokerConformance.limits) }
            let count = 60
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (place, node) in nodes.enumerated() {
                    group.addTask {
                        for index in 0..<count {
                            try await node.publishAndWait(
                                "c", ["\(place):\(index)"], history: BrokerConformance.limits)
                            if place == 0, index == count / 3 { fixture.servers[victim].kill() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for node in nodes {
                try await node.record.wait("all") { ($0.seen["c"]?.count ?? 0) >= 3 * count ? () : nil }
                try await node.isUp()
            }
            let first = nodes[0].record.seen("c")
            #expect(first.count == 3 * count && Set(first).count == 3 * count)
            for node in nodes { #expect(node.record.seen("c") == first) }
            for place in 0..<3 {
                #expect(first.filter { $0.hasPrefix("\(place):") } == (0..<count).map { "\(place):\($0)" })
            }
            await BrokerConformance.end(nodes)
        }
    }

    @Test("A node goes to a server that it has learnt of")
    func learntServers() async throws {
        try await NATSClusterFixture.with { fixture in
            let others = try await fixture.nodes(1)
            let node = fixture.node(servers: [0])
            try await node.isUp()
            try await node.comesBack { try await fixture.proxies[0].cut() }
            try await node.subscribe("c")
            try await others[0].publishAndWait("c", ["m1"])
            try await node.record.sees("c", ["m1"])
            await BrokerConformance.end(others + [node])
        }
    }
}

/// A fixture whose nodes have a prefix of their own.
private struct PrefixedFixture: BrokerFixture {
    private let fixture: NATSClusterFixture
    private let prefix = "t\(UInt32.random(in: 0 ... .max))-"

    init(_ fixture: NATSClusterFixture) { self.fixture = fixture }

    func node(prefix: String) -> BrokerNode { fixture.node(prefix: self.prefix + prefix) }
    func cutDeliveries() async throws { try await fixture.cutDeliveries() }
    func cutCommands() async throws { try await fixture.cutCommands() }
    func pause() { fixture.pause() }
    func resume() { fixture.resume() }
    func restart(keepingData: Bool) throws { try fixture.restart(keepingData: keepingData) }
    func forget(_ body: @Sendable () async throws -> Void) async throws { try await fixture.forget(body) }
    func end() async {}
}
