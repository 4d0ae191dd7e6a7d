import Base
import Broker

/// A broker's service that a test has for itself, and what can be done to it.
protocol BrokerFixture: Sendable {
    /// Begins a node with a broker.
    func node(prefix: String) -> BrokerNode
    /// Cuts the connections that deliver, and no others.
    func cutDeliveries() async throws
    /// Cuts the connections that take publications, and no others.
    func cutCommands() async throws
    /// Stops the service without ending it, and lets it go on.
    func pause() async throws
    func resume() async throws
    /// Ends the service at once, and begins it anew with what it had stored or without.
    func restart(keepingData: Bool) async throws
    /// Takes the service back to what it had `after` some numbers of a channel, as a failover to a replica that lags does.
    func forget(_ body: @Sendable () async throws -> Void) async throws
    /// Ends the service.
    func end() async throws
}

extension BrokerFixture {
    func node() -> BrokerNode { node(prefix: "t") }

    /// Begins nodes, and waits until they are up.
    func nodes(_ count: Int) async throws -> [BrokerNode] {
        var nodes: [BrokerNode] = []
        for _ in 0..<count { nodes.append(node()) }
        for node in nodes { try await node.isUp() }
        return nodes
    }
}
