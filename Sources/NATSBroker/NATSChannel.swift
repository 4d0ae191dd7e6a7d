import Base
import Broker
import BrokerSupport

/// What is kept of a subscribed channel.
struct NATSChannel {
    enum State: UInt8 {
        /// To be subscribed as soon as there is a connection.
        case wanted
        /// Subscribed; its place is to be asked for.
        case waiting
        /// Its place is being asked for.
        case syncing
        /// Messages are delivered.
        case live
    }

    struct Flags: OptionSet {
        var rawValue: UInt8
        /// Whoever subscribed it waits for `subscribed`.
        static let isNew = Flags(rawValue: 1)
        /// It was subscribed when the connection was lost.
        static let isRestoring = Flags(rawValue: 2)
        /// The position is that of what was delivered last.
        static let isKnown = Flags(rawValue: 4)
        /// Users of this node were announced when the connection was lost: members may have missed others.
        static let missesUsers = Flags(rawValue: 8)
    }

    /// The place of the last message that was delivered.
    var tip = ChannelTip(seq: 0, position: MessagePosition(epoch: "", seq: 0))
    /// The identity of that message.
    var last = BatchIdentity()
    /// The number of the subscription on this connection.
    var subscription: UInt64 = 0
    /// The time at which the stream got a message of it last, in seconds of the monotonic clock.
    var touchedAt: UInt32 = 0
    /// The question whose answer is awaited; others are of an earlier state.
    var serial: UInt32 = 0
    /// The place of the history's limits in the table of them.
    var limits: UInt16 = 0
    var state = State.wanted
    var flags: Flags = .isNew
}

/// What comes in while a channel's place is not known, in its order: the server may deliver a message of one publisher before
/// another's that it follows.
struct HeldMessages {
    /// What is newer than this much is dropped, and asked for instead.
    static let byteCountLimit = 4 << 20

    var messages: [StreamMessage] = []
    var byteCount = 0
    /// Whether something was dropped after the place was asked for.
    var isIncomplete = false
    /// The message that had no place when the stream was asked last, and how often in a row it was that one.
    private var unplaced: (seq: UInt64, count: Int) = (0, 0)
    /// The looks after which it is taken for one that the stream does not have.
    private static let lookCount = 5

    mutating func append(_ message: StreamMessage) {
        byteCount += message.heldByteCount
        var place = messages.count
        if message.seq > 0 {
            for index in messages.indices.reversed() {
                if messages[index].seq > message.seq { place = index }
                guard messages[index].seq == 0 || messages[index].seq > message.seq else { break }
            }
        }
        messages.insert(message, at: place)
        while byteCount > Self.byteCountLimit, let dropped = messages.popLast() {
            byteCount -= dropped.heldByteCount
            isIncomplete = true
        }
    }

    /// What is left if there is still no place for a message, though the stream, which has all that it delivers, was asked
    /// and has come to `end`. One beyond that for several looks is another program's, or the stream has lost it: it would
    /// keep the channel from being live for ever. What came behind it is asked for.
    func rest(from place: Int, end: UInt64) -> HeldMessages {
        var rest = HeldMessages()
        let seq = messages[place].seq
        rest.isIncomplete = isIncomplete
        rest.unplaced = (seq, unplaced.seq == seq ? unplaced.count + 1 : 1)
        let isLost = seq > end && rest.unplaced.count >= Self.lookCount
        for message in messages[place...] where !isLost || message.seq <= end { rest.append(message) }
        if isLost { rest.isIncomplete = true }
        return rest
    }
}

extension StreamMessage {
    /// What it takes while it is held, about.
    fileprivate var heldByteCount: Int { byteCount + 128 }
}
