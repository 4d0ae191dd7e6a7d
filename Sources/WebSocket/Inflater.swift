import CZlib
import Glibc

/// Inflates the messages of permessage-deflate (RFC 7692, section 7.2.2).
///
/// One inflater serves any number of connections: the response to every offer is `client_no_context_takeover`, so that
/// no message needs the window of another. The 40 KB of zlib's state are allocated with the first message.
package struct Inflater: ~Copyable {
    package enum Outcome {
        /// The message, valid until the next call.
        case message(UnsafeMutableRawBufferPointer)
        /// Not a DEFLATE stream, or one that stops in the middle of a block.
        case corrupt
        /// The message would be larger than the limit. The inflater stopped there.
        case tooLarge
        /// The message has more blocks than any compressor makes, see `BlockCount`. The inflater stopped there.
        case tooManyBlocks
    }

    /// The stream is on the heap because zlib's state refers back to it.
    private var stream: UnsafeMutablePointer<z_stream>?
    private var blocks = BlockCount()
    private var output = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// The output space that is kept from message to message; space beyond it, for a larger message, is freed.
    private static let keptByteCount = 64 * 1024
    /// The bytes that the sender has removed from the end of each message (section 7.2.1).
    private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    package init() {}

    deinit {
        if let stream {
            inflateEnd(stream)
            stream.deallocate()
        }
        free(output.baseAddress)
    }

    /// Inflates one message.
    ///
    /// - Parameters:
    ///   - payload: the payload of all fragments of the message.
    ///   - limit: the maximum size of the message in bytes.
    package mutating func inflate(_ payload: UnsafeRawBufferPointer, limit: Int) -> Outcome {
        // An empty payload is no DEFLATE stream, but its meaning is clear.
        guard !payload.isEmpty else { return .message(UnsafeMutableRawBufferPointer(rebasing: output[..<0])) }
        if output.count > Inflater.keptByteCount { resize(to: Inflater.keptByteCount) }
        let stream = begin()
        var produced = 0
        blocks = BlockCount()
        switch take(payload, into: &produced, limit: limit, stream) {
        case .corrupt: return .corrupt
        case .tooLarge: return .tooLarge
        case .tooManyBlocks: return .tooManyBlocks
        case .ended: return message(produced)
        case .more: break
        }
        let count = produced
        switch Inflater.tail.withUnsafeBytes({ take($0, into: &produced, limit: limit, stream, isTail: true) }) {
        case .corrupt: return .corrupt
        case .tooLarge: return .tooLarge
        case .tooManyBlocks: return .tooManyBlocks
        // The stream is cut off if it stops anywhere but between two blocks, or if it took the tail for a missing part.
        case .ended where produced == count: return message(count)
        case .more where produced == count && stream.pointee.data_type & Self.isBetweenBlocks != 0:
            return message(count)
        case .ended, .more: return .corrupt
        }
    }

    private func message(_ count: Int) -> Outcome {
        .message(UnsafeMutableRawBufferPointer(rebasing: output[..<count]))
    }

    private enum Step {
        /// All input is consumed, and the stream continues.
        case more
        /// All input is consumed, and the stream has ended with it (a block with BFINAL set, section 7.2.3.4).
        case ended
        case corrupt
        case tooLarge
        case tooManyBlocks
    }

    private mutating func take(
        _ input: UnsafeRawBufferPointer, into produced: inout Int, limit: Int,
        _ stream: UnsafeMutablePointer<z_stream>, isTail: Bool = false
    ) -> Step {
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress!.assumingMemoryBound(to: Bytef.self))
        stream.pointee.avail_in = uInt(input.count)
        while true {
            if !isTail, let header = nextHeader(stream) {
                guard blocks.begin(header, produced: produced) else { return .tooManyBlocks }
            }
            // One byte more than the limit tells a message that fits from one that does not.
            if produced == output.count { resize(to: min(max(produced * 2, Inflater.keptByteCount), limit + 1)) }
            let room = output.count - produced
            stream.pointee.next_out = (output.baseAddress! + produced).assumingMemoryBound(to: Bytef.self)
            stream.pointee.avail_out = uInt(room)
            // With Z_BLOCK, zlib also stops after each block.
            let result = CZlib.inflate(stream, Z_BLOCK)
            produced += room - Int(stream.pointee.avail_out)
            guard produced <= limit else { return .tooLarge }
            switch result {
            case Z_OK where stream.pointee.avail_out == 0 || stream.pointee.avail_in > 0 || isBehindLast(stream):
                continue
            case Z_OK, Z_BUF_ERROR:
                return .more
            case Z_STREAM_END:
                guard stream.pointee.avail_in > 0 else { return .ended }
                // The input after a last block is another stream: an empty stored block, which the tail completes.
                reset(stream)
            default:
                return .corrupt
            }
        }
    }

    /// The bits of `data_type` that zlib sets between two blocks (zlib.h, on inflate), and in and after the last block.
    private static let isBetweenBlocks: CInt = 128
    private static let isInLastBlock: CInt = 64

    private func isBehindLast(_ stream: UnsafeMutablePointer<z_stream>) -> Bool {
        let both = Self.isBetweenBlocks | Self.isInLastBlock
        return stream.pointee.data_type & both == both
    }

    /// The three bits that a block begins with (RFC 1951, section 3.2.3); nil if none begins here or no input is left.
    ///
    /// The lowest bits of `data_type` are the number of unused bits in the byte that zlib read last. That byte is part
    /// of this input, since no bits are left over when a payload begins.
    private func nextHeader(_ stream: UnsafeMutablePointer<z_stream>) -> UInt8? {
        guard stream.pointee.data_type & Self.isBetweenBlocks != 0, !isBehindLast(stream), stream.pointee.avail_in > 0,
            let next = stream.pointee.next_in
        else { return nil }
        let unused = Int(stream.pointee.data_type & 7)
        let bits = (unused > 0 ? UInt16(next[-1]) >> (8 - unused) : 0) | UInt16(next[0]) << unused
        return UInt8(bits & 7)
    }

    /// Begins a stream. `inflate` itself does not report the beginning of the first block.
    private func reset(_ stream: UnsafeMutablePointer<z_stream>) {
        inflateReset(stream)
        stream.pointee.data_type = Self.isBetweenBlocks
    }

    private mutating func resize(to count: Int) {
        let base = realloc(output.baseAddress, count)
        precondition(base != nil, "out of memory")
        output = UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    private mutating func begin() -> UnsafeMutablePointer<z_stream> {
        if let stream {
            reset(stream)
            return stream
        }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15: the largest window inflates messages that were compressed with any smaller one. Negative: no zlib header.
        let result = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "inflateInit2: \(result)")
        self.stream = stream
        reset(stream)
        return stream
    }
}

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
