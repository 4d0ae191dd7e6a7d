import CLinux
import Rooms

/// What operators and backends want to know of channels.
extension Worker {
    /// A channel whose home is here; nil for one that nobody is in and nothing is kept of.
    func snapshot(of name: String, before: UInt64?, limit: Int) -> ChannelSnapshot? {
        guard let index = channels.index(of: name) else { return nil }
        let channel = channels[index]
        let settings = channel.settings
        var snapshot = ChannelSnapshot(
            hasPresence: settings.presence, hasHistory: settings.history.messageCount > 0, epoch: "", seq: 0, users: [],
            messages: [], hasMore: false)
        guard let room = channel.room else { return snapshot }
        changeHistory(room) { $0.expire(now: clinux_realtime_milliseconds()) }
        snapshot.epoch = room.epoch
        snapshot.seq = room.seq
        snapshot.users = room.presence.users.map { .init(name: $0.user, connections: $0.connections, since: $0.since) }
        let page = room.history.page(before: before, limit: limit)
        guard !page.isEmpty else { return snapshot }
        room.history.forEach(after: page.lowerBound - 1, through: page.upperBound - 1) {
            snapshot.messages.append(Array($0))
        }
        snapshot.hasMore = room.history.hasMore(before: page.lowerBound)
        return snapshot
    }

    /// How many connections of this worker are in each channel that anybody here is in.
    func channelCounts() -> [ChannelCount] {
        channels.indices.compactMap { index in
            guard let channel = channels.find(index) else { return nil }
            return ChannelCount(name: channel.name, connections: channel.subscribers.count)
        }
    }
}
