import Base
import CLinux
import Channels
import Operations
import Settings

/// Queries of operators and backends.
extension Worker {
    /// Answers with the state of a channel, at once or when the broker has answered.
    func inspect(_ name: String, _ inspection: ChannelInspection) {
        guard context.broker != nil else {
            inspection.replies.answer(.success(snapshot(of: name, inspection)))
            return
        }
        let index = channels.intern(name)
        let channel = channels[index]
        defer { channels.removeIfUnused(index) }
        guard let home = channel.home,
            !waits(.inspect(inspection), channel, home)
        else { return }
        answer(inspection, of: name)
    }

    /// Answers with the state of a channel that a broker shares, once that state is here.
    func answer(_ inspection: ChannelInspection, of name: String) {
        let snapshot = snapshot(of: name, inspection)
        guard let snapshot, snapshot.hasPresence, inspection.wantsUsers else {
            inspection.replies.answer(.success(snapshot))
            return
        }
        askForMembers(of: name, .inspect(snapshot, inspection))
    }

    /// The state of a channel whose home is here; nil if this worker doesn't know the channel, because nobody is in it
    /// and nothing is kept of it.
    private func snapshot(of name: String, _ inspection: ChannelInspection) -> ChannelSnapshot? {
        guard let index = channels.index(of: name) else { return nil }
        let channel = channels[index]
        let settings = channel.settings
        var snapshot = ChannelSnapshot(
            hasPresence: settings.presence, hasHistory: settings.keepsHistory, epoch: "", seq: 0, users: [],
            messages: [], hasMore: false)
        guard let room = channel.home?.room else { return snapshot }
        room.changeHistory { $0.expire(now: clinux_realtime_milliseconds()) }
        snapshot.epoch = room.epoch
        snapshot.seq = room.seq
        snapshot.users = room.presence.users.map {
            ChannelUser(
                user: $0.user, connections: $0.connections, since: Timestamp(millisecondsSinceEpoch: $0.since))
        }
        let page = room.history.page(before: inspection.before, limit: inspection.limit)
        guard !page.isEmpty else { return snapshot }
        room.history.forEach(after: page.lowerBound - 1, through: page.upperBound - 1) {
            outbox.text.write($0, quotedChannel: room.quotedName)
            snapshot.messages.append(outbox.text.withBytes { Array($0) })
        }
        snapshot.hasMore = room.history.hasMore(before: page.lowerBound)
        return snapshot
    }

    /// The number of places searched in one turn, as in ``page(of:from:limit:)``: this takes some tenths of a
    /// millisecond, or one millisecond if none of them is in the processor's cache.
    private static let placesPerLook = 4096

    private func places(from start: UInt32, of count: Int) -> (looked: Range<Int>, next: UInt32?) {
        let start = min(Int(start), count)
        let end = min(count, start + Self.placesPerLook)
        return (start..<end, end < count ? UInt32(end) : nil)
    }

    /// The number of this worker's connections in each channel that it knows, from a place on.
    func channelCounts(from start: UInt32) -> Slice<ChannelRow> {
        let (looked, next) = places(from: start, of: channels.indices.count)
        let found = looked.compactMap { index in
            channels.find(UInt32(index)).map { ChannelRow(name: $0.name, connections: $0.subscribers.count) }
        }
        return Slice(found: found, next: next)
    }

    /// The first connections in an order, the largest value first.
    ///
    /// - Parameter floor: returns only connections with a larger value; nil: all.
    func top(_ order: ConnectionOrder, limit: Int, from start: UInt32, above floor: UInt64?) -> Slice<RankedConnection>
    {
        let (looked, next) = places(from: start, of: slab.highWater)
        var best: [(value: UInt64, slot: Int)] = []
        for slot in looked where limit > 0 {
            let connection = slab[slot]
            guard connection.isListed else { continue }
            let value = value(connection, order)
            if let floor, value <= floor { continue }
            if best.count == limit, value <= best[best.count - 1].value { continue }
            if best.count == limit { best.removeLast() }
            best.insert((value, slot), at: best.firstIndex { $0.value < value } ?? best.count)
        }
        let found = best.map { RankedConnection(value: $0.value, connection: snapshot(slab[$0.slot])) }
        return Slice(found: found, next: next)
    }

    private func value(_ connection: Connection, _ order: ConnectionOrder) -> UInt64 {
        switch order {
        case .queuedBytes: UInt64(connection.backlog?._withUnsafeGuaranteedRef { $0.byteCount } ?? 0)
        case .droppedMessages: UInt64(connection.dropped)
        case .messagesIn: connection.messagesIn
        case .messagesOut: connection.messagesOut
        case .bytesIn: connection.bytesIn
        case .bytesOut: connection.bytesOut
        case .idle: UInt64(now &- connection.lastReceived)
        }
    }

    /// The channels of this home with the highest message rates, the busiest first.
    func busiest(limit: Int, from start: UInt32) -> Slice<BusyChannel> {
        let (looked, next) = places(from: start, of: channels.indices.count)
        let active = looked.lazy.compactMap { [channels, nanoseconds] place -> BusyChannel? in
            guard let home = channels.find(UInt32(place))?.home else { return nil }
            return BusyChannel(
                name: home.name, messagesPerSecond: home.activity.perSecond(at: nanoseconds),
                messages: Int(clamping: home.activity.total))
        }
        return Slice(found: BusyChannel.busiest(active, limit: limit), next: next)
    }
}
