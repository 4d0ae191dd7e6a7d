import Base
import Broker
import ClusterControl
import Control
import Synchronization

/// The brokers of several nodes in one process, which do nothing but pass messages.
final class Exchange: Sendable {
    /// A message on its way.
    struct Message: Sendable {
        var bytes: [UInt8]
        var from: NodeID
        var to: NodeID
    }

    private struct State {
        var nodes: [NodeDescription] = []
        var clusters: [NodeID: Cluster] = [:]
        var isUnreachable = false
        var onItsWay: @Sendable (Message) -> [Message] = { [$0] }
        var passed = 0
    }

    private let state = Mutex(State())

    /// Adds a node that has connections and the broker that it got.
    @discardableResult
    func add(
        _ number: Int, _ backend: MemoryBackend, _ limits: Cluster.Limits = .short,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) -> Cluster {
        let description = Self.description(number)
        let cluster = Cluster(
            broker: MemoryBroker(exchange: self, node: description.id), id: description.id, name: description.name,
            backend: backend, limits: limits, report: report)
        state.withLock { state in
            state.nodes.append(description)
            state.clusters[description.id] = cluster
        }
        return cluster
    }

    /// Adds a node that never answers.
    func addMute(_ number: Int) { state.withLock { $0.nodes.append(Self.description(number)) } }

    /// Takes a node away.
    func remove(_ number: Int) {
        state.withLock { state in
            state.nodes.removeAll { $0.id == Self.id(number) }
            state.clusters[Self.id(number)] = nil
        }
    }

    /// Makes the broker say no longer which nodes there are.
    func setUnreachable() { state.withLock { $0.isUnreachable = true } }

    /// Replaces each message by others on its way.
    func intercept(_ body: @escaping @Sendable (Message) -> [Message]) { state.withLock { $0.onItsWay = body } }

    /// The number of messages that have been passed on.
    var passed: Int { state.withLock(\.passed) }

    /// Gives a message to a node.
    func deliver(_ bytes: [UInt8], from: NodeID, to number: Int) {
        state.withLock { $0.clusters[Self.id(number)] }?.take(bytes, from: from)
    }

    static func id(_ number: Int) -> NodeID { NodeID(rawValue: 1 << 60 + UInt64(number)) }

    static func description(_ number: Int) -> NodeDescription {
        NodeDescription(
            id: id(number), name: "node-\(number)", version: "0.1.0", addresses: ["192.0.2.\(number):8080"],
            startedAt: 1000 * Int64(number))
    }

    fileprivate var nodes: [NodeDescription]? { state.withLock { $0.isUnreachable ? nil : $0.nodes } }

    fileprivate func send(_ bytes: [UInt8], from: NodeID, to: NodeID?) {
        let (receivers, change) = state.withLock { state in
            (to.map { [$0] } ?? state.nodes.map(\.id).filter { $0 != from }, state.onItsWay)
        }
        for message in receivers.flatMap({ change(Message(bytes: bytes, from: from, to: $0)) }) {
            state.withLock { state in
                state.passed += 1
                return state.clusters[message.to]
            }?.take(message.bytes, from: message.from)
        }
    }
}

extension Cluster.Limits {
    /// Those of tests, in which somebody is silent and others answer, on a machine that may be busy.
    static var short: Cluster.Limits {
        var limits = Cluster.Limits()
        limits.patience = .seconds(10)
        return limits
    }
}

/// A node's broker.
private final class MemoryBroker: Broker {
    let exchange: Exchange
    let node: NodeID
    let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)

    init(exchange: Exchange, node: NodeID) {
        self.exchange = exchange
        self.node = node
    }

    func send(_ message: [UInt8], to node: NodeID?) { exchange.send(message, from: self.node, to: node) }
    func nodes() async -> [NodeDescription]? { exchange.nodes }

    func start(_ sink: any BrokerSink) {}
    func publish(_ batches: [OutgoingBatch]) {}
    func subscribe(_ subscriptions: [Subscription]) {}
    func unsubscribe(_ channels: [String]) {}
    func change(_ changes: [PresenceChange]) {}
    func askForMembers(of channel: String, token: UInt64) {}
    func stop(within time: Duration) async {}
}
