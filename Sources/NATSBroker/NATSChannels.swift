import Base
import Broker
import BrokerSupport
import CLinux
import NIOCore

/// The subscribed channels, and what was last delivered of each.
///
/// A channel is subscribed, and then the stream is asked for its last message, with what is to be delivered before.
/// What comes in between is held. The same happens after the connection was lost, after a gap, and if a message is of
/// another epoch.
final class NATSChannels {
    /// The channels whose place is being asked for at a time. Each answer may have a whole history.
    private static let syncCount = 128
    private static let retryPause: TimeAmount = .milliseconds(200)
    /// The channels without a subscription whose numbering is remembered.
    private static let tipCount = 10_000

    unowned let core: NATSCore
    var entries: [Name: NATSChannel] = [:]
    var held: [Name: HeldMessages] = [:]
    /// The last batch without numbers of each node in a channel.
    var lastUnnumbered: [Name: [NodeID: UInt64]] = [:]
    /// The most nodes of a channel of which that is remembered.
    static let unnumberedNodeCount = 1_000
    /// Where numberings have come to: beyond what was delivered, or of channels that are not subscribed.
    private var tips: [Name: ChannelTip] = [:]
    private var limits: [HistoryLimits?] = [nil]
    private var syncQueue = CircularBuffer<Name>()
    private var syncing = 0
    /// The number of connections that were lost: what was asked on another is no concern of this one.
    private var lostCount: UInt64 = 0
    private var lastSerial: UInt32 = 0
    private var isRetryScheduled = false
    var refresh: Scheduled<Void>?
    /// The channels that were subscribed before the connection was lost, and are not live again.
    private var restoring = 0
    /// The channels that are not live.
    private(set) var waitingCount = 0

    init(_ core: NATSCore) { self.core = core }

    var isRestoring: Bool { restoring > 0 }

    func limits(of entry: NATSChannel) -> HistoryLimits? { limits[Int(entry.limits)] }

    func stream(of entry: NATSChannel) -> ChannelStream { core.subjects.stream(limits(of: entry)) }

    // MARK: Subscriptions

    func subscribe(_ subscription: Subscription) {
        let name = Name(subscription.channel)
        let limits = place(of: subscription.history)
        guard let entry = entries[name] else {
            var entry = NATSChannel()
            entry.limits = limits
            entries[name] = entry
            waitingCount += 1
            open(name)
            return
        }
        let hasMoved = entry.limits != limits
        entries[name]?.limits = limits
        entries[name]?.flags.insert(.isNew)
        // In another stream it has another numbering.
        if hasMoved {
            entries[name]?.flags.remove(.isKnown)
            held[name] = nil
        }
        switch entry.state {
        case .live, .syncing: askAgain(name)
        case .wanted, .waiting: break
        }
    }

    func unsubscribe(_ channels: [String]) {
        for channel in channels {
            let name = Name(channel)
            guard let entry = entries.removeValue(forKey: name) else { continue }
            held[name] = nil
            lastUnnumbered[name] = nil
            if entry.state != .live { waitingCount -= 1 }
            noteRestored(entry)
            if entry.state != .wanted { core.link.ready?.unsubscribe(entry.subscription) }
            core.publishing.channelChanged(name)
        }
    }

    /// Subscribes all channels on a new connection.
    func restore() {
        for name in entries.keys { open(name) }
        pump()
    }

    /// Notes that the connection is gone.
    func lost() {
        held.removeAll()
        syncQueue.removeAll()
        syncing = 0
        lostCount += 1
        tips.removeAll()
        for index in entries.indices {
            entries.values[index].state = .wanted
            entries.values[index].serial = 0
            if !entries.values[index].flags.contains(.isRestoring) {
                entries.values[index].flags.insert(.isRestoring)
                restoring += 1
            }
        }
        for name in core.presence.announcedChannels { entries[name]?.flags.insert(.missesUsers) }
        waitingCount = entries.count
    }

    private func open(_ name: Name) {
        guard let connection = core.link.ready, entries[name]?.state == .wanted else { return }
        entries[name]?.subscription = connection.subscribe(core.subjects.live(name.text)) { [weak self] message in
            self?.received(name, message)
        }
        entries[name]?.state = .waiting
        syncQueue.append(name)
    }

    /// Asks for the place of a channel that is subscribed.
    func askAgain(_ name: Name) {
        guard let entry = entries[name], entry.state != .wanted else { return }
        if entry.state == .live { waitingCount += 1 }
        entries[name]?.state = .waiting
        entries[name]?.serial = 0
        syncQueue.append(name)
        pump()
    }

    /// Asks again after a pause.
    func askLater(_ name: Name) {
        guard let entry = entries[name], entry.state != .wanted else { return }
        if entry.state == .live { waitingCount += 1 }
        entries[name]?.state = .waiting
        entries[name]?.serial = 0
        syncQueue.append(name)
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.pump()
        }
    }

    /// Sends what can be sent.
    func pump() {
        guard core.link.ready != nil, !isRetryScheduled else { return }
        while syncing < Self.syncCount, let name = syncQueue.popFirst() {
            guard let entry = entries[name], entry.state == .waiting else { continue }
            lastSerial &+= 1
            if lastSerial == 0 { lastSerial = 1 }
            let serial = lastSerial
            entries[name]?.state = .syncing
            entries[name]?.serial = serial
            syncing += 1
            let sync = ChannelSync(self, name, entry, serial) { [weak self, lostCount] outcome in
                guard let self, lostCount == self.lostCount else { return }
                syncing -= 1
                take(outcome, name, serial)
                pump()
            }
            sync.begin()
        }
    }

    private func take(_ outcome: ChannelSync.Outcome, _ name: Name, _ serial: UInt32) {
        guard let entry = entries[name], entry.state == .syncing, entry.serial == serial else { return }
        switch outcome {
        case .unknown: askLater(name)
        case .again: askAgain(name)
        case .found(let answer): take(answer, name)
        }
    }

    /// Notes that messages of a channel are delivered from now on.
    func becameLive(_ name: Name) {
        guard let entry = entries[name] else { return }
        waitingCount -= 1
        entries[name]?.state = .live
        entries[name]?.flags = .isKnown
        noteRestored(entry)
        core.publishing.channelChanged(name)
    }

    func noteRestored(_ entry: NATSChannel) {
        guard entry.flags.contains(.isRestoring) else { return }
        restoring -= 1
        if restoring == 0 { core.checkHealth() }
    }

    private func place(of limits: HistoryLimits?) -> UInt16 {
        if let place = self.limits.firstIndex(of: limits) { return UInt16(place) }
        guard self.limits.count < UInt16.max else { return 0 }
        self.limits.append(limits)
        return UInt16(self.limits.count - 1)
    }

    // MARK: Numberings

    /// What is known of a channel's numbering. `isExpected` says that more will be known soon.
    func numbering(of name: Name) -> (tip: ChannelTip?, isExpected: Bool) {
        guard let entry = entries[name] else { return (tips[name], false) }
        guard entry.state == .live else { return (nil, true) }
        if let ahead = tips[name], ahead.seq > entry.tip.seq { return (ahead, false) }
        return (entry.tip, false)
    }

    /// Notes that a numbering has come to a place.
    func note(_ tip: ChannelTip, _ name: Name) {
        if tips.count >= Self.tipCount { tips.removeAll() }
        tips[name] = tip
    }

    /// Notes that another message came before one that was published.
    func forgetTip(_ name: Name) { tips[name] = nil }

    /// Stores a message without publications: a numbering goes on from there.
    func mark(_ name: Name, _ stream: ChannelStream, after tip: ChannelTip, _ body: @escaping (StreamAnswer) -> Void) {
        let text = "\(tip.position.seq):0:\(tip.position.epoch):\(core.nodeText):0:"
        core.streams.store(stream.subject(name.text), after: tip.seq, [UInt8](text.utf8), body)
    }

    static func seconds() -> UInt32 { UInt32(truncatingIfNeeded: clinux_monotonic_nanoseconds() / 1_000_000_000) }
}
