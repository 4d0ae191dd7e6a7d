import Base
import Broker
import Channels
import Settings

/// The state that a channel's home keeps for the `json` protocol: the numbering of messages, the history, and the users
/// present.
final class Room {
    /// The channel's name as JSON, quotes included.
    let quotedName: [UInt8]
    /// The identifier of the numbering, which changes when that begins anew.
    private(set) var epoch: String
    /// The number of the newest message.
    private(set) var seq: UInt64 = 0
    private(set) var history: History
    var presence: Presence
    /// The number of connections in the channel, counted if the channel's settings need it.
    var memberCount = 0
    /// Whether the room is in the worker's queue of rooms whose history may have to be dropped.
    var isQueued = false
    private let cost: HistoryCost
    /// The size that the meter has counted, besides the blocks of the history.
    private var counted = 0

    init(name: String, settings: ChannelSettings, cost: HistoryCost, epoch: String = Epoch.random()) {
        self.cost = cost
        self.epoch = epoch
        quotedName = MessageText(quoting: name).bytes
        history = History(limits: settings.historyLimits, meter: cost.meter)
        presence = Presence(leaveDelay: settings.leaveDelay.milliseconds)
        count()
    }

    deinit {
        cost.byteCount -= historyByteCount
        cost.meter.add(-counted)
    }

    /// Writes the room. Its name and settings are no part of it.
    func write(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        Room.write(MessagePosition(epoch: epoch, seq: seq), memberCount, presence, to: &state)
        history.write(to: &state, &shared)
    }

    /// Writes what comes before the history.
    static func write(
        _ position: MessagePosition, _ memberCount: Int, _ presence: Presence, to state: inout StateWriter
    ) {
        state.write(position.epoch)
        state.write(position.seq)
        state.write(count: memberCount)
        presence.write(to: &state)
    }

    convenience init(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, name: String,
        settings: ChannelSettings, cost: HistoryCost
    ) throws(StateError) {
        let epoch = try state.text()
        try state.require(Epoch.isOne(epoch), "an epoch")
        self.init(name: name, settings: settings, cost: cost, epoch: epoch)
        seq = try state.number()
        memberCount = try state.count(atMost: Int(Int32.max))
        presence = try Presence(from: &state, leaveDelay: settings.leaveDelay.milliseconds)
        let kept = try History(from: &state, &shared, limits: settings.historyLimits, meter: cost.meter)
        // Of an empty history, the newest number may be that of an earlier numbering.
        try state.require(
            seq < 1 << 62 && (kept.count == 0 || kept.newestSeq <= seq), "a message with a number to come")
        changeHistory { $0 = kept }
    }

    /// Goes on with the numbers in a new numbering: some of the old one may have been given to messages that are lost.
    func renumber() { epoch = Epoch.random() }

    /// Returns the position of the next message.
    func next() -> MessagePosition {
        seq += 1
        cost.numberedCount &+= 1
        return MessagePosition(epoch: epoch, seq: seq)
    }

    /// Moves to a position that a broker gives. Unless the numbering goes on from the last message, the history begins
    /// anew.
    func move(to position: MessagePosition) {
        if position.epoch != epoch || position.seq < seq {
            epoch = position.epoch
            changeHistory { $0.removeAll() }
        }
        seq = position.seq
    }

    /// Changes the history. All changes go through here, because it counts their cost.
    func changeHistory(_ change: (inout History) -> Void) {
        let before = historyByteCount
        change(&history)
        cost.byteCount += historyByteCount - before
        count()
    }

    /// The messages after a position, and whether all of them are kept.
    func missed(since: MessagePosition, at now: Int64) -> (isRecoverable: Bool, slice: HistorySlice?) {
        guard since.epoch == epoch else { return (false, nil) }
        changeHistory { $0.expire(now: now) }
        guard history.covers(after: since.seq, newest: seq) else { return (false, nil) }
        var slice: HistorySlice?
        if since.seq < seq { changeHistory { slice = $0.slice(after: since.seq, quotedChannel: quotedName) } }
        return (true, slice)
    }

    /// Whether there were messages on a page that are not kept.
    func lacks(before: UInt64?, limit: Int) -> Bool {
        let page = history.page(before: before, limit: limit)
        guard page.count < limit else { return false }
        return (page.isEmpty ? min(before ?? .max, seq + 1) : page.lowerBound) > 1
    }

    /// Forgets the members, which will be counted again.
    func forgetMembers() {
        memberCount = 0
        presence = Presence(leaveDelay: presence.leaveDelay)
    }

    /// Whether nobody is in the channel or may come back.
    var isEmpty: Bool { memberCount == 0 && presence.isEmpty }

    /// Whether nothing would be lost with the room once nobody is in the channel.
    var isForgettable: Bool { isEmpty && history.count == 0 }

    /// The time of the next expiry in the room, in milliseconds since 1970.
    var nextDeadline: Int64? {
        guard let leave = presence.nextDeadline else { return history.expiresAt }
        return history.expiresAt.map { min($0, leave) } ?? leave
    }

    /// Updates the meter with the present size.
    private func count() {
        let now = Room.overhead + 2 * quotedName.count + history.bufferByteCount
        cost.meter.add(now - counted)
        counted = now
    }

    /// The cost of the history towards `limits.history_bytes`, including the channel that is kept for it.
    private var historyByteCount: Int {
        history.count == 0 ? 0 : history.byteCount + Channel.overhead + Room.overhead + 4 * quotedName.count
    }

    /// The size of the room itself, with the headers of its objects and malloc's.
    private static let overhead = 400
}

/// The total cost of the histories of one worker's channels; the worker's thread only.
final class HistoryCost {
    /// The cost towards `limits.history_bytes`.
    var byteCount = 0
    /// The number of messages that were given a number here.
    var numberedCount: UInt64 = 0
    /// Counts the memory towards `limits.memory`.
    let meter: ByteMeter

    init(_ meter: ByteMeter) { self.meter = meter }
}
