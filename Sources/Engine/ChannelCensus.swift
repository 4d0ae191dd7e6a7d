import Rooms

/// Puts together how many are in each channel, of what the workers tell piece by piece: the first so many by name, however
/// many there are.
struct ChannelCensus {
    private struct Count {
        var total: Int
        /// Who told last, and how many it has.
        var worker: Int
        var part: Int
    }

    private let start: Name?
    private let limit: Int
    /// Names behind this one are not among the first.
    private var end: Name?
    private var counts: [Name: Count] = [:]

    /// - Parameters:
    ///   - name: only channels behind this one; nil: all.
    ///   - limit: how many are wanted.
    init(after name: String?, limit: Int) {
        start = name.map { Name($0) }
        self.limit = limit
    }

    /// Counts those of a worker who are in a channel. What it tells again, because the channel was forgotten and has come
    /// to be again in another place meanwhile, counts instead of what it told before.
    mutating func add(_ channel: ChannelCount, ofWorker worker: Int) {
        let name = Name(channel.name)
        if let start, name <= start { return }
        if let end, end < name { return }
        if var count = counts[name] {
            count.total += channel.connections - (count.worker == worker ? count.part : 0)
            (count.worker, count.part) = (worker, channel.connections)
            counts[name] = count
            return
        }
        counts[name] = Count(total: channel.connections, worker: worker, part: channel.connections)
        if counts.count >= max(4_096, 4 * limit) { forgetOthers() }
    }

    /// Forgets those that are not among the first, and one behind them, which says that there are more.
    private mutating func forgetOthers() {
        let first = counts.keys.sorted().prefix(limit + 1)
        counts = counts.filter { name, _ in first.last.map { name <= $0 } ?? false }
        end = first.last
    }

    /// The channels, by name, and whether there are more.
    var result: (channels: [ChannelCount], hasMore: Bool) {
        let sorted = counts.sorted { $0.key < $1.key }
        return (
            sorted.prefix(limit).map { ChannelCount(name: $0.key.text, connections: $0.value.total) },
            sorted.count > limit
        )
    }
}
