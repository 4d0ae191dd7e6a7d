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

    /// - Parameter messageCount: as many as the blocks have from the position on, at most.
    init(quotedChannel: [UInt8], blocks: [HistoryBlock], position: Int, seq: UInt64, messageCount: Int) {
        self.quotedChannel = quotedChannel
        self.blocks = blocks[...]
        self.position = position
        self.seq = seq
        self.messageCount = messageCount
        byteCount = 0
        measure()
    }

    /// Removes the newest `count` messages.
    package mutating func removeLast(_ count: Int) {
        messageCount = max(0, messageCount - count)
        measure()
    }

    /// Sets the size, by the ends of the blocks' publications, and releases the blocks behind the last publication.
    private mutating func measure() {
        byteCount = 0
        var left = messageCount
        var first = position
        var blockCount = 0
        for block in blocks where left > 0 {
            let end = min(block.count, first + left)
            byteCount += Int(block.entries[end - 1].end) - (first > 0 ? Int(block.entries[first - 1].end) : 0)
            left -= end - first
            first = 0
            blockCount += 1
        }
        if blockCount < blocks.count { blocks = ArraySlice(Array(blocks.prefix(blockCount))) }
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
