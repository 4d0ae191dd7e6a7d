import Base
import Broker
import Dispatch
import Synchronization

/// A broker in this process that several hubs share: it orders, keeps histories and knows who is present, and fails as it
/// is told to. Everything runs on one queue.
final class MemoryServer: Sendable {
    let queue = DispatchQueue(label: "broker")
    nonisolated(unsafe) fileprivate var channels: [String: Channel] = [:]
    nonisolated(unsafe) fileprivate var nodes: [MemoryBroker] = []
    /// While set, everything waits.
    nonisolated(unsafe) fileprivate var isStopped = false
    nonisolated(unsafe) fileprivate var later: [() -> Void] = []

    fileprivate struct Channel {
        var epoch: String
        var seq: UInt64 = 0
        var history: [DeliveredBatch] = []
        var subscribers: [NodeID: MemoryBroker] = [:]
        var users: [String: Set<NodeID>] = [:]
        /// The limits of the history that each node asks for.
        var limits: [NodeID: HistoryLimits] = [:]
        /// The nodes that batches don't reach.
        var cutOff: Set<NodeID> = []
        var position: MessagePosition { MessagePosition(epoch: epoch, seq: seq) }
    }

    func run(_ body: @escaping @Sendable () -> Void) {
        queue.async { [self] in if isStopped { later.append(body) } else { body() } }
    }

    /// Does nothing until `go`.
    func stop() { queue.sync { isStopped = true } }

    func go() {
        queue.sync {
            isStopped = false
            let due = later
            later = []
            for body in due { body() }
        }
    }

    /// Loses everything: each subscriber is told of the new numbering.
    func loseData() {
        queue.sync {
            for name in channels.keys {
                channels[name]!.epoch += "x"
                channels[name]!.seq = 0
                channels[name]!.history = []
                let channel = channels[name]!
                for node in channel.subscribers.values {
                    node.tell(.renumbered(channel: name, channel.position, history: []))
                }
            }
        }
    }

    /// Loses the messages of a channel on their way to a node from now on.
    func cut(_ name: String, from node: MemoryBroker) { queue.sync { _ = channels[name]?.cutOff.insert(node.node) } }

    /// Loses the messages on their way to a node meanwhile, and tells it of a gap.
    func cut(_ name: String, from node: MemoryBroker, during body: () -> Void) {
        cut(name, from: node)
        body()
        queue.sync {
            guard let channel = channels[name] else { return }
            channels[name]?.cutOff.remove(node.node)
            if channel.subscribers[node.node] != nil { node.tell(.gap(channel: name, channel.position)) }
        }
    }

    /// Answers a node's subscription once more.
    func repeatSubscription(of name: String, at node: MemoryBroker) {
        queue.sync {
            guard let channel = channels[name], channel.subscribers[node.node] != nil else { return }
            node.tell(.subscribed(channel: name, channel.position, history: Array(channel.history.suffix(100))))
        }
    }

    func limits(of name: String, at node: MemoryBroker) -> HistoryLimits? {
        queue.sync { channels[name]?.limits[node.node] }
    }

    func position(of name: String) -> MessagePosition? { queue.sync { channels[name]?.position } }
    func subscribers(of name: String) -> Int { queue.sync { channels[name]?.subscribers.count ?? 0 } }
    func users(in name: String) -> Set<String> { queue.sync { Set(channels[name]?.users.keys.map(\.self) ?? []) } }
    func seq(of name: String) -> UInt64 { queue.sync { channels[name]?.seq ?? 0 } }

    fileprivate func publish(
        _ name: String, _ bytes: [UInt8], _ count: Int, from node: NodeID?, _ number: UInt64, keeps: Bool
    )
        -> MessagePosition
    {
        var channel = channels[name] ?? Channel(epoch: "e1")
        channel.seq += UInt64(count)
        let batch = DeliveredBatch(
            channel: name, position: channel.position, numberedCount: count, node: node, number: number,
            publications: bytes)
        if keeps, count > 0 { channel.history.append(batch) }
        channels[name] = channel
        for node in channel.subscribers.values where !channel.cutOff.contains(node.node) {
            node.tell(.delivered(batch))
        }
        return channel.position
    }

    /// Publishes as another program does.
    func publish(_ name: String, _ bytes: [UInt8]) {
        queue.sync {
            let count = PublicationReader.numberedCount(in: bytes) ?? 1
            _ = publish(name, bytes, count, from: nil, 0, keeps: true)
        }
    }
}

/// One node's connection to a `MemoryServer`.
final class MemoryBroker: Broker, Sendable {
    let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)
    let server: MemoryServer
    let node = NodeID.random()
    nonisolated(unsafe) private var sink: (any BrokerSink)?
    private let isRefusing = Atomic(false)
    private let isLate = Atomic(false)
    private let isSilent = Atomic(false)
    nonisolated(unsafe) private var oddMembers: [BrokerMember]?
    nonisolated(unsafe) private var oddPosition: MessagePosition?

    /// Whether batches are refused.
    var refuses: Bool {
        get { isRefusing.load(ordering: .acquiring) }
        set { isRefusing.store(newValue, ordering: .releasing) }
    }
    /// Whether answers to batches come after the batches have come back.
    var acceptsLate: Bool {
        get { isLate.load(ordering: .acquiring) }
        set { isLate.store(newValue, ordering: .releasing) }
    }
    /// Whether questions about users are not answered.
    var ignoresQuestions: Bool {
        get { isSilent.load(ordering: .acquiring) }
        set { isSilent.store(newValue, ordering: .releasing) }
    }

    /// Sets what it answers to questions about users, and the position that it gives to this node's batches.
    func answerOddly(_ members: [BrokerMember], _ position: MessagePosition) {
        server.queue.sync { (oddMembers, oddPosition) = (members, position) }
    }

    init(_ server: MemoryServer) { self.server = server }

    /// While set, events wait, so that they come together.
    nonisolated(unsafe) private var gathered: [BrokerEvent]?

    fileprivate func tell(_ event: BrokerEvent) {
        if case .accepted = event, withheld != nil {
            withheld?.append(event)
            return
        }
        if gathered != nil { gathered?.append(event) } else { sink?.take([event]) }
    }

    /// While set, the answers to batches that were taken wait.
    nonisolated(unsafe) private var withheld: [BrokerEvent]?

    /// Gives the answers to the batches that are taken meanwhile only afterwards.
    func acceptingAfter(_ body: () throws -> Void) rethrows {
        server.queue.sync { withheld = [] }
        defer {
            server.queue.sync {
                sink?.take(withheld ?? [])
                withheld = nil
            }
        }
        try body()
    }

    /// Tells the node what a broker may or may not say.
    func claim(_ events: [BrokerEvent]) { server.queue.sync { sink?.take(events) } }

    /// Gathers the events that come of what is done, and tells them all at once.
    func together(_ body: () async throws -> Void) async rethrows {
        server.queue.sync { gathered = [] }
        defer {
            server.queue.sync {
                sink?.take(gathered ?? [])
                gathered = nil
            }
        }
        try await body()
    }

    func start(_ sink: any BrokerSink) { server.queue.sync { self.sink = sink } }

    /// Tells the node nothing more.
    func end() {
        server.queue.sync {
            sink = nil
            for name in server.channels.keys { server.channels[name]?.subscribers[node] = nil }
        }
    }

    func publish(_ batches: [OutgoingBatch]) {
        server.run { [self] in
            for batch in batches {
                guard !refuses else {
                    let refusal = BrokerRefusal(reason: "it was told to", isUncertain: false)
                    tell(.refused(channel: batch.channel, number: batch.number, refusal))
                    continue
                }
                let count = batch.numberedCount
                if acceptsLate {
                    let position = server.publish(
                        batch.channel, batch.publications, count, from: node, batch.number, keeps: batch.history != nil)
                    tell(.accepted(channel: batch.channel, number: batch.number, position))
                } else {
                    var position = server.channels[batch.channel]?.position ?? MessagePosition(epoch: "e1", seq: 0)
                    position.seq += UInt64(count)
                    tell(.accepted(channel: batch.channel, number: batch.number, oddPosition ?? position))
                    _ = server.publish(
                        batch.channel, batch.publications, count, from: node, batch.number, keeps: batch.history != nil)
                }
            }
        }
    }

    /// While set, subscriptions wait.
    nonisolated(unsafe) private var delayed: [Subscription]?

    /// Lets subscriptions wait until `subscribeDelayed` is called.
    func delaySubscriptions() { server.queue.sync { delayed = [] } }

    func subscribeDelayed() {
        let due = server.queue.sync {
            defer { delayed = nil }
            return delayed ?? []
        }
        subscribe(due)
    }

    var delayedCount: Int { server.queue.sync { delayed?.count ?? 0 } }

    func subscribe(_ subscriptions: [Subscription]) {
        server.run { [self] in
            if delayed != nil {
                delayed?.append(contentsOf: subscriptions)
                return
            }
            for subscription in subscriptions {
                let name = subscription.channel
                server.channels[name, default: .init(epoch: "e1")].subscribers[node] = self
                server.channels[name]!.limits[node] = subscription.history
                let channel = server.channels[name]!
                let history = subscription.history.map { Array(channel.history.suffix($0.messageCount)) } ?? []
                tell(.subscribed(channel: name, channel.position, history: history))
            }
        }
    }

    func unsubscribe(_ channels: [String]) {
        server.run { [self] in for name in channels { server.channels[name]?.subscribers[node] = nil } }
    }

    func change(_ changes: [PresenceChange]) {
        server.run { [self] in
            for change in changes {
                var nodes = server.channels[change.channel, default: .init(epoch: "e1")].users[change.user] ?? []
                let before = nodes.isEmpty
                if change.isPresent { nodes.insert(node) } else { nodes.remove(node) }
                server.channels[change.channel]!.users[change.user] = nodes.isEmpty ? nil : nodes
                guard nodes.isEmpty != before, change.isAnnounced, !change.isSilent else { continue }
                var writer = PublicationWriter()
                Array(change.user.utf8).withUnsafeBytes { user in
                    writer.append(
                        CarriedPublication(
                            nodes.isEmpty ? .leave : .join, time: change.time, user: user,
                            payload: UnsafeRawBufferPointer(start: nil, count: 0)))
                }
                _ = server.publish(change.channel, writer.bytes, 0, from: node, 0, keeps: false)
            }
        }
    }

    func askForMembers(of channel: String, token: UInt64) {
        server.run { [self] in
            guard !ignoresQuestions else { return }
            let users = server.channels[channel]?.users ?? [:]
            let members = users.keys.sorted().map { BrokerMember(user: $0, nodeCount: users[$0]!.count, since: 0) }
            tell(.members(channel: channel, token: token, oddMembers ?? members))
        }
    }

    func send(_ message: [UInt8], to node: NodeID?) {}

    func nodes() async -> [NodeDescription]? { [] }

    func stop(within time: Duration) async {}
}
