import Glibc
import WebSocket

/// One connection of a thread.
struct Connection: ~Copyable {
    /// The state of a connection.
    enum State: UInt8 {
        case unopened
        /// TCP is connecting.
        case connecting
        /// The request has been sent.
        case handshaking
        case open
        /// Our close frame has been sent.
        case closing
        case ended

        /// Whether a handshake is in flight.
        var isOpening: Bool { self == .connecting || self == .handshaking }
    }

    var state = State.unopened
    /// Whether permessage-deflate was negotiated.
    var isCompressed = false
    /// Whether the connection stops reading after the handshake.
    var isStalled = false
    var descriptor: CInt = -1
    /// The events that epoll reports.
    var events: UInt32 = 0
    /// The number of handshakes it has completed.
    var handshakeCount = 0
    /// The time at which it began to connect, or to close.
    var since: UInt64 = 0
    var reader = ServerFrameReader()
    /// The part of the handshake's response that has arrived.
    var head = KeptBytes()
    /// The bytes that the socket has not taken yet.
    var unsent = KeptBytes()
}

/// One publisher of a thread; its connection is the one of the same index.
struct Publisher {
    /// The number of messages sent.
    var sentCount = 0
    /// The number of messages that came back, or were skipped.
    var returnedCount = 0
    /// The number of messages due by its schedule; unused in the closed loop.
    var dueCount = 0
    /// The time at which it last sent or got back a message, in nanoseconds of CLOCK_MONOTONIC.
    var progressed: UInt64 = 0
}

/// Bytes that outlive the read that received them.
///
/// Invariant: `count <= capacity`, and `base` owns `capacity` bytes (nil while that is 0). The result of `bytes` is
/// valid until the next change.
struct KeptBytes: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private(set) var count = 0
    private var capacity = 0

    deinit { free(base) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard let source = more.baseAddress, more.count > 0 else { return }
        if count + more.count > capacity {
            capacity = max(count + more.count, capacity * 2, 64)
            base = realloc(base, capacity)
            precondition(base != nil, "out of memory")
        }
        (base! + count).copyMemory(from: source, byteCount: more.count)
        count += more.count
    }

    /// Removes the first bytes.
    mutating func removeFirst(_ dropped: Int) {
        precondition(dropped <= count)
        count -= dropped
        if count > 0 { memmove(base!, base! + dropped, count) }
    }

    /// Removes the bytes, but keeps the memory.
    mutating func removeAll() { count = 0 }

    /// Removes the bytes and frees the memory.
    mutating func reset() {
        free(base)
        base = nil
        count = 0
        capacity = 0
    }
}

/// The stamps of compressed messages. A hub compresses a message once for all its recipients, so the same bytes arrive
/// again and again: each message is inflated once and then recognised.
struct InflatedFronts: ~Copyable {
    private struct Known {
        var payload: [UInt8]
        var stamp: Stamp?
        var byteCount: Int
    }

    private var inflater = Inflater()
    private var known = [Known?](repeating: nil, count: 64)
    private let run: UInt32
    private let limit: Int

    /// - Parameters:
    ///   - run: the run's number.
    ///   - limit: the maximum size of a message.
    init(run: UInt32, limit: Int) {
        self.run = run
        self.limit = limit
    }

    /// The stamp and the size of a message; nil if it can't be inflated.
    mutating func front(of payload: UnsafeRawBufferPointer) -> (stamp: Stamp?, byteCount: Int)? {
        // The stamp is at the front, and so is what differs from message to message.
        var hash = UInt(truncatingIfNeeded: payload.count)
        for byte in payload.prefix(64) { hash = (hash ^ UInt(byte)) &* 0x100_0000_01B3 }
        let slot = Int(hash % UInt(known.count))
        if let found = known[slot], found.payload.count == payload.count, !payload.isEmpty,
            memcmp(found.payload, payload.baseAddress!, payload.count) == 0
        {
            return (found.stamp, found.byteCount)
        }
        guard case .message(let bytes) = inflater.inflate(payload, limit: limit) else { return nil }
        let stamp = Stamp(UnsafeRawBufferPointer(bytes), run: run)
        known[slot] = Known(payload: Array(payload), stamp: stamp, byteCount: bytes.count)
        return (stamp, bytes.count)
    }
}
