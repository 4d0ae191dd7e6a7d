import Base
import Broker
import CLinux
import NIOCore

/// The part of a broker that belongs to its event loop: it gives calls to the servers, and events to the sink.
final class RedisCore {
    private let loop: any EventLoop
    private let sink: any BrokerSink
    private let snapshot: StatisticsBox
    private var topology: (any RedisTopology)!
    private var events: [BrokerEvent] = []
    private var isFlushScheduled = false
    private var health: BrokerHealth?
    private var isStopping = false

    init(_ loop: any EventLoop, _ options: RedisBroker.Options, _ sink: any BrokerSink, _ snapshot: StatisticsBox) {
        self.loop = loop
        self.sink = sink
        self.snapshot = snapshot
        let around = RedisSurroundings(
            emit: { [weak self] in self?.emit($0) }, handled: { [weak self] in self?.flush() },
            healthChanged: { [weak self] in self?.checkHealth() })
        topology =
            switch options.servers {
            case .independent(let addresses): IndependentServers(loop, options, addresses, around)
            case .sentinel(let sentinel): IndependentServers(loop, options, sentinel, around)
            case .cluster(let addresses): RedisCluster(loop, options, addresses, around)
            }
    }

    func start() {
        checkHealth()
        topology.start()
    }

    func perform(_ calls: [RedisBroker.Call]) {
        guard !isStopping else {
            for case .nodes(let promise) in calls { promise.succeed(nil) }
            return
        }
        for call in calls {
            switch call {
            case .publish(let batches):
                for batch in batches { topology.shard(for: batch.channel).publishing.publish(batch) }
            case .subscribe(let subscriptions):
                for subscription in subscriptions {
                    topology.shard(for: subscription.channel).subscriptions.subscribe(subscription)
                }
            case .unsubscribe(let channels): unsubscribe(channels)
            case .change(let changes):
                for change in changes { topology.presence(for: change.channel)?.change(change) }
            case .members(let channel, let token):
                topology.router(for: channel).askForMembers(of: channel) { [self] members in
                    emit(.members(channel: channel, token: token, members))
                }
            case .send(let message, let node): topology.send(message, to: node)
            case .nodes(let promise): topology.askForNodes { promise.succeed($0) }
            }
        }
        topology.pump()
        noteStatistics()
    }

    private func unsubscribe(_ channels: [String]) {
        guard topology.shards.count > 1 else { return topology.shards.first?.subscriptions.unsubscribe(channels) ?? () }
        let byShard = Dictionary(grouping: channels) { ObjectIdentifier(topology.shard(for: $0)) }
        for shard in topology.shards {
            if let own = byShard[ObjectIdentifier(shard)] { shard.subscriptions.unsubscribe(own) }
        }
    }

    /// Sends what is there and disconnects, or disconnects when the time is over.
    func stop(within time: TimeAmount, then body: @escaping () -> Void) {
        isStopping = true
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            topology.stop()
            flush()
            body()
        }
        loop.assumeIsolated().scheduleTask(in: time) { finish() }
        topology.withdraw { finish() }
    }

    private func emit(_ event: BrokerEvent) {
        events.append(event)
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.assumeIsolated().execute { [weak self] in
            self?.isFlushScheduled = false
            self?.flush()
        }
    }

    /// Gives the sink what has happened since the last time.
    private func flush() {
        noteStatistics()
        guard !events.isEmpty else { return }
        let taken = events
        events = []
        sink.take(taken)
    }

    private func noteStatistics() {
        var total = RedisStatistics()
        for shard in topology.shards {
            var statistics = shard.statistics
            statistics.channels = shard.subscriptions.entries.count
            statistics.waitingChannels = shard.subscriptions.waitingCount
            total.add(statistics)
        }
        total.isUp = health == .up
        snapshot.value = total
    }

    private func checkHealth() {
        let problem = topology.problem
        switch (health, problem) {
        case (.up, nil): return
        case (_, nil):
            // While it comes back, the reason remains what it went for.
            guard topology.isProven else { return }
            health = .up
        case (.down(let reason, _), let problem?) where reason == problem: return
        case (.down(_, let since), let problem?): health = .down(reason: problem, since: since)
        case (_, let problem?): health = .down(reason: problem, since: clinux_realtime_milliseconds())
        }
        if let health { emit(.health(health)) }
    }
}
