/// Counts the blocks of a compressed message, so that it can't cost more than messages of its size do.
///
/// An empty block takes 10 bits; one with codes of its own (a "dynamic" block) takes 10 bytes, and the inflater spends
/// 1.2 µs on building its tables: a message of 1 MiB that inflates to nothing, or to one byte per block, took 127 ms.
///
/// A compressor begins a block with new codes because its buffer is full: zlib's buffer, at its smallest, is full after
/// 127 symbols, each of which makes a byte or more; other buffers after thousands. Small blocks come from flushes. Each
/// flush ends a block and adds an empty one, and may follow each byte; zlib gives such a block codes of its own only if
/// the block is large enough to win those bytes back.
struct BlockCount {
    private var all = 0
    private var dynamic = 0

    /// The number of blocks that any message may have, and the number of further blocks for each byte of it.
    static let allowance = 128
    static let blocksForByte = 2
    /// The number of blocks that may have codes of their own, and the bytes of the message that allow one more.
    static let dynamicAllowance = 8
    static let bytesForDynamicBlock = 100

    /// Counts a block that begins, and returns whether it is allowed.
    ///
    /// - Parameters:
    ///   - header: the three bits of the block's header.
    ///   - produced: the bytes of the message so far.
    @inline(__always)
    mutating func begin(_ header: UInt8, produced: Int) -> Bool {
        all += 1
        if header >> 1 == 2 { dynamic += 1 }
        return all <= Self.allowance + produced * Self.blocksForByte
            && dynamic <= Self.dynamicAllowance + produced / Self.bytesForDynamicBlock
    }
}
