/// A run of a history's publications. It does not change when the history does.
package struct HistorySlice: Sendable {
    /// The name of the channel as JSON, quotes included.
    package let quotedChannel: [UInt8]
    private(set) var blocks: ArraySlice<HistoryBlock>
    /// The index of the first publication in the first block.
    private(set) var position: Int
    /// The number of the first publication.
    private(set) var seq: UInt64
    package private(set) var messageCount: Int
    /// The size of the names and payloads in bytes.
    package private(set) var byteCount: Int

    init(quotedChannel: [UInt8], blocks: [HistoryBlock], position: Int, seq: UInt64, messageCount: Int, byteCount: Int)
    {
        self.quotedChannel = quotedChannel
        self.blocks = blocks[...]
        self.position = position
        self.seq = seq
        self.messageCount = messageCount
        self.byteCount = byteCount
    }

    /// Removes the newest `count` messages.
    package mutating func removeLast(_ count: Int) {
        messageCount = max(0, messageCount - count)
        var counted = self
        byteCount = 0
        while counted.messageCount > 0 { counted.takeFirst { byteCount += $0.byteCount } }
    }

    /// Passes the oldest publication to `body` and removes it; does nothing if there is none.
    package mutating func takeFirst(_ body: (NumberedPublication) -> Void) {
        guard messageCount > 0, let block = blocks.first, position < block.count else { return }
        byteCount -= block.entries.range(position).count
        block.withPublication(position, seq: seq, body)
        messageCount -= 1
        position += 1
        seq += 1
        guard position == block.count || messageCount == 0 else { return }
        // A block that has been sent is released before those after it are sent.
        blocks = messageCount == 0 ? [] : ArraySlice(Array(blocks.dropFirst()))
        position = 0
    }
}
