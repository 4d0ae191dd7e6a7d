import Base
import Channels
import Operations

/// Sums up the number of connections in each channel from the workers' partial answers. It keeps only the first `limit`
/// channels by name, however many there are.
struct ChannelCensus {
    private struct Count {
        var total: Int
        /// The worker that answered last, and its number of connections.
        var worker: Int
        var part: Int
    }

    private let start: Name?
    private let limit: Int
    /// Names after this one are not among the first.
    private var end: Name?
    private var counts: [Name: Count] = [:]

    /// - Parameters:
    ///   - name: counts only channels after this name; nil: all.
    ///   - limit: the maximum number of channels in the result.
    init(after name: String?, limit: Int) {
        start = name.map { Name($0) }
        self.limit = limit
    }

    /// Adds a worker's number of connections in a channel. If the worker reports a channel twice, because it was
    /// removed and created again in another place in the meantime, the second number replaces the first.
    mutating func add(_ channel: ChannelRow, ofWorker worker: Int) {
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

    /// Forgets all channels but the first ones and one more, which shows that there are more.
    private mutating func forgetOthers() {
        let first = counts.keys.sorted().prefix(limit + 1)
        counts = counts.filter { name, _ in first.last.map { name <= $0 } ?? false }
        end = first.last
    }

    /// The channels by name, and whether there are more.
    var result: (channels: [ChannelRow], hasMore: Bool) {
        let sorted = counts.sorted { $0.key < $1.key }
        return (
            sorted.prefix(limit).map { ChannelRow(name: $0.key.text, connections: $0.value.total) },
            sorted.count > limit
        )
    }
}
