/// Counts the blocks of a compressed message, so that it can't cost more than messages of its size do.
///
/// A block that says nothing takes 10 bits; with codes of its own (a "dynamic" one) 10 bytes, for which the inflater builds
/// its tables, 1.2 µs: a message of 1 MiB that inflates to nothing, or to a byte for each block, took 127 ms.
///
/// A compressor begins a block with new codes because its buffer is full: zlib's, where it has the least memory, after 127
/// symbols, each of which makes a byte or more; others after thousands. Small blocks come from flushes, each of which ends
/// one and adds an empty one, and may follow each byte; zlib gives such a block codes of its own only where it has enough to
/// say to win those bytes back.
struct BlockCount {
    private var all = 0
    private var dynamic = 0

    /// How many blocks any message may have; beyond those, so many for each byte of it.
    static let allowance = 128
    static let blocksForByte = 2
    /// How many of those may have codes of their own; beyond those, one for so many bytes of the message.
    static let dynamicAllowance = 8
    static let bytesForDynamicBlock = 100

    /// Counts a block that begins; whether it may.
    ///
    /// - Parameters:
    ///   - header: its three bits.
    ///   - produced: the bytes of the message so far.
    @inline(__always)
    mutating func begin(_ header: UInt8, produced: Int) -> Bool {
        all += 1
        if header >> 1 == 2 { dynamic += 1 }
        return all <= Self.allowance + produced * Self.blocksForByte
            && dynamic <= Self.dynamicAllowance + produced / Self.bytesForDynamicBlock
    }
}
