/// Consecutive messages of a history that no longer change. The history and the connections that are sent the messages
/// share the block, so that a message that waits to be sent costs only a reference.
package final class HistoryBlock: Sendable {
    /// A message: the end of its bytes, and its time.
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

    /// The headers of the block's objects and malloc's.
    private static let overhead = 144

    var count: Int { entries.count }

    /// The range of a message's bytes.
    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : entries[index - 1].end)..<entries[index].end }

    func withMessage<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range(index)])) }
    }
}

/// A run of a history's messages. It does not change when the history does.
package struct HistorySlice: Sendable {
    private var blocks: ArraySlice<HistoryBlock>
    /// The index of the first message in the first block.
    private var position: Int
    package private(set) var messageCount: Int
    /// The size of the messages in bytes.
    package private(set) var byteCount: Int

    init(blocks: [HistoryBlock], position: Int, messageCount: Int, byteCount: Int) {
        self.blocks = blocks[...]
        self.position = position
        self.messageCount = messageCount
        self.byteCount = byteCount
    }

    /// Removes the newest `count` messages.
    package mutating func removeLast(_ count: Int) {
        var counted = HistorySlice(
            blocks: Array(blocks), position: position, messageCount: max(0, messageCount - count), byteCount: 0)
        messageCount = counted.messageCount
        byteCount = 0
        while counted.messageCount > 0 { counted.takeFirst { byteCount += $0.count } }
    }

    /// Passes the oldest message to `body` and removes it; does nothing if there is none.
    package mutating func takeFirst(_ body: (UnsafeRawBufferPointer) -> Void) {
        guard messageCount > 0, let block = blocks.first, position < block.count else { return }
        byteCount -= block.range(position).count
        block.withMessage(position, body)
        messageCount -= 1
        position += 1
        guard position == block.count || messageCount == 0 else { return }
        // A block that has been sent is released before those after it are sent.
        blocks = messageCount == 0 ? [] : ArraySlice(Array(blocks.dropFirst()))
        position = 0
    }
}
