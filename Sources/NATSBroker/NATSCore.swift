import Base
import Broker
import BrokerSupport
import NIOCore

/// The part of a broker that belongs to its event loop.
final class NATSCore: BrokerCore {
    let loop: any EventLoop
    let options: NATSBroker.Options
    let subjects: NATSSubjects
    let nodeText: String
    private let snapshot: StatisticsBox
    var statistics = BrokerStatistics()

    private var outlet: BrokerOutlet!
    private(set) var link: NATSLink!
    private(set) var streams: NATSStreams!
    private(set) var channels: NATSChannels!
    private(set) var publishing: NATSPublishQueue!
    private(set) var presence: NATSPresence!
    private(set) var nodes: NATSNodes!
    private var probe: NATSProbe!

    private var isStopping = false
    /// Why the server does not do what it is asked, though there is a connection.
    private var fault: String?
    /// What the server said when it refused this node a subscription on this connection, but not for one channel; no probe
    /// shows that it does not any more.
    private var refusedSubscription: String?
    /// Whether the server refuses what other nodes say of themselves.
    private(set) var isDeafToNodes = false
    /// The pause before a node connects anew that was refused a subscription: a server that permits it later does not tell.
    private static let refusalPause: TimeAmount = .seconds(60)
    private var epochs = EpochNames()

    init(_ loop: any EventLoop, _ options: NATSBroker.Options, _ sink: any BrokerSink, _ snapshot: StatisticsBox) {
        self.loop = loop
        self.options = options
        self.snapshot = snapshot
        subjects = NATSSubjects(prefix: options.prefix)
        nodeText = options.node.description
        outlet = BrokerOutlet(loop, sink) { [weak self] in self?.noteStatistics() }
        streams = NATSStreams(self)
        channels = NATSChannels(self)
        publishing = NATSPublishQueue(self)
        presence = NATSPresence(self)
        nodes = NATSNodes(self)
        probe = NATSProbe(self)
        link = NATSLink(
            loop, options,
            NATSLink.Events(
                ready: { [weak self] in self?.connected($0) }, complained: { [weak self] in self?.complained($0) },
                handled: { [weak self] in self?.outlet.flush() }, lost: { [weak self] in self?.lost() }))
    }

    func start() {
        checkHealth()
        link.start()
        probe.start()
        channels.scheduleRefresh()
    }

    func perform(_ calls: [BrokerCall]) {
        guard !isStopping else {
            for case .nodes(let promise) in calls { promise.succeed(nil) }
            return
        }
        for call in calls {
            switch call {
            case .publish(let batches): for batch in batches { publishing.publish(batch) }
            case .subscribe(let subscriptions): for subscription in subscriptions { channels.subscribe(subscription) }
            case .unsubscribe(let names): channels.unsubscribe(names)
            case .change(let changes): for change in changes { presence.change(change) }
            case .members(let channel, let token):
                presence.members(of: channel) { [self] members in
                    emit(.members(channel: channel, token: token, members))
                }
            case .send(let message, let node):
                link.ready?.publish(
                    node.map(subjects.node) ?? subjects.nodes, NodeMessage.bytes(message, from: nodeText))
            case .nodes(let promise): promise.succeed(link.ready == nil ? nil : nodes.list)
            }
        }
        publishing.pump()
        channels.pump()
        presence.pump()
        noteStatistics()
    }

    func stop(within time: TimeAmount, then body: @escaping () -> Void) {
        isStopping = true
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            presence.stop()
            nodes.stop()
            probe.stop()
            channels.stop()
            link.stop()
            publishing.refuseAll()
            outlet.flush()
            body()
        }
        loop.assumeIsolated().scheduleTask(in: time) { finish() }
        publishing.whenEmpty { [self] in
            presence.withdraw { [self] in nodes.withdraw { finish() } }
        }
    }

    // MARK: The connection

    private func connected(_ connection: NATSConnection) {
        if link.readyCount > 1 { statistics.reconnects += 1 }
        fault = nil
        (refusedSubscription, isDeafToNodes) = (nil, false)
        _ = connection.subscribe(subjects.nodes) { [weak self] in self?.receivedFromNode($0) }
        _ = connection.subscribe(subjects.node(options.node)) { [weak self] in self?.receivedFromNode($0) }
        let live = "\(subjects.stream(nil).liveRoot).\(subjects.probe(options.node))"
        _ = connection.subscribe(live) { [weak self] in self?.probe.received($0) }
        nodes.connected(connection)
        channels.restore()
        presence.connected()
        publishing.pump()
        probe.send()
        checkHealth()
    }

    private func lost() {
        probe.mustReturn()
        streams.lost()
        channels.lost()
        presence.lost()
        nodes.lost()
        checkHealth()
    }

    private func receivedFromNode(_ message: NATSMessage) {
        if let event = NodeMessage.event(message.payload, to: options.node) { emit(event) }
    }

    /// A new name for a numbering.
    func freshEpoch() -> String { epochs.next() }

    // MARK: Health

    /// Why the broker can't be used at present; nil if nothing is known against it.
    var problem: String? { link.problem ?? refusedSubscription ?? fault }

    /// Notes what the server complains of. A user who may not use the subject of those who are back, as in permissions for
    /// an older release, is served as before.
    private func complained(_ text: String) {
        guard !text.contains("\"\(subjects.back)\"") else { return }
        let isRefused = text.contains("Permissions Violation for Subscription")
        if isRefused, !text.contains("\"\(subjects.stream(nil).liveRoot).") { noteRefused(text) }
        noteFault(text)
    }

    private func noteRefused(_ text: String) {
        if text.contains("\"\(subjects.beats)\"") { isDeafToNodes = true }
        guard refusedSubscription == nil else { return }
        refusedSubscription = text
        let connection = link.ready
        loop.assumeIsolated().scheduleTask(in: Self.refusalPause) { [weak self] in
            guard let self, let connection, link.ready === connection, !isStopping else { return }
            link.drop(because: text)
        }
    }

    /// Notes that the server does not do what it is asked.
    func noteFault(_ text: String) {
        fault = text
        probe.mustReturn()
        checkHealth()
    }

    /// Notes that a probe went the whole way.
    func probeReturned() {
        fault = nil
        link.works()
        checkHealth()
    }

    func checkHealth() { outlet.tell(problem: problem, isProven: !channels.isRestoring && probe.hasReturned) }

    func emit(_ event: BrokerEvent) { outlet.emit(event) }

    private func noteStatistics() {
        var statistics = statistics
        statistics.channels = channels.entries.count
        statistics.waitingChannels = channels.waitingCount
        statistics.isUp = outlet.isUp
        snapshot.value = statistics
    }
}
