import Base
import Broker
import NIOCore

/// The subscribed channels of a server, and what was last delivered of each.
///
/// A channel is subscribed on one connection, and then asked for its position on the other, with what is to be
/// delivered before. What comes in between is held. The same happens after a connection was lost, after a gap in the
/// numbers, and if a batch is of another epoch.
final class Subscriptions {
    /// The channels in one command.
    private static let batchCount = 512
    /// The channels whose position is being asked for at a time. Each answer may have a whole history.
    private static let syncCount = 128
    private static let retryPause: TimeAmount = .milliseconds(200)

    unowned let shard: RedisShard
    var entries: [Name: ChannelEntry] = [:]
    var held: [Name: HeldBatches] = [:]
    private var limits: [HistoryLimits?] = [nil]
    private var unsent: [Name] = []
    private var syncQueue = CircularBuffer<Name>()
    private var syncing = 0
    private var lastSerial: UInt32 = 0
    private var isRetryScheduled = false
    /// The channels that were subscribed before the connection was lost, and are not live again.
    private var restoring = 0

    init(_ shard: RedisShard) { self.shard = shard }

    var isRestoring: Bool { restoring > 0 }
    /// The channels that are not live.
    private(set) var waitingCount = 0

    func limits(of entry: ChannelEntry) -> HistoryLimits? { limits[Int(entry.limits)] }

    /// The position of what was last delivered in a channel; nil if nothing is known of it.
    func knownPosition(of channel: String) -> BrokerPosition? {
        entries[Name(channel)].flatMap { $0.flags.contains(.isKnown) ? $0.position : nil }
    }

    func subscribe(_ subscription: Subscription) {
        let name = Name(subscription.channel)
        let limits = place(of: subscription.history)
        guard let index = entries.index(forKey: name) else {
            var entry = ChannelEntry()
            entry.limits = limits
            entries[name] = entry
            unsent.append(name)
            waitingCount += 1
            return
        }
        entries.values[index].limits = limits
        entries.values[index].flags.insert(.isNew)
        switch entries.values[index].state {
        case .live, .syncing: askAgain(name)
        case .wanted, .confirming, .waiting: break
        }
    }

    func unsubscribe(_ channels: [String]) {
        var sent: [String] = []
        for channel in channels {
            let name = Name(channel)
            guard let entry = entries.removeValue(forKey: name) else { continue }
            held[name] = nil
            if entry.state != .live { waitingCount -= 1 }
            noteRestored(entry)
            if entry.state != .wanted { sent.append(shard.keys.live(channel)) }
        }
        for start in stride(from: 0, to: sent.count, by: Self.batchCount) {
            let batch = Array(sent[start..<min(start + Self.batchCount, sent.count)])
            shard.deliveries.ready?.send("UNSUBSCRIBE", batch) { _ in }
        }
    }

    /// Sends what can be sent.
    func pump() {
        sendSubscriptions()
        sendQuestions()
    }

    /// Subscribes all channels on a new connection.
    func restore() {
        unsent = Array(entries.keys)
        pump()
    }

    /// Notes that the connection with the subscriptions is gone.
    func lost() {
        held.removeAll()
        syncQueue.removeAll()
        unsent.removeAll()
        for index in entries.indices {
            entries.values[index].state = .wanted
            entries.values[index].serial = 0
            if !entries.values[index].flags.contains(.isRestoring) {
                entries.values[index].flags.insert(.isRestoring)
                restoring += 1
            }
        }
        waitingCount = entries.count
    }

    private func sendSubscriptions() {
        guard let connection = shard.deliveries.ready, !unsent.isEmpty else { return }
        let names = unsent.filter { entries[$0]?.state == .wanted }
        unsent.removeAll()
        for start in stride(from: 0, to: names.count, by: Self.batchCount) {
            let batch = names[start..<min(start + Self.batchCount, names.count)]
            lastSerial &+= 1
            let serial = lastSerial
            var channels: [String] = []
            for name in batch {
                entries[name]?.state = .confirming
                entries[name]?.serial = serial
                channels.append(shard.keys.live(name.text))
            }
            connection.send("SUBSCRIBE", channels) { [self] in confirmed($0, serial) }
        }
    }

    private func confirmed(_ channel: String, _ serial: UInt32) {
        let name = Name(String(decoding: channel.utf8.dropFirst(shard.keys.livePrefix.count), as: UTF8.self))
        guard let index = entries.index(forKey: name), entries.values[index].state == .confirming,
            entries.values[index].serial == serial
        else { return }
        entries.values[index].state = .waiting
        syncQueue.append(name)
        sendQuestions()
    }

    /// Asks for the position of a channel that is subscribed.
    func askAgain(_ name: Name) {
        guard let index = entries.index(forKey: name) else { return }
        if entries.values[index].state == .live { waitingCount += 1 }
        entries.values[index].state = .waiting
        syncQueue.append(name)
        sendQuestions()
    }

    private func askLater(_ name: Name) {
        syncQueue.append(name)
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        shard.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.sendQuestions()
        }
    }

    private func sendQuestions() {
        guard let connection = shard.commands.ready, !isRetryScheduled else { return }
        while syncing < Self.syncCount, let name = syncQueue.popFirst() {
            guard let index = entries.index(forKey: name), entries.values[index].state == .waiting else { continue }
            entries.values[index].state = .syncing
            ask(.sync, name, entries.values[index], connection)
        }
    }

    /// Ends the numbering of a channel for all nodes, unless one has done so.
    func renumber(_ name: Name) {
        guard let entry = entries[name], let connection = shard.commands.ready else { return askAgain(name) }
        ask(.renumber, name, entry, connection)
    }

    private func ask(_ script: RedisScript, _ name: Name, _ entry: ChannelEntry, _ connection: RedisConnection) {
        lastSerial &+= 1
        let serial = lastSerial
        entries[name]?.serial = serial
        if let index = held.index(forKey: name) {
            held.values[index].coveredCount = held.values[index].batches.count
            held.values[index].isIncomplete = false
        }
        let limits = limits(of: entry)
        let isContinued = entry.flags.contains(.isKnown) && !entry.flags.contains(.isNew)
        let arguments: [RESPArgument] =
            if script == .renumber {
                [.text(entry.epoch), .text(shard.freshEpoch()), .number(Int64(limits?.messageCount ?? 0))]
            } else {
                [
                    .text(isContinued ? entry.epoch : ""), .text(isContinued ? "\(entry.seq)" : "0"),
                    .number(Int64(limits?.messageCount ?? 0)), .text(shard.freshEpoch()),
                    .number(HistoryLives(limits).meta),
                ]
            }
        syncing += 1
        shard.run(
            script, keys: [shard.keys.meta(name.text), shard.keys.history(name.text)], arguments, on: connection
        ) { [self] reply in
            syncing -= 1
            if let index = entries.index(forKey: name), entries.values[index].state == .syncing,
                entries.values[index].serial == serial
            {
                replied(reply, name)
            }
            sendQuestions()
        }
    }

    private func replied(_ reply: RedisConnection.Reply, _ name: Name) {
        switch reply {
        case .value(let value):
            if let answer = ChannelAnswer(value, channel: name.text) { return take(answer, name) }
            entries[name]?.state = .waiting
            askLater(name)
        case .lost:
            entries[name]?.state = .waiting
            syncQueue.append(name)
        case .error(let error):
            shard.noteFault(error)
            entries[name]?.state = .waiting
            askLater(name)
        }
    }

    /// Notes that batches of a channel are delivered from now on.
    func becameLive(_ index: Dictionary<Name, ChannelEntry>.Index) {
        waitingCount -= 1
        let entry = entries.values[index]
        entries.values[index].state = .live
        entries.values[index].flags = .isKnown
        noteRestored(entry)
    }

    private func noteRestored(_ entry: ChannelEntry) {
        guard entry.flags.contains(.isRestoring) else { return }
        restoring -= 1
        if restoring == 0 { shard.checkHealth() }
    }

    private func place(of limits: HistoryLimits?) -> UInt16 {
        if let place = self.limits.firstIndex(of: limits) { return UInt16(place) }
        guard self.limits.count < UInt16.max else { return 0 }
        self.limits.append(limits)
        return UInt16(self.limits.count - 1)
    }
}
