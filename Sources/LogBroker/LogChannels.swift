import Base
import Broker
import NIOCore

/// The numbering and the history of the channels of one partition, as everybody finds them who reads it.
///
/// The order of the log is the order of its channels, and the number of a publication is that of the last one plus one.
/// A node begins to read somewhere in the middle, so each record tells what its sender knew: the position of the channel
/// before the offset `readTo`. A reader that has read all records from there on goes on counting itself, and comes to
/// what all others come to. It does no I/O.
struct LogChannels {
    /// A batch that is kept. Its numbers are those of the channel's epoch.
    struct Kept {
        var offset: UInt64
        var seq: UInt64
        var numberedCount: Int
        var node: NodeID?
        var number: UInt64
        var publications: [UInt8]
    }

    final class Entry {
        fileprivate(set) var position: MessagePosition
        /// The offset of the last record of the channel.
        fileprivate(set) var offset: UInt64
        /// When that was written, in milliseconds since 1970.
        fileprivate(set) var time: Int64
        fileprivate(set) var limits: HistoryLimits?
        fileprivate var kept = CircularBuffer<Kept>()
        fileprivate var keptMessageCount = 0
        fileprivate var keptByteCount = 0

        fileprivate init(_ position: MessagePosition, _ offset: UInt64, _ time: Int64) {
            self.position = position
            self.offset = offset
            self.time = time
        }

        /// What is kept after a number, oldest first.
        func history(of channel: String, after seq: UInt64 = 0) -> [DeliveredBatch] {
            kept.lazy.filter { $0.seq > seq }.map { batch in
                DeliveredBatch(
                    channel: channel, position: MessagePosition(epoch: position.epoch, seq: batch.seq),
                    numberedCount: batch.numberedCount, node: batch.node, number: batch.number,
                    publications: batch.publications)
            }
        }
    }

    private(set) var entries: [Name: Entry] = [:]
    /// A record of a channel whose position is not known here yet.
    private struct Unsettled {
        var offset: UInt64
        var numberedCount: Int
        /// Whether it left the numbering as it was.
        var continues: Bool
    }

    /// The records of channels whose position is not known here yet: those at the beginning of the reading.
    private var unsettled: [Name: [Unsettled]] = [:]
    private static let unsettledCount = 10_000
    /// The offset at which reading began; nil as long as nothing was read.
    private var firstOffset: UInt64?
    /// The offset after the last record that was read.
    private(set) var nextOffset: UInt64 = 0
    /// The batches that are kept, in the order of the log; some may have been dropped.
    private var order = CircularBuffer<(name: Name, offset: UInt64)>()
    private var keptCount = 0
    private(set) var keptByteCount = 0
    /// The most bytes that all histories have together.
    let byteLimit: Int

    init(byteLimit: Int) { self.byteLimit = byteLimit }

    subscript(name: Name) -> Entry? { entries[name] }

    /// Notes that a record is read, before what is in it is.
    mutating func begin(_ offset: UInt64) {
        if firstOffset == nil { firstOffset = offset }
        nextOffset = offset &+ 1
    }

    /// Notes where the reading is, as nothing is there to be read.
    mutating func move(to offset: UInt64) {
        if firstOffset == nil { firstOffset = offset }
        nextOffset = max(nextOffset, offset)
    }

    /// Settles what a channel's position is before a record, by what the sender claims. Nil if it can't be known, as
    /// what the sender had not read was not read here either.
    ///
    /// - Parameter numberedCount: the number of publications with a number in the record.
    mutating func settle(
        _ claim: LogRecord.Claim, for name: Name, numberedCount: Int = 0, readTo: UInt64, at offset: UInt64,
        _ time: Int64
    ) -> Entry? {
        if let entry = entries[name], entry.offset >= readTo {
            // The sender did not know the last record.
            if claim.kind == .replacing, entry.position.epoch == claim.replaced {
                entry.position = MessagePosition(epoch: claim.position.epoch, seq: entry.position.seq)
            }
            touch(entry, offset, time)
            return entry
        }
        guard let entry = entries[name] else {
            guard let position = position(by: claim, of: name, readTo: readTo) else {
                note(
                    Unsettled(offset: offset, numberedCount: numberedCount, continues: claim.kind == .known), of: name)
                return nil
            }
            unsettled[name] = nil
            let entry = Entry(position, offset, time)
            entries[name] = entry
            return entry
        }
        if entry.position.seq != claim.position.seq || entry.position.epoch != claim.position.epoch {
            let isContinued = claim.kind == .replacing && entry.position.seq == claim.position.seq
            if !isContinued { drop(entry) }
            entry.position = claim.position
        }
        touch(entry, offset, time)
        return entry
    }

    /// The position of a channel before a record, if what its sender had not read leaves no doubt about it.
    private func position(by claim: LogRecord.Claim, of name: Name, readTo: UInt64) -> MessagePosition? {
        guard readTo >= firstOffset ?? 0 else { return nil }
        let missed = (unsettled[name] ?? []).filter { $0.offset >= readTo }
        guard !missed.isEmpty else { return claim.position }
        guard claim.kind == .known, missed.allSatisfy(\.continues) else { return nil }
        let count = missed.reduce(0) { $0 + $1.numberedCount }
        return MessagePosition(epoch: claim.position.epoch, seq: claim.position.seq + UInt64(clamping: count))
    }

    private mutating func note(_ record: Unsettled, of name: Name) {
        unsettled[name, default: []].append(record)
        // What is that far behind no sender has left unread.
        if unsettled[name]?.count ?? 0 > Self.unsettledCount { unsettled[name]?.removeFirst(Self.unsettledCount / 2) }
    }

    /// The entry of a channel to which another program publishes, which claims nothing.
    mutating func entry(of name: Name, at offset: UInt64, _ time: Int64) -> Entry {
        if let entry = entries[name] {
            touch(entry, offset, time)
            return entry
        }
        let entry = Entry(MessagePosition(epoch: "x\(offset)", seq: 0), offset, time)
        entries[name] = entry
        return entry
    }

    private func touch(_ entry: Entry, _ offset: UInt64, _ time: Int64) {
        entry.offset = offset
        entry.time = max(entry.time, time)
    }

    /// Numbers a batch behind what is there, keeps it as far as the limits allow, and returns it as it is delivered.
    mutating func append(
        _ batch: Kept, to entry: Entry, _ name: Name, limits: HistoryLimits?
    ) -> DeliveredBatch {
        entry.position.seq &+= UInt64(clamping: batch.numberedCount)
        var batch = batch
        batch.seq = entry.position.seq
        entry.limits = limits
        if let limits, batch.numberedCount > 0 {
            entry.kept.append(batch)
            entry.keptMessageCount += batch.numberedCount
            entry.keptByteCount += batch.publications.count
            order.append((name, batch.offset))
            keptCount += 1
            keptByteCount += batch.publications.count
            while let first = entry.kept.first,
                entry.keptMessageCount - first.numberedCount >= limits.messageCount
                    || entry.keptByteCount - first.publications.count >= limits.byteCount
            {
                dropFirst(entry)
            }
            shrink()
        } else if limits == nil {
            drop(entry)
        }
        return DeliveredBatch(
            channel: name.text, position: entry.position, numberedCount: batch.numberedCount, node: batch.node,
            number: batch.number, publications: batch.publications)
    }

    /// Notes the limits of a channel that is subscribed, for what other programs publish there.
    func setLimits(_ limits: HistoryLimits?, of name: Name) {
        if let limits { entries[name]?.limits = limits }
    }

    /// Forgets channels that nothing was heard of for a time, or for as long as their history lasts if that is longer.
    ///
    /// - Parameter now: the time, as the broker's records have it.
    mutating func forget(idleFor time: Int64, now: Int64, unless isNeeded: (Name) -> Bool) {
        for (name, entry) in entries {
            let age = now &- entry.time
            if let limits = entry.limits, age < limits.age || age < time { continue }
            guard age >= time, !isNeeded(name) else { continue }
            drop(entry)
            entries[name] = nil
        }
    }

    /// Forgets everything, before reading begins somewhere else.
    mutating func removeAll() { self = LogChannels(byteLimit: byteLimit) }

    private mutating func dropFirst(_ entry: Entry) {
        guard let batch = entry.kept.popFirst() else { return }
        entry.keptMessageCount -= batch.numberedCount
        entry.keptByteCount -= batch.publications.count
        keptCount -= 1
        keptByteCount -= batch.publications.count
    }

    private mutating func drop(_ entry: Entry) {
        while !entry.kept.isEmpty { dropFirst(entry) }
    }

    /// Drops the oldest batches while all are too many bytes, and what is left in the order of those that are gone.
    private mutating func shrink() {
        while keptByteCount > byteLimit, let (name, offset) = order.popFirst() {
            if let entry = entries[name], entry.kept.first?.offset == offset { dropFirst(entry) }
        }
        guard order.count > 2 * keptCount + 1_024 else { return }
        order = CircularBuffer(
            order.filter { row in
                guard let first = entries[row.name]?.kept.first else { return false }
                return first.offset <= row.offset
            })
    }
}
