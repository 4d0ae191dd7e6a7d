import Base
import Broker
import BrokerSupport
import NIOCore

/// The part of a broker that belongs to its event loop: it gives calls to the servers, and events to the sink.
final class RedisCore: BrokerCore {
    private let loop: any EventLoop
    private let snapshot: StatisticsBox
    private var outlet: BrokerOutlet!
    private var topology: (any RedisTopology)!
    private var isStopping = false
    private var questions: MembersQuestions!

    init(_ loop: any EventLoop, _ options: RedisBroker.Options, _ sink: any BrokerSink, _ snapshot: StatisticsBox) {
        self.loop = loop
        self.snapshot = snapshot
        outlet = BrokerOutlet(loop, sink) { [weak self] in self?.noteStatistics() }
        let around = RedisSurroundings(
            emit: { [weak outlet] in outlet?.emit($0) }, handled: { [weak outlet] in outlet?.flush() },
            healthChanged: { [weak self] in self?.checkHealth() })
        questions = MembersQuestions { [weak outlet] in
            outlet?.emit(.members(channel: $0, token: $1, $2))
        }
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

    func perform(_ calls: [BrokerCall]) {
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
                questions.ask(channel, token, topology.router(for: channel))
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
            outlet.flush()
            body()
        }
        loop.assumeIsolated().scheduleTask(in: time) { finish() }
        topology.withdraw { finish() }
    }

    private func noteStatistics() {
        var total = BrokerStatistics()
        for shard in topology.shards {
            var statistics = shard.statistics
            statistics.channels = shard.subscriptions.entries.count
            statistics.waitingChannels = shard.subscriptions.waitingCount
            total.add(statistics)
        }
        total.isUp = outlet.isUp
        snapshot.value = total
    }

    private func checkHealth() { outlet.tell(problem: topology.problem, isProven: topology.isProven) }
}
