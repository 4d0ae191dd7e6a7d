package import Base

/// The last publications of one channel, as plain values: no client protocol's words. Their numbers follow each other
/// without a gap.
///
/// The newest messages are in one buffer that grows; once it is large, it becomes a block, which never changes again.
/// So a recovery of any size takes a few references. Dropped messages are freed by whole blocks, or, in the buffer,
/// once they are half of it: a message is moved about once in its life.
package struct History: Sendable {
    package typealias Limits = HistoryLimits

    typealias Entry = HistoryBlock.Entry

    /// The size in bytes at which the buffer becomes a block.
    private static let blockByteCount = 32 * 1024
    /// A buffer with fewer bytes than this is copied for a recovery: blocks of a few messages would cost more than they
    /// hold.
    private static let smallByteCount = 4 * 1024

    var limits: Limits
    private let meter: ByteMeter?
    /// The older messages. Invariant: none is empty.
    var blocks: [HistoryBlock] = []
    /// The names and payloads of the newest messages, and the rest of each.
    var bytes: [UInt8] = []
    var entries: [Entry] = []
    /// The number of dropped messages at the front of the first block, or of the buffer if there is no block.
    var dropped = 0
    /// The number of the last message that was added; 0 if there was none.
    package internal(set) var newestSeq: UInt64 = 0
    package internal(set) var count = 0
    /// The size of the names and payloads in bytes.
    var messageByteCount = 0

    /// - Parameter meter: counts the blocks for as long as anything refers to them.
    package init(limits: Limits, meter: ByteMeter? = nil) {
        self.limits = limits
        self.meter = meter
    }

    /// The cost of the history: the names and payloads, and 16 bytes of bookkeeping for each message.
    package var byteCount: Int { messageByteCount + count * MemoryLayout<HistoryBlock.Entry>.stride }

    /// The memory of the history besides its blocks, in bytes.
    package var bufferByteCount: Int { bytes.capacity + entries.capacity * MemoryLayout<HistoryBlock.Entry>.stride }

    /// The number of the oldest message kept; nil if none is kept.
    package var firstSeq: UInt64? { count == 0 ? nil : newestSeq + 1 - UInt64(count) }

    /// The time of the newest message; 0 if there is none.
    package var newestTime: Int64 { count == 0 ? 0 : (entries.last ?? blocks.last?.entries.last)?.time ?? 0 }

    private var oldest: Entry? {
        guard count > 0 else { return nil }
        return blocks.first.map { $0.entries[dropped] } ?? entries[dropped]
    }

    /// The time at which the oldest message becomes too old.
    package var expiresAt: Int64? { oldest.map { $0.time + limits.age } }

    /// Adds a publication and drops the messages beyond the limits. One that is itself larger than the limit leaves
    /// the history empty.
    ///
    /// - Parameter publication: its number is that of the last message plus one; after any other number the history
    ///   begins anew.
    package mutating func append(_ publication: NumberedPublication) {
        if count > 0, publication.seq != newestSeq + 1 { removeAll() }
        newestSeq = publication.seq
        guard publication.byteCount <= min(limits.byteCount, Entry.largestByteCount) else {
            removeAll()
            return
        }
        bytes.append(contentsOf: publication.from)
        bytes.append(contentsOf: publication.payload)
        entries.append(
            Entry(
                end: bytes.count, nameByteCount: publication.from.count, form: publication.form,
                time: publication.time))
        count += 1
        messageByteCount += publication.byteCount
        shrink()
        expire(now: publication.time)
        if bytes.count >= Self.blockByteCount { seal() }
    }

    /// Applies new limits.
    package mutating func setLimits(_ new: Limits, now: Int64) {
        limits = new
        shrink()
        expire(now: now)
    }

    mutating func shrink() {
        while count > limits.messageCount || (count > 0 && byteCount > limits.byteCount) { dropFirst() }
    }

    /// Drops messages that are older than the limit.
    package mutating func expire(now: Int64) {
        while let oldest, oldest.time + limits.age <= now { dropFirst() }
        compact()
    }

    /// Drops the oldest message.
    package mutating func dropOldest() {
        guard count > 0 else { return }
        dropFirst()
        compact()
    }

    private mutating func dropFirst() {
        if let block = blocks.first {
            messageByteCount -= block.entries.range(dropped).count
            dropped += 1
            if dropped == block.count {
                blocks.removeFirst()
                dropped = 0
            }
        } else {
            messageByteCount -= entries.range(dropped).count
            dropped += 1
        }
        count -= 1
    }

    /// Drops all messages.
    package mutating func removeAll() {
        blocks = []
        bytes = []
        entries = []
        dropped = 0
        count = 0
        messageByteCount = 0
    }

    /// Removes dropped messages from the buffer once they are more than half of it.
    mutating func compact() {
        guard count > 0 else {
            removeAll()
            return
        }
        guard blocks.isEmpty, dropped > 32, dropped * 2 > entries.count else { return }
        let cut = entries[dropped - 1].end
        let kept = entries.count - dropped
        if entries.capacity > kept * 8 {
            bytes = Array(bytes[Int(cut)...])
            entries = Array(entries[dropped...])
        } else {
            bytes.removeFirst(Int(cut))
            entries.removeFirst(dropped)
        }
        for index in entries.indices { entries[index].end -= cut }
        dropped = 0
    }

    /// Turns the buffer into a block.
    private mutating func seal() {
        guard !entries.isEmpty else { return }
        if blocks.isEmpty, dropped > 0 {
            // Dropped messages don't become part of the block.
            let cut = entries[dropped - 1].end
            bytes = Array(bytes[Int(cut)...])
            entries = Array(entries[dropped...])
            for index in entries.indices { entries[index].end -= cut }
            dropped = 0
        }
        guard !entries.isEmpty else { return }
        blocks.append(HistoryBlock(bytes: bytes, entries: entries, meter: meter))
        bytes = []
        entries = []
    }

    /// Whether all messages after `seq` up to `newest`, the channel's last number, are kept.
    package func covers(after seq: UInt64, newest: UInt64) -> Bool {
        guard seq < newest else { return seq == newest }
        guard let firstSeq, newestSeq == newest else { return false }
        return seq + 1 >= firstSeq
    }

    /// The messages above a number, which can be taken at any later time; nil if none is kept.
    ///
    /// - Parameter quotedChannel: the name of the channel as JSON, for those who send the messages.
    package mutating func slice(after seq: UInt64, quotedChannel: [UInt8] = []) -> HistorySlice? {
        guard let firstSeq, seq < newestSeq else { return nil }
        if bytes.count >= Self.smallByteCount { seal() }
        let first = max(firstSeq, seq + 1)
        var skipped = Int(first - firstSeq) + dropped
        var parts = blocks
        if !entries.isEmpty { parts.append(HistoryBlock(bytes: bytes, entries: entries, meter: meter)) }
        while let part = parts.first, skipped >= part.count {
            skipped -= part.count
            parts.removeFirst()
        }
        return HistorySlice(
            quotedChannel: quotedChannel, blocks: parts, position: skipped, seq: first,
            messageCount: Int(newestSeq - first) + 1)
    }

    /// The place of a message: its index in a block, or in the buffer if the first is the number of blocks.
    private typealias Place = (block: Int, index: Int)

    /// The place of a message that is kept.
    private func place(of seq: UInt64, first: UInt64) -> Place {
        var place = Place(0, Int(seq - first) + dropped)
        while place.block < blocks.count, place.index >= blocks[place.block].count {
            place.index -= blocks[place.block].count
            place.block += 1
        }
        return place
    }

    private func withPublication<Result>(
        at place: Place, seq: UInt64, _ body: (NumberedPublication) -> Result
    ) -> Result {
        guard place.block < blocks.count else { return entries.withPublication(place.index, seq: seq, bytes, body) }
        return blocks[place.block].withPublication(place.index, seq: seq, body)
    }

    /// Passes the messages with numbers above `after` up to `through` to `body`, as far as they are kept, oldest first.
    package func forEach(after: UInt64, through: UInt64, _ body: (NumberedPublication) -> Void) {
        guard let firstSeq, after < newestSeq else { return }
        let first = max(firstSeq, after + 1)
        let last = min(newestSeq, through)
        guard first <= last else { return }
        var place = place(of: first, first: firstSeq)
        for seq in first...last {
            withPublication(at: place, seq: seq, body)
            place.index += 1
            if place.block < blocks.count, place.index == blocks[place.block].count { place = (place.block + 1, 0) }
        }
    }

    /// The numbers of the last `limit` messages kept below `before`, or of the newest if it is nil. The page has at
    /// most `byteCount` bytes, as `size` counts them, or else a single message.
    package func page(
        before: UInt64?, limit: Int, byteCount: Int = .max,
        size: (NumberedPublication) -> Int = { $0.byteCount }
    ) -> Range<UInt64> {
        guard let firstSeq else { return 0..<0 }
        let end = min(before ?? .max, newestSeq + 1)
        guard end > firstSeq, limit > 0 else { return 0..<0 }
        let start = max(firstSeq, end - min(end, UInt64(limit)))
        guard byteCount < .max else { return start..<end }
        // From the newest on, so that no more messages are looked at than there is room for, and one.
        var place = place(of: end - 1, first: firstSeq)
        var room = byteCount
        var seq = end
        while seq > start {
            room -= withPublication(at: place, seq: seq - 1, size)
            guard room >= 0 || seq == end else { break }
            seq -= 1
            place.index -= 1
            if place.index < 0, place.block > 0 { place = (place.block - 1, blocks[place.block - 1].count - 1) }
        }
        return seq..<end
    }

    /// Whether messages before this number are kept.
    package func hasMore(before seq: UInt64) -> Bool { firstSeq.map { $0 < seq } ?? false }
}
