import Synchronization

/// Counts the bytes of one kind that are held for clients. It may be used from any thread.
package final class ByteMeter: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var byteCount: Int { count.load(ordering: .relaxed) }

    /// Adds bytes that were allocated, or, with a negative number, subtracts bytes that were freed.
    package func add(_ byteCount: Int) {
        if byteCount != 0 { count.add(byteCount, ordering: .relaxed) }
    }
}
