import Rooms

/// What a channel's home keeps for the `json` protocol: the numbers of its messages, the last of them, and who is here.
final class Room {
    /// The channel's name as JSON, quotes included.
    let quotedName: [UInt8]
    /// Changes when the numbering begins anew.
    let epoch: String
    /// The number of the newest message.
    var seq: UInt64 = 0
    var history: History
    var presence: Presence
    /// Connections that are in the channel, counted where `max_members` limits them.
    var memberCount = 0
    /// Whether it is in the worker's queue of those whose history may have to go.
    var isQueued = false
    private let meter: ByteMeter
    /// What the meter has counted, beside the blocks of the history.
    private var counted = 0

    init(name: String, settings: ChannelSettings, meter: ByteMeter) {
        self.meter = meter
        var text = MessageText()
        text.append(string: name)
        quotedName = text.bytes
        epoch = Epoch.random()
        history = History(limits: settings.history, meter: meter)
        presence = Presence(leaveDelay: settings.leaveDelay)
        count()
    }

    deinit { meter.add(-counted) }

    /// Has the meter count what it takes now.
    func count() {
        let now = Room.overhead + 2 * quotedName.count + history.bufferByteCount
        meter.add(now - counted)
        counted = now
    }

    /// What the history costs of `limits.history_bytes`, the channel that is kept for it included.
    var historyByteCount: Int {
        history.count == 0 ? 0 : history.byteCount + Channel.overhead + Room.overhead + 4 * quotedName.count
    }

    /// The headers of its objects, malloc's, and what it holds in itself.
    private static let overhead = 400

    /// Those who are here will be counted again.
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
}
