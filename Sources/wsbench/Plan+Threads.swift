/// The distribution of connections over threads: connections are assigned in turn, and the probes of a storm have the
/// first thread for themselves, because otherwise their latency would be that of a generator that is busy connecting.
extension Plan {
    /// The number of threads.
    var threadCount: Int { loadThreadCount + (hasProbeThread ? 1 : 0) }

    private var hasProbeThread: Bool { isStorm && publisherCount > 0 }

    /// The number of connections of a thread.
    func connectionCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(connectionCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : Self.share(connectionCount - publisherCount, thread - 1, loadThreadCount)
    }

    /// The number of publishers of a thread; they are its first connections.
    func publisherCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(publisherCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : 0
    }

    /// The number in the run of a thread's connection.
    @inline(__always)
    func number(of local: Int, thread: Int) -> Int {
        guard hasProbeThread else { return local &* loadThreadCount &+ thread }
        return thread == 0 ? local : publisherCount + local * loadThreadCount + thread - 1
    }

    /// The thread and the index of a publisher.
    func place(ofPublisher publisher: Int) -> (thread: Int, local: Int) {
        hasProbeThread ? (0, publisher) : (publisher % loadThreadCount, publisher / loadThreadCount)
    }

    /// The share of `count` things at one index, if `shares` take turns.
    private static func share(_ count: Int, _ index: Int, _ shares: Int) -> Int {
        max(0, (count - index + shares - 1) / shares)
    }
}
