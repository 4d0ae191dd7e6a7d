import Rooms

/// What a channel's home keeps for the `json` protocol: the numbers of its messages, the last of them, and who is here.
final class Room {
    /// The channel's name as JSON, quotes included.
    let quotedName: [UInt8]
    /// Changes when the numbering begins anew.
    let epoch: String
    /// The number of the newest message.
    private(set) var seq: UInt64 = 0
    private(set) var history: History
    var presence: Presence
    /// Connections that are in the channel, counted where `max_members` limits them.
    var memberCount = 0
    /// Whether it is in the worker's queue of those whose history may have to go.
    var isQueued = false
    private let cost: HistoryCost
    /// What the meter has counted, beside the blocks of the history.
    private var counted = 0

    init(name: String, settings: ChannelSettings, cost: HistoryCost) {
        self.cost = cost
        var text = MessageText()
        text.append(string: name)
        quotedName = text.bytes
        epoch = Epoch.random()
        history = History(limits: settings.history, meter: cost.meter)
        presence = Presence(leaveDelay: settings.leaveDelay)
        count()
    }

    deinit { cost.meter.add(-counted) }

    /// The place of the next message.
    func next() -> MessagePosition {
        seq += 1
        return MessagePosition(epoch: epoch, seq: seq)
    }

    /// Changes the history; the only way to, because it counts what that costs.
    func changeHistory(_ change: (inout History) -> Void) {
        let before = historyByteCount
        change(&history)
        cost.byteCount += historyByteCount - before
        count()
    }

    /// What came after a position; whether all of it is kept.
    func missed(since: MessagePosition, at now: Int64) -> (isRecoverable: Bool, slice: HistorySlice?) {
        guard since.epoch == epoch else { return (false, nil) }
        changeHistory { $0.expire(now: now) }
        guard history.covers(after: since.seq, newest: seq) else { return (false, nil) }
        var slice: HistorySlice?
        if since.seq < seq { changeHistory { slice = $0.slice(after: since.seq) } }
        return (true, slice)
    }

    /// Members will be counted again.
    func forgetMembers() {
        memberCount = 0
        presence = Presence(leaveDelay: presence.leaveDelay)
    }

    /// Whether nothing would be lost with it, once nobody is in the channel.
    var isForgettable: Bool { memberCount == 0 && history.count == 0 && presence.isEmpty }

    /// When something in it becomes due, in milliseconds since 1970.
    var nextDeadline: Int64? {
        guard let leave = presence.nextDeadline else { return history.expiresAt }
        return history.expiresAt.map { min($0, leave) } ?? leave
    }

    /// Has the meter count what it takes now.
    private func count() {
        let now = Room.overhead + 2 * quotedName.count + history.bufferByteCount
        cost.meter.add(now - counted)
        counted = now
    }

    /// What the history costs of `limits.history_bytes`, the channel that is kept for it included.
    private var historyByteCount: Int {
        history.count == 0 ? 0 : history.byteCount + Channel.overhead + Room.overhead + 4 * quotedName.count
    }

    /// The headers of its objects, malloc's, and what it holds in itself.
    private static let overhead = 400
}

/// What the histories of one worker's channels cost together; the worker's thread only.
final class HistoryCost {
    /// Of `limits.history_bytes`.
    var byteCount = 0
    /// Counts what they take of `limits.memory`.
    let meter: ByteMeter

    init(_ meter: ByteMeter) { self.meter = meter }
}
