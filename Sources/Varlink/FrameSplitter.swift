/// Splits a stream of bytes into Varlink messages, each of which ends with a NUL. Does no I/O: bytes in, messages out.
///
/// Each byte is scanned once, however many pieces a message arrives in.
package struct FrameSplitter: Sendable {
    /// A message is longer than the limit; the connection can't be used any more.
    package struct FrameTooLarge: Error, Hashable {
        /// The maximum length of a message in bytes.
        package let limit: Int
    }

    /// The default maximum length of a message without its NUL, that of sd-varlink.
    package static let defaultLimit = 16 << 20

    /// The maximum memory that an idle splitter keeps, so that one large message doesn't hold its memory as long as the
    /// connection lives.
    private static let idleCapacity = 64 << 10

    /// The maximum length of a message without its NUL.
    package let limit: Int

    /// The bytes that were received and not returned yet. They begin at `head`; those before `scanned` contain no NUL.
    private var bytes: [UInt8] = []
    private var head = 0
    private var scanned = 0

    /// An empty splitter for messages of at most `limit` bytes.
    package init(limit: Int = FrameSplitter.defaultLimit) {
        self.limit = limit
    }

    /// The number of bytes that wait for the rest of their message.
    package var pendingByteCount: Int { bytes.count - head }

    /// Takes bytes from the peer. Call ``next()`` until it returns nil before appending again: then the splitter never
    /// holds more than one message and one read.
    package mutating func append(_ more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
    }

    /// The next complete message without its NUL, or nil until more bytes arrive.
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
