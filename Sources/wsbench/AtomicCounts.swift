import Synchronization

/// An array of atomic counters.
///
/// Invariant: `base` owns `count` of them, as long as this object lives.
final class AtomicCounts: @unchecked Sendable {  // The pointer never changes, and what it points to is atomic.
    private let base: UnsafeMutablePointer<Atomic<Int>>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    subscript(index: Int) -> Int {
        get {
            precondition(index < count)
            return base[index].load(ordering: .relaxed)
        }
        set {
            precondition(index < count)
            base[index].store(newValue, ordering: .relaxed)
        }
    }
}
