/// Splits a stream of bytes into Varlink messages, which end with a NUL each. Does no I/O: bytes in, messages out.
///
/// A message is looked at once, however many pieces it comes in.
package struct FrameSplitter: Sendable {
    /// A message is longer than the splitter takes; the connection can't be used any more.
    package struct FrameTooLarge: Error, Hashable {
        /// The most bytes a message may have.
        package let limit: Int
    }

    /// The most bytes a message may have without its NUL, unless told otherwise: what sd-varlink takes.
    package static let defaultLimit = 16 << 20

    /// What an idle splitter may keep, so that one big message doesn't hold its memory for the connection's life.
    private static let idleCapacity = 64 << 10

    /// The most bytes a message may have without its NUL.
    package let limit: Int

    /// What came and wasn't taken yet; `head` is the first byte that counts, everything before `scanned` holds no NUL.
    private var bytes: [UInt8] = []
    private var head = 0
    private var scanned = 0

    /// An empty splitter for messages of at most `limit` bytes.
    package init(limit: Int = FrameSplitter.defaultLimit) {
        self.limit = limit
    }

    /// How many bytes wait for the rest of their message.
    package var pendingByteCount: Int { bytes.count - head }

    /// Takes what the peer sent. Call ``next()`` until it has no more before appending again: then the splitter never
    /// holds more than one message and one read.
    package mutating func append(_ more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
    }

    /// The next whole message without its NUL, or nil until more bytes come.
    package mutating func next() throws(FrameTooLarge) -> [UInt8]? {
        guard let end = bytes[scanned...].firstIndex(of: 0) else {
            scanned = bytes.count
            if pendingByteCount > limit { throw FrameTooLarge(limit: limit) }
            compact()
            return nil
        }
        if end - head > limit { throw FrameTooLarge(limit: limit) }
        let frame = Array(bytes[head..<end])
        head = end + 1
        scanned = head
        return frame
    }

    /// Moves the start of an unfinished message to the front, once per read rather than once per message.
    private mutating func compact() {
        guard head > 0 else { return }
        if head == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= Self.idleCapacity)
        } else {
            bytes.removeSubrange(..<head)
        }
        scanned -= head
        head = 0
    }
}
