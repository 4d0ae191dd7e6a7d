/// The last messages of one channel, as the bytes of their JSON objects. Their numbers follow each other without a gap.
///
/// The bytes lie in one buffer, the oldest in front; what is dropped there is cut off once it is half of it, so a message is
/// moved about once in its life. Invariant: `ends` and `times` are as long as each other, and `ends` counts from the
/// beginning of all time, of which `base` bytes have been cut off.
package struct History: Sendable {
    /// What is kept at most.
    package struct Limits: Equatable, Sendable {
        package var messageCount: Int
        /// Milliseconds.
        package var age: Int64
        package var byteCount: Int

        package init(messageCount: Int, age: Int64, byteCount: Int) {
            self.messageCount = messageCount
            self.age = age
            self.byteCount = byteCount
        }
    }

    private struct Entry {
        /// The end of its bytes.
        var end: Int
        /// Milliseconds since 1970.
        var time: Int64
    }

    private var limits: Limits
    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    /// Entries in front that are dropped.
    private var dropped = 0
    /// The bytes in front of the first entry that is kept.
    private var start = 0
    /// What the end of an entry in `bytes` is counted from.
    private var base = 0
    private var newestSeq: UInt64 = 0

    package init(limits: Limits) { self.limits = limits }

    package var count: Int { entries.count - dropped }

    /// What it costs: the messages and 16 bytes of bookkeeping for each.
    package var byteCount: Int { (entries.last?.end ?? start) - start + count * MemoryLayout<Entry>.stride }

    /// The oldest number kept.
    package var firstSeq: UInt64? { count == 0 ? nil : newestSeq + 1 - UInt64(count) }

    /// When the newest message came; 0 where there is none.
    package var newestTime: Int64 { entries.last?.time ?? 0 }

    /// When the oldest message becomes too old.
    package var expiresAt: Int64? { count == 0 ? nil : entries[dropped].time + limits.age }

    /// Adds a message and drops what is too much. One that is larger than the limit alone leaves nothing.
    ///
    /// - Parameter seq: one more than the last one's.
    package mutating func append(seq: UInt64, at now: Int64, _ object: UnsafeRawBufferPointer) {
        if count > 0, seq != newestSeq + 1 { removeAll() }
        newestSeq = seq
        bytes.append(contentsOf: object)
        entries.append(Entry(end: base + bytes.count, time: now))
        shrink()
        expire(now: now)
    }

    /// Other limits hold from now on.
    package mutating func setLimits(_ new: Limits, now: Int64) {
        limits = new
        shrink()
        expire(now: now)
    }

    private mutating func shrink() {
        while count > limits.messageCount || (count > 0 && byteCount > limits.byteCount) { dropFirst() }
    }

    /// Drops what is older than the limit.
    package mutating func expire(now: Int64) {
        while count > 0, entries[dropped].time + limits.age <= now { dropFirst() }
        compact()
    }

    /// Drops the oldest message.
    package mutating func dropOldest() {
        guard count > 0 else { return }
        dropFirst()
        compact()
    }

    private mutating func dropFirst() {
        start = entries[dropped].end
        dropped += 1
    }

    private mutating func removeAll() {
        bytes = []
        entries = []
        dropped = 0
        start = 0
        base = 0
    }

    private mutating func compact() {
        guard count > 0 else {
            removeAll()
            return
        }
        // A long history is cut in steps, a short one need not be.
        guard dropped > 32, dropped * 2 > entries.count else { return }
        let kept = entries.count - dropped
        if entries.capacity > kept * 8 {
            bytes = Array(bytes[(start - base)...])
            entries = Array(entries[dropped...])
        } else {
            bytes.removeFirst(start - base)
            entries.removeFirst(dropped)
        }
        base = start
        dropped = 0
    }

    /// Whether everything after `seq` up to `newest`, the channel's last number, is here.
    package func covers(after seq: UInt64, newest: UInt64) -> Bool {
        guard seq < newest else { return seq == newest }
        guard let firstSeq, newestSeq == newest else { return false }
        return seq + 1 >= firstSeq
    }

    /// Visits the messages of the numbers above `after` up to `through`, as far as they are kept, oldest first.
    package func forEach(after: UInt64, through: UInt64, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard let firstSeq else { return }
        let first = max(firstSeq, after + 1)
        let last = min(newestSeq, through)
        guard first <= last else { return }
        bytes.withUnsafeBytes { bytes in
            for seq in first...last {
                let index = dropped + Int(seq - firstSeq)
                let from = index == 0 ? 0 : entries[index - 1].end - base
                body(UnsafeRawBufferPointer(rebasing: bytes[from..<(entries[index].end - base)]))
            }
        }
    }

    /// The numbers of the last `limit` messages kept below `before`, or of all.
    package func page(before: UInt64?, limit: Int) -> Range<UInt64> {
        guard let firstSeq else { return 0..<0 }
        let end = min(before ?? .max, newestSeq + 1)
        guard end > firstSeq else { return 0..<0 }
        return max(firstSeq, end - min(end, UInt64(limit)))..<end
    }

    /// Whether messages before this number are kept.
    package func hasMore(before seq: UInt64) -> Bool { firstSeq.map { $0 < seq } ?? false }
}
