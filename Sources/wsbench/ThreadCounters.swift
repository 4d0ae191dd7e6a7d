import Synchronization

/// The progress of one thread: it writes the counters once in a turn of its loop, and others read them.
final class ThreadCounters: Sendable {
    /// The phase that the thread is in, `Phase.rawValue`.
    let phase = Atomic<UInt8>(Phase.opening.rawValue)
    /// Connections that the phase still has to open, drain or close.
    let unsettled = Atomic<Int>(.max)
    let open = Atomic<Int>(0)
    /// Connections that could not be opened.
    let failed = Atomic<Int>(0)
    let handshakes = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    let delivered = Atomic<Int>(0)
    /// Connections that have to receive everything.
    let live = Atomic<Int>(0)
    /// The position of all its connections together: for each, the number of messages received or skipped.
    let settled = Atomic<Int>(0)
    /// The same by publisher. Written by its thread only.
    let settledOfPublisher: AtomicCounts

    init(publisherCount: Int) { settledOfPublisher = AtomicCounts(publisherCount) }
}
