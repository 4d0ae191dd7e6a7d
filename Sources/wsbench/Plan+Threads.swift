/// Which thread has which connection: they take turns, and the probes of a storm have the first thread for themselves, or
/// their latency would be that of a generator which is busy connecting.
extension Plan {
    /// Threads in all.
    var threadCount: Int { loadThreadCount + (hasProbeThread ? 1 : 0) }

    private var hasProbeThread: Bool { isStorm && publisherCount > 0 }

    /// How many connections a thread has.
    func connectionCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(connectionCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : Self.share(connectionCount - publisherCount, thread - 1, loadThreadCount)
    }

    /// How many of them are publishers; they are its first.
    func publisherCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(publisherCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : 0
    }

    /// The number that a thread's connection has in the run.
    @inline(__always)
    func number(of local: Int, thread: Int) -> Int {
        guard hasProbeThread else { return local &* loadThreadCount &+ thread }
        return thread == 0 ? local : publisherCount + local * loadThreadCount + thread - 1
    }

    /// Where a publisher is.
    func place(ofPublisher publisher: Int) -> (thread: Int, local: Int) {
        hasProbeThread ? (0, publisher) : (publisher % loadThreadCount, publisher / loadThreadCount)
    }

    /// How many of `count` things one of `shares` gets that take turns.
    private static func share(_ count: Int, _ index: Int, _ shares: Int) -> Int {
        max(0, (count - index + shares - 1) / shares)
    }
}
