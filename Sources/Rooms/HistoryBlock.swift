/// Messages of a history that no longer change, side by side: shared by the history and by whoever is sent them, so that a
/// message that is on its way costs nothing beside a reference.
package final class HistoryBlock: Sendable {
    /// A message: where its bytes end, and when it came.
    struct Entry {
        var end: Int
        /// Milliseconds since 1970.
        var time: Int64
    }

    let bytes: [UInt8]
    let entries: [Entry]
    private let meter: ByteMeter?

    init(bytes: [UInt8], entries: [Entry], meter: ByteMeter?) {
        self.bytes = bytes
        self.entries = entries
        self.meter = meter
        meter?.add(heldByteCount)
    }

    deinit { meter?.add(-heldByteCount) }

    private var heldByteCount: Int {
        bytes.capacity + entries.capacity * MemoryLayout<Entry>.stride + HistoryBlock.overhead
    }

    /// The headers of its objects, and malloc's.
    private static let overhead = 144

    var count: Int { entries.count }

    /// The bytes that a message takes.
    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : entries[index - 1].end)..<entries[index].end }

    func withMessage<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range(index)])) }
    }
}

/// A run of a history's messages, which stays as it is whatever becomes of the history.
package struct HistorySlice: Sendable {
    private var blocks: ArraySlice<HistoryBlock>
    /// The place of the first message in the first block.
    private var position: Int
    package private(set) var messageCount: Int
    /// The bytes of the messages.
    package private(set) var byteCount: Int

    init(blocks: [HistoryBlock], position: Int, messageCount: Int, byteCount: Int) {
        self.blocks = blocks[...]
        self.position = position
        self.messageCount = messageCount
        self.byteCount = byteCount
    }

    /// Leaves out the newest messages.
    package mutating func removeLast(_ count: Int) {
        var counted = HistorySlice(
            blocks: Array(blocks), position: position, messageCount: max(0, messageCount - count), byteCount: 0)
        messageCount = counted.messageCount
        byteCount = 0
        while counted.messageCount > 0 { counted.takeFirst { byteCount += $0.count } }
    }

    /// Hands out the oldest message and forgets it; nothing where there is none.
    package mutating func takeFirst(_ body: (UnsafeRawBufferPointer) -> Void) {
        guard messageCount > 0, let block = blocks.first, position < block.count else { return }
        byteCount -= block.range(position).count
        block.withMessage(position, body)
        messageCount -= 1
        position += 1
        guard position == block.count || messageCount == 0 else { return }
        // A block that is sent isn't kept for those behind it.
        blocks = messageCount == 0 ? [] : ArraySlice(Array(blocks.dropFirst()))
        position = 0
    }
}
