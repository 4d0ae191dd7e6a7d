import Base
import Broker

@testable import LogBroker

extension NodeID {
    static let first = NodeID(rawValue: 1 << 60)
    static let second = NodeID(rawValue: 2 << 60)
}

extension FakeLog {
    /// Begins a node, and waits until it is up.
    func node(
        _ id: NodeID = .first, probeInterval: Duration = .seconds(1), awaited: Bool = true
    ) async throws -> BrokerNode {
        var options = LogBroker.Options("the log", plugin: options, node: id)
        options.window = .seconds(600)
        options.probeInterval = probeInterval
        options.presenceTTL = .seconds(2)
        let node = BrokerNode(id, LogBroker(Self.plugin, options))
        if awaited { try await node.isUp() }
        return node
    }
}
