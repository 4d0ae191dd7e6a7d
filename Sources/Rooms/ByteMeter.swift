import Synchronization

/// Counts the bytes of one kind that are held for clients. Any thread.
package final class ByteMeter: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var byteCount: Int { count.load(ordering: .relaxed) }

    /// Counts bytes that are taken, or, negative, given back.
    package func add(_ byteCount: Int) {
        if byteCount != 0 { count.add(byteCount, ordering: .relaxed) }
    }
}
