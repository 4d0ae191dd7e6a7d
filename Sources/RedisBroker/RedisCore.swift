import Base
import Broker
import NIOCore

/// The part of a broker that belongs to its event loop: it gives calls to the servers, and events to the sink.
final class RedisCore {
    private let loop: any EventLoop
    private let sink: any BrokerSink
    private let snapshot: StatisticsBox
    private var shards: [RedisShard] = []
    private var events: [BrokerEvent] = []
    private var isFlushScheduled = false
    private var health: BrokerHealth?
    private var isStopping = false

    init(_ loop: any EventLoop, _ options: RedisBroker.Options, _ sink: any BrokerSink, _ snapshot: StatisticsBox) {
        self.loop = loop
        self.sink = sink
        self.snapshot = snapshot
        shards = [
            RedisShard(
                loop, options, emit: { [weak self] in self?.emit($0) }, handled: { [weak self] in self?.flush() },
                healthChanged: { [weak self] in self?.checkHealth() })
        ]
    }

    func start() {
        checkHealth()
        for shard in shards { shard.start() }
    }

    /// The server that a channel is kept on. The only place that knows.
    private func shard(for channel: String) -> RedisShard { shards[0] }

    func perform(_ calls: [RedisBroker.Call]) {
        guard !isStopping else {
            for case .nodes(let promise) in calls { promise.succeed(nil) }
            return
        }
        for call in calls {
            switch call {
            case .publish(let batches): for batch in batches { shard(for: batch.channel).publishing.publish(batch) }
            case .subscribe(let subscriptions):
                for subscription in subscriptions {
                    shard(for: subscription.channel).subscriptions.subscribe(subscription)
                }
            case .unsubscribe(let channels):
                for shard in shards { shard.subscriptions.unsubscribe(channels) }
            case .change(let changes): for change in changes { shard(for: change.channel).presence.change(change) }
            case .members(let channel, let token): shard(for: channel).askForMembers(of: channel, token: token)
            case .send(let message, let node): shards[0].send(message, to: node)
            case .nodes(let promise): shards[0].askForNodes { promise.succeed($0) }
            }
        }
        for shard in shards {
            shard.publishing.pump()
            shard.subscriptions.pump()
            shard.presence.pump()
        }
        noteStatistics()
    }

    /// Sends what is there and disconnects, or disconnects when the time is over.
    func stop(within time: TimeAmount, then body: @escaping () -> Void) {
        isStopping = true
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            for shard in shards { shard.stop() }
            flush()
            body()
        }
        loop.assumeIsolated().scheduleTask(in: time) { finish() }
        var missing = shards.count
        for shard in shards {
            shard.withdraw {
                missing -= 1
                if missing == 0 { finish() }
            }
        }
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
        var statistics = shards[0].statistics
        statistics.channels = shards[0].subscriptions.entries.count
        statistics.waitingChannels = shards[0].subscriptions.waitingCount
        statistics.isUp = health == .up
        snapshot.value = statistics
    }

    private func checkHealth() {
        let problem = shards.lazy.compactMap(\.problem).first
        switch (health, problem) {
        case (.up, nil): return
        case (_, nil):
            // While it comes back, the reason remains what it went for.
            guard shards.allSatisfy(\.isProven) else { return }
            health = .up
        case (.down(let reason, _), let problem?) where reason == problem: return
        case (.down(_, let since), let problem?): health = .down(reason: problem, since: since)
        case (_, let problem?): health = .down(reason: problem, since: WallClock.milliseconds())
        }
        if let health { emit(.health(health)) }
    }
}
