import Base
import NIOCore

/// Keeps the keys of channels alive in which nothing happens, while they are used.
///
/// They would end after a day otherwise, and a channel with members would begin a new numbering, or lose its users. This
/// goes through all of them a few times a day, and takes its time.
final class KeyRefresher {
    private static let batchCount = 500
    private static let batchPause: TimeAmount = .milliseconds(100)

    private unowned let shard: RedisShard
    private var timer: Scheduled<Void>?
    /// The keys that are left in this round, and their lives in seconds.
    private var keys: [(key: String, life: Int64)] = []

    init(_ shard: RedisShard) { self.shard = shard }

    func start() {
        timer?.cancel()
        let pause = TimeAmount(shard.options.keyRefreshInterval)
        timer = shard.loop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            guard let self else { return }
            for (name, entry) in shard.subscriptions.entries {
                let life = HistoryLives(shard.subscriptions.limits(of: entry)).meta
                keys.append((shard.keys.meta(name.text), life))
            }
            for name in shard.channelsWithUsers {
                keys.append((shard.keys.users(name.text), PresenceKeeper.keyLife))
                keys.append((shard.keys.userCounts(name.text), PresenceKeeper.keyLife))
            }
            refresh()
        }
    }

    func stop() { timer?.cancel() }

    private func refresh() {
        guard !keys.isEmpty, let connection = shard.commands.ready else {
            keys = []
            return start()
        }
        for (key, life) in keys.suffix(Self.batchCount) {
            connection.send(["EXPIRE", .text(key), .number(life)]) { _ in }
        }
        keys.removeLast(min(Self.batchCount, keys.count))
        timer = shard.loop.assumeIsolated().scheduleTask(in: Self.batchPause) { [weak self] in self?.refresh() }
    }
}
