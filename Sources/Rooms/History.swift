/// The last messages of one channel, as the bytes of their JSON objects. Their numbers follow each other without a gap.
///
/// The newest messages are in one buffer that grows; once it is large, it becomes a block, which never changes again.
/// So a recovery of any size takes a few references. Dropped messages are freed by whole blocks, or, in the buffer,
/// once they are half of it: a message is moved about once in its life.
package struct History: Sendable {
    /// The limits of a history.
    package struct Limits: Equatable, Sendable {
        package var messageCount: Int
        /// The maximum age in milliseconds.
        package var age: Int64
        package var byteCount: Int

        package init(messageCount: Int, age: Int64, byteCount: Int) {
            self.messageCount = messageCount
            self.age = age
            self.byteCount = byteCount
        }
    }

    private typealias Entry = HistoryBlock.Entry

    /// The size in bytes at which the buffer becomes a block.
    private static let blockByteCount = 32 * 1024
    /// A buffer with fewer bytes than this is copied for a recovery: blocks of a few messages would cost more than they
    /// hold.
    private static let smallByteCount = 4 * 1024

    private var limits: Limits
    private let meter: ByteMeter?
    /// The older messages. Invariant: none is empty.
    private var blocks: [HistoryBlock] = []
    /// The newest messages, and where each ends.
    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    /// The number of dropped messages at the front of the first block, or of the buffer if there is no block.
    private var dropped = 0
    private var newestSeq: UInt64 = 0
    package private(set) var count = 0
    /// The size of the messages in bytes.
    private var messageByteCount = 0

    /// - Parameter meter: counts the blocks for as long as anything refers to them.
    package init(limits: Limits, meter: ByteMeter? = nil) {
        self.limits = limits
        self.meter = meter
    }

    /// The cost of the history: the messages and 16 bytes of bookkeeping for each.
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

    /// Adds a message and drops the messages beyond the limits. A message that is itself larger than the limit leaves
    /// the history empty.
    ///
    /// - Parameter seq: the number of the last message plus one; after any other number the history begins anew.
    package mutating func append(seq: UInt64, at now: Int64, _ object: UnsafeRawBufferPointer) {
        if count > 0, seq != newestSeq + 1 { removeAll() }
        newestSeq = seq
        bytes.append(contentsOf: object)
        entries.append(Entry(end: bytes.count, time: now))
        count += 1
        messageByteCount += object.count
        shrink()
        expire(now: now)
        if bytes.count >= Self.blockByteCount { seal() }
    }

    /// Applies new limits.
    package mutating func setLimits(_ new: Limits, now: Int64) {
        limits = new
        shrink()
        expire(now: now)
    }

    private mutating func shrink() {
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
            messageByteCount -= block.range(dropped).count
            dropped += 1
            if dropped == block.count {
                blocks.removeFirst()
                dropped = 0
            }
        } else {
            messageByteCount -= entries[dropped].end - (dropped == 0 ? 0 : entries[dropped - 1].end)
            dropped += 1
        }
        count -= 1
    }

    private mutating func removeAll() {
        blocks = []
        bytes = []
        entries = []
        dropped = 0
        count = 0
        messageByteCount = 0
    }

    /// Removes dropped messages from the buffer once they are more than half of it.
    private mutating func compact() {
        guard count > 0 else {
            removeAll()
            return
        }
        guard blocks.isEmpty, dropped > 32, dropped * 2 > entries.count else { return }
        let cut = entries[dropped - 1].end
        let kept = entries.count - dropped
        if entries.capacity > kept * 8 {
            bytes = Array(bytes[cut...])
            entries = Array(entries[dropped...])
        } else {
            bytes.removeFirst(cut)
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
            bytes = Array(bytes[cut...])
            entries = entries[dropped...].map { Entry(end: $0.end - cut, time: $0.time) }
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
    package mutating func slice(after seq: UInt64) -> HistorySlice? {
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
        let messageCount = Int(newestSeq - first) + 1
        var byteCount = parts.reduce(0) { $0 + $1.bytes.count }
        if let part = parts.first, skipped > 0 { byteCount -= part.entries[skipped - 1].end }
        return HistorySlice(blocks: parts, position: skipped, messageCount: messageCount, byteCount: byteCount)
    }

    /// Passes the messages with numbers above `after` up to `through` to `body`, as far as they are kept, oldest first.
    package func forEach(after: UInt64, through: UInt64, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard let firstSeq, after < newestSeq else { return }
        let first = max(firstSeq, after + 1)
        let last = min(newestSeq, through)
        guard first <= last else { return }
        var index = Int(first - firstSeq) + dropped
        var left = Int(last - first) + 1
        for block in blocks where left > 0 {
            while index < block.count, left > 0 {
                block.withMessage(index, body)
                index += 1
                left -= 1
            }
            index -= block.count
        }
        bytes.withUnsafeBytes { bytes in
            while left > 0, index < entries.count {
                let from = index == 0 ? 0 : entries[index - 1].end
                body(UnsafeRawBufferPointer(rebasing: bytes[from..<entries[index].end]))
                index += 1
                left -= 1
            }
        }
    }

    /// The numbers of the last `limit` messages kept below `before`, or of the newest if it is nil. The page has at
    /// most `byteCount` bytes, or else a single message.
    package func page(before: UInt64?, limit: Int, byteCount: Int = .max) -> Range<UInt64> {
        guard let firstSeq else { return 0..<0 }
        let end = min(before ?? .max, newestSeq + 1)
        guard end > firstSeq, limit > 0 else { return 0..<0 }
        let start = max(firstSeq, end - min(end, UInt64(limit)))
        guard byteCount < messageByteCount else { return start..<end }
        var sizes: [Int] = []
        forEach(after: start - 1, through: end - 1) { sizes.append($0.count) }
        var room = byteCount
        let fitting = sizes.reversed().prefix { size in
            room -= size
            return room >= 0
        }
        return (end - UInt64(max(1, fitting.count)))..<end
    }

    /// Whether messages before this number are kept.
    package func hasMore(before seq: UInt64) -> Bool { firstSeq.map { $0 < seq } ?? false }
}
