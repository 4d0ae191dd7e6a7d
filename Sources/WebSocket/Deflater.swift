import CZlib
import Glibc

/// Deflates messages for permessage-deflate (RFC 7692, section 7.2.1), each on its own: `server_no_context_takeover`.
///
/// zlib's state, 268 KB for the largest window, is made when a window is first used, and serves all later messages.
package struct Deflater: ~Copyable {
    private let level: Int32
    /// The streams by window size, from 9 bits to 15.
    private var streams = InlineArray<7, UnsafeMutablePointer<z_stream>?>(repeating: nil)
    private var output = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// The output space that is kept from message to message.
    private static let keptByteCount = 64 * 1024

    /// - Parameter level: zlib's compression level, 1 (fastest) to 9 (smallest).
    package init(level: Int) { self.level = Int32(level) }

    deinit {
        for index in streams.indices {
            guard let stream = streams[index] else { continue }
            deflateEnd(stream)
            stream.deallocate()
        }
        free(output.baseAddress)
    }

    /// The window to deflate a message with, so that a client that has memory for the agreed window can inflate it.
    ///
    /// A message refers back no farther than to its own beginning. So a message that fits into the agreed window may be
    /// deflated with the largest window, and all clients share the result, whatever was agreed with them.
    ///
    /// - Parameter agreed: 8 to 15.
    /// - Returns: 9 to 15, even if 8 was agreed: with a window of 512 bytes, zlib refers back by at most 250 bytes.
    package static func windowBits(forMessageOf byteCount: Int, agreed: Int) -> Int {
        byteCount <= 1 << agreed ? 15 : max(9, agreed)
    }

    /// Deflates one message.
    ///
    /// - Parameter windowBits: 9 to 15, as `windowBits(forMessageOf:agreed:)` says.
    /// - Returns: the payload for a frame with RSV1, valid until the next call; nil if it would not be smaller.
    package mutating func deflate(_ payload: UnsafeRawBufferPointer, windowBits: Int) -> UnsafeRawBufferPointer? {
        guard let source = payload.baseAddress, payload.count > 1 else { return nil }
        // Room for the size of the message and the tail that is cut off: output that needs more gains nothing.
        resize(to: max(payload.count + 4, min(output.count, Deflater.keptByteCount)))
        let stream = begin(windowBits)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: source.assumingMemoryBound(to: Bytef.self))
        stream.pointee.avail_in = uInt(payload.count)
        stream.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = uInt(payload.count + 4)
        let result = CZlib.deflate(stream, Z_SYNC_FLUSH)
        // A complete flush leaves room in the output (zlib.h on `deflate`).
        guard result == Z_OK, stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 else { return nil }
        let count = payload.count - Int(stream.pointee.avail_out)
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<count])
    }

    private mutating func resize(to count: Int) {
        guard output.count != count else { return }
        let base = realloc(output.baseAddress, count)
        precondition(base != nil, "out of memory")
        output = UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    private mutating func begin(_ windowBits: Int) -> UnsafeMutablePointer<z_stream> {
        if let stream = streams[windowBits - 9] {
            deflateReset(stream)
            return stream
        }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // The size of the hash table follows that of the window: 2 bits fewer make both a quarter of the size.
        let result = deflateInit2_(
            stream, level, Z_DEFLATED, Int32(-windowBits), Int32(windowBits - 7), Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "deflateInit2: \(result)")
        streams[windowBits - 9] = stream
        return stream
    }
}
