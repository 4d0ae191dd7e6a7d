import Base
import Broker
import BrokerSupport
import NIOCore

/// What is kept of a subscribed channel. There may be 100,000, so it is small: 48 bytes beside the name.
struct ChannelEntry {
    enum State: UInt8 {
        /// To be subscribed as soon as there is a connection.
        case wanted
        /// Subscribed, not confirmed.
        case confirming
        /// Confirmed; its position is to be asked for.
        case waiting
        /// Its position has been asked for.
        case syncing
        /// Batches are delivered.
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
        /// What has no number may be missing, such as joins and leaves.
        static let isCut = Flags(rawValue: 8)
    }

    /// The position of the last batch that was delivered.
    var epoch = ""
    var seq: UInt64 = 0
    /// The identity of the batch with that number.
    var last = BatchIdentity()
    /// The command whose answer is awaited; others are of an earlier state.
    var serial: UInt32 = 0
    /// The place of the history's limits in the table of them.
    var limits: UInt16 = 0
    var state = State.wanted
    var flags: Flags = .isNew

    var position: MessagePosition { MessagePosition(epoch: epoch, seq: seq) }
}

/// What comes in while a channel's position is not known, in its order.
struct HeldBatches {
    /// More than this is dropped, and asked for instead: of one channel, and of all of a server.
    static let byteCountLimit = 4 << 20
    static let totalByteCountLimit = 32 << 20

    var batches: [DeliveredBatch] = []
    var byteCount = 0
    /// The number of batches that came before the position was asked for: the answer has them.
    var coveredCount = 0
    /// Whether something was dropped after the position was asked for.
    var isIncomplete = false

    private static func size(of batch: DeliveredBatch) -> Int { batch.publications.count + 128 }

    mutating func removeFirst() {
        byteCount -= Self.size(of: batches.removeFirst())
        coveredCount = max(0, coveredCount - 1)
    }

    /// - Parameter others: the size of what is held for other channels, in bytes.
    mutating func append(_ batch: DeliveredBatch, besides others: Int) {
        byteCount += Self.size(of: batch)
        guard byteCount <= Self.byteCountLimit, others + byteCount <= Self.totalByteCountLimit else {
            self = HeldBatches()
            isIncomplete = true
            return
        }
        batches.append(batch)
    }
}

/// What a server says of a channel when asked for its position.
struct ChannelAnswer {
    var position: MessagePosition
    /// The identity of the last numbered batch.
    var last: BatchIdentity
    /// The oldest batch at or after the number that was known.
    var known: (seq: UInt64, count: UInt64, BatchIdentity)?
    /// Oldest first.
    var batches: [DeliveredBatch]

    /// Reads an answer of the scripts; nil if it is another.
    init?(_ value: RESPValue, channel: String) {
        guard let parts = value.elements, parts.count == 5, let epoch = parts[0].text, let seq = parts[1].count,
            let last = parts[2].text, let entries = parts[4].elements
        else { return nil }
        position = MessagePosition(epoch: epoch, seq: seq)
        self.last = BatchIdentity(last)
        if let at = parts[3].elements, at.count == 3, let id = at[0].text, let dash = id.firstIndex(of: "-"),
            let seq = UInt64(id[..<dash]), let count = at[1].count
        {
            known = (seq, count, BatchIdentity(at[2].text ?? ""))
        }
        batches = entries.reversed().compactMap { DeliveredBatch(channel: channel, epoch: epoch, entry: $0) }
    }

    /// Whether the server's batches go on from what this node knows. They do not if the server has fewer, or another one
    /// with the same number: then it has lost some, and given their numbers again.
    func continues(_ entry: ChannelEntry) -> Bool {
        if position.seq < entry.seq { return false }
        if position.seq == entry.seq { return entry.seq == 0 || last == entry.last }
        // Whoever asks for all of the history gets it among the rest.
        let known =
            known
            ?? batches.first { $0.position.seq >= entry.seq }.map {
                ($0.position.seq, UInt64(clamping: $0.numberedCount), BatchIdentity($0))
            }
        guard let known, entry.seq > 0 else { return true }
        if known.seq == entry.seq { return known.2 == entry.last }
        // A batch that begins before it and ends after it.
        return known.count <= known.seq - entry.seq
    }
}

extension DeliveredBatch {
    /// An entry of a channel's history, as Redis sends those of a stream; nil if it is damaged.
    init?(channel: String, epoch: String, entry: RESPValue) {
        guard let parts = entry.elements, parts.count == 2, let id = parts[0].text, let dash = id.firstIndex(of: "-"),
            let last = UInt64(id[..<dash]), let count = parts[1]["n"]?.count.flatMap(Int.init(exactly:)),
            count <= last, let bytes = parts[1]["d"]?.bytes
        else { return nil }
        let identity = BatchIdentity(parts[1]["o"]?.text ?? "")
        self.init(
            channel: channel, position: MessagePosition(epoch: epoch, seq: last), numberedCount: count,
            node: identity.node == 0 ? nil : NodeID(rawValue: identity.node), number: identity.number,
            publications: Array(buffer: bytes))
    }
}
