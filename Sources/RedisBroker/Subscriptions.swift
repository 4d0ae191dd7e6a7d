import Base
import Broker
import BrokerSupport
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
    /// How long a channel whose state at the server is none is left alone.
    private static let healingPause: TimeAmount = .seconds(2)

    unowned let shard: RedisShard
    var entries: [Name: ChannelEntry] = [:]
    var held: [Name: HeldBatches] = [:]
    /// The size of all that is held, in bytes.
    var heldByteCount = 0
    private var limits: [HistoryLimits?] = [nil]
    private var unsent: [Name] = []
    private var syncQueue = CircularBuffer<Name>()
    private var syncing = 0
    private var lastSerial: UInt32 = 0
    private var isRetryScheduled = false
    /// The channels whose state at the server is none, so that somebody has to change it.
    private var unsound: [Name] = []
    /// The channels that were subscribed before the connection was lost, and are not live again.
    private var restoring = 0

    init(_ shard: RedisShard) { self.shard = shard }

    var isRestoring: Bool { restoring > 0 }

    /// Whether a channel was subscribed before the connection was lost, and is not live again.
    func isRestoring(_ channel: Name) -> Bool { entries[channel]?.flags.contains(.isRestoring) ?? false }

    /// The channels that are not live.
    private(set) var waitingCount = 0

    func limits(of entry: ChannelEntry) -> HistoryLimits? { limits[Int(entry.limits)] }

    /// The position of what was last delivered in a channel; nil if nothing is known of it.
    func knownPosition(of channel: Name) -> MessagePosition? {
        entries[channel].flatMap { $0.flags.contains(.isKnown) ? $0.position : nil }
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
            release(name)
            if entry.state != .live { waitingCount -= 1 }
            noteRestored(entry, name)
            if entry.state != .wanted { sent.append(shard.keys.live(channel)) }
        }
        if shard.keys.isCluster {
            for names in Dictionary(grouping: sent, by: ClusterSlots.slot(of:)).values {
                shard.deliveries.ready?.endSharded(names)
            }
            return
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
        heldByteCount = 0
        syncQueue.removeAll()
        unsound.removeAll()
        unsent.removeAll()
        for index in entries.indices {
            entries.values[index].state = .wanted
            entries.values[index].serial = 0
            entries.values[index].flags.insert(.isCut)
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
        guard shard.keys.isCluster else { return subscribe(names, connection) }
        for names in Dictionary(grouping: names, by: { ClusterSlots.slot(ofChannel: $0.text) }).values {
            subscribe(names, connection)
        }
    }

    /// Subscribes channels, which are in one slot of a cluster.
    private func subscribe(_ names: [Name], _ connection: RedisConnection) {
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
            connection.send(shard.keys.subscribeCommand, channels) { [self] in
                confirmed($0, serial)
            } refused: { [self] error in
                guard let cluster = shard.cluster else {
                    return connection.close(because: "does not let this client subscribe: \(error.text)")
                }
                shard.noteFault(error)
                cluster.noteMove(error, from: shard)
                for name in batch where entries[name]?.serial == serial { entries[name]?.state = .wanted }
                unsent.append(contentsOf: batch)
                pumpLater()
            }
        }
    }

    /// Notes that the server has ended a subscription, as the slot is on another one now.
    func ended(_ name: Name) {
        guard let index = entries.index(forKey: name) else { return }
        switch entries.values[index].state {
        // It was unsubscribed here, and is being subscribed again.
        case .wanted, .confirming: return
        case .live: waitingCount += 1
        case .waiting, .syncing: break
        }
        release(name)
        entries.values[index].state = .wanted
        entries.values[index].serial = 0
        entries.values[index].flags.insert(.isCut)
        unsent.append(name)
        sendSubscriptions()
    }

    private func confirmed(_ channel: String, _ serial: UInt32) {
        guard let name = shard.keys.channel(ofLive: channel.utf8), let index = entries.index(forKey: name),
            entries.values[index].state == .confirming,
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

    /// Asks for the position of a channel, and before that for nothing else.
    func askLater(_ name: Name) {
        entries[name]?.state = .waiting
        syncQueue.append(name)
        pumpLater()
    }

    /// Leaves a channel alone for a while whose state at the server is none. The node does not wait for it: only whoever
    /// changes that state can help.
    private func leaveAlone(_ name: Name) {
        guard let index = entries.index(forKey: name) else { return }
        entries.values[index].state = .waiting
        let entry = entries.values[index]
        entries.values[index].flags.remove(.isRestoring)
        noteRestored(entry, name)
        unsound.append(name)
        guard unsound.count == 1 else { return }
        shard.loop.assumeIsolated().scheduleTask(in: Self.healingPause) { [weak self] in
            guard let self else { return }
            syncQueue.append(contentsOf: unsound)
            unsound.removeAll()
            pump()
        }
    }

    private func pumpLater() {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        shard.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.pump()
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

    /// Ends a numbering of a channel for all nodes, unless one has done so.
    func renumber(_ name: Name, from epoch: String) {
        guard let entry = entries[name], let connection = shard.commands.ready else { return askAgain(name) }
        ask(.renumber, name, entry, connection, ending: epoch)
    }

    private func ask(
        _ script: RedisScript, _ name: Name, _ entry: ChannelEntry, _ connection: RedisConnection,
        ending epoch: String = ""
    ) {
        lastSerial &+= 1
        let serial = lastSerial
        entries[name]?.serial = serial
        if let index = held.index(forKey: name) {
            held.values[index].coveredCount = held.values[index].batches.count
            held.values[index].isIncomplete = false
        }
        let limits = limits(of: entry)
        let isContinued = entry.flags.contains(.isKnown) && !entry.flags.contains(.isNew)
        let sizes: [RESPArgument] = [
            .number(Int64(limits?.messageCount ?? 0)), .number(Int64(limits?.byteCount ?? 0)),
        ]
        let arguments: [RESPArgument] =
            if script == .renumber {
                [.text(epoch), .text(shard.freshEpoch())] + sizes
            } else {
                [.text(isContinued ? entry.epoch : ""), .text(isContinued ? "\(entry.seq)" : "0")] + sizes
                    + [.text(shard.freshEpoch()), .number(HistoryLives(limits).meta)]
            }
        syncing += 1
        let keys = [shard.keys.meta(name.text), shard.keys.history(name.text)]
        func replied(_ reply: RedisConnection.Reply) {
            syncing -= 1
            if let index = entries.index(forKey: name), entries.values[index].state == .syncing,
                entries.values[index].serial == serial
            {
                self.replied(reply, name)
            }
            sendQuestions()
        }
        connection.run(script, keys: keys, arguments) { [self] reply in
            guard case .error(let error) = reply, let guest = shard.cluster?.guest(error, from: shard) else {
                return replied(reply)
            }
            guest.run(script, keys: keys, arguments, isAsking: true, reply: replied)
        }
    }

    private func replied(_ reply: RedisConnection.Reply, _ name: Name) {
        switch reply {
        case .value(let value):
            if let answer = ChannelAnswer(value, channel: name.text) { return take(answer, name) }
            leaveAlone(name)
        case .lost:
            entries[name]?.state = .waiting
            syncQueue.append(name)
        case .error(let error):
            shard.noteFault(error)
            shard.cluster?.noteMove(error, from: shard)
            if error.isFault || error.isTransient { askLater(name) } else { leaveAlone(name) }
        }
    }

    /// Notes that batches of a channel are delivered from now on.
    func becameLive(_ index: Dictionary<Name, ChannelEntry>.Index) {
        waitingCount -= 1
        let entry = entries.values[index]
        entries.values[index].state = .live
        entries.values[index].flags = .isKnown
        noteRestored(entry, entries.keys[index])
    }

    /// - Parameter name: the channel, unless it goes to another server.
    private func noteRestored(_ entry: ChannelEntry, _ name: Name?) {
        guard entry.flags.contains(.isRestoring) else { return }
        restoring -= 1
        if let name { shard.subscriptionRestored(name) }
        if restoring == 0 { shard.checkHealth() }
    }

    /// Takes out the channels that are on another server now.
    func takeOut(where isMeant: (Name) -> Bool) -> [MovedChannel] {
        var taken: [MovedChannel] = []
        for (name, entry) in entries where isMeant(name) {
            taken.append(MovedChannel(name: name, entry: entry, limits: limits(of: entry)))
        }
        for channel in taken {
            entries[channel.name] = nil
            release(channel.name)
            if channel.entry.state != .live { waitingCount -= 1 }
            noteRestored(channel.entry, nil)
        }
        return taken
    }

    /// Takes a channel that was on another server.
    func adopt(_ channel: MovedChannel) {
        var entry = channel.entry
        entry.state = .wanted
        entry.serial = 0
        entry.flags.insert(.isCut)
        entry.limits = place(of: channel.limits)
        entries[channel.name] = entry
        unsent.append(channel.name)
        waitingCount += 1
        if entry.flags.contains(.isRestoring) { restoring += 1 }
    }

    private func place(of limits: HistoryLimits?) -> UInt16 {
        if let place = self.limits.firstIndex(of: limits) { return UInt16(place) }
        guard self.limits.count < UInt16.max else { return 0 }
        self.limits.append(limits)
        return UInt16(self.limits.count - 1)
    }
}

/// A channel that goes to another server with its slot.
struct MovedChannel {
    var name: Name
    var entry: ChannelEntry
    var limits: HistoryLimits?
}
