import Synchronization

/// The size of what waits until the broker takes it, for all workers. It may be used from any thread.
final class BrokerQueue: Sendable {
    private let size = Atomic<Int>(0)
    /// Whether connections wait until there is room.
    private let isAwaited = Atomic<Bool>(false)

    var byteCount: Int { size.load(ordering: .relaxed) }

    func add(_ byteCount: Int) { size.add(byteCount, ordering: .relaxed) }

    /// Whether the queue is full. If so, `remove` says when there is room again.
    func isFull(_ limit: Int) -> Bool {
        guard byteCount > limit else { return false }
        // It may have been emptied in between: both sides write first and then read.
        isAwaited.store(true, ordering: .sequentiallyConsistent)
        return size.load(ordering: .sequentiallyConsistent) > limit / 2
    }

    /// Uncounts what is no longer in the queue. True if the connections that wait are to be told that there is room.
    func remove(_ byteCount: Int, _ limit: Int) -> Bool {
        let left = size.subtract(byteCount, ordering: .sequentiallyConsistent).newValue
        guard left <= limit / 2, isAwaited.load(ordering: .sequentiallyConsistent) else { return false }
        return isAwaited.exchange(false, ordering: .sequentiallyConsistent)
    }
}
