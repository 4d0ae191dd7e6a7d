import CLinux
import Glibc
import Synchronization

/// A queue of many producers and one consumer, with one wake per batch.
///
/// Letters are pushed on a stack with one compare-and-swap and taken all at once, so there is no lock and no ABA; the
/// consumer turns a batch round, so that each producer's letters arrive in its order. Only the producer that finds the
/// stack empty writes to the event descriptor.
/// `@unchecked Sendable`: nodes pass from the producer to the consumer with the release-acquire pair on `top`.
final class Mailbox: @unchecked Sendable {
    private struct Node {
        var letter: Letter
        var byteCount: Int
        var next: UnsafeMutablePointer<Node>?
    }

    private let top = Atomic<UnsafeMutablePointer<Node>?>(nil)
    /// Becomes readable when letters wait (eventfd(2)).
    let descriptor: Int32
    /// Letters for homes of channels (`Letter.isForHome`), for which publishers wait, and the others, for which homes wait.
    /// What homes wait for never waits itself; were both counted together, two homes would wait for each other.
    let forHomes = Load()
    let atOnce = Load()

    init() {
        descriptor = clinux_event_descriptor()
        precondition(descriptor >= 0, "eventfd: \(String(cString: strerror(errno)))")
    }

    deinit {
        takeAll { _, _ in }
        Glibc.close(descriptor)
    }

    /// Puts a letter in; any thread.
    func post(_ letter: consuming Letter) {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        let byteCount = letter.byteCount
        if byteCount > 0 { (letter.isForHome ? forHomes : atOnce).add(byteCount) }
        node.initialize(to: Node(letter: letter, byteCount: byteCount, next: nil))
        var expected = top.load(ordering: .relaxed)
        while true {
            node.pointee.next = expected
            let (exchanged, original) = top.weakCompareExchange(
                expected: expected, desired: node, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed
            )
            if exchanged { break }
            expected = original
        }
        if expected == nil {
            var one: UInt64 = 1
            _ = write(descriptor, &one, 8)
        }
    }

    /// Whether letters wait.
    var hasLetters: Bool { top.load(ordering: .acquiring) != nil }

    /// The bytes that wait.
    var byteCount: Int { forHomes.byteCount + atOnce.byteCount }

    /// Takes out everything, oldest first, each with the bytes that it counts for until `Load.finish`; the consumer's thread
    /// only.
    func takeAll(_ body: (Letter, _ byteCount: Int) -> Void) {
        var drained: UInt64 = 0
        _ = read(descriptor, &drained, 8)
        var stack = top.exchange(nil, ordering: .acquiringAndReleasing)
        var oldest: UnsafeMutablePointer<Node>?
        while let node = stack {
            stack = node.pointee.next
            node.pointee.next = oldest
            oldest = node
        }
        while let node = oldest {
            oldest = node.pointee.next
            let taken = node.move()
            node.deallocate()
            body(taken.letter, taken.byteCount)
        }
    }
}

extension Mailbox {
    /// The bytes of the letters of one kind that have been posted and not acted on, and the workers that wait until there
    /// are fewer.
    final class Load: Sendable {
        private let waiting = Atomic<Int>(0)
        /// A bit for each worker that wants to know when it is no longer full.
        private let waiters = Atomic<UInt64>(0)

        /// From so many bytes on it is full: whoever has more for it waits, until half of it has been acted on.
        static let fullByteCount = 2 * 1024 * 1024

        var byteCount: Int { waiting.load(ordering: .relaxed) }

        var isFull: Bool { byteCount > Load.fullByteCount }

        /// A letter of so many bytes is posted; any thread.
        func add(_ byteCount: Int) { waiting.add(byteCount, ordering: .relaxed) }

        /// Whether it is full, and then has the worker told once it no longer is (`Letter.relieved`); any thread.
        func isFull(for worker: Int) -> Bool {
            guard isFull else { return false }
            // It may have been emptied in between: both sides write first and look then.
            waiters.bitwiseOr(1 << UInt64(worker), ordering: .sequentiallyConsistent)
            return waiting.load(ordering: .sequentiallyConsistent) > Load.fullByteCount / 2
        }

        /// Letters of so many bytes have been acted on. Returns the workers that are to be told that there is room again, a
        /// bit each; the consumer's thread only.
        func finish(byteCount: Int) -> UInt64 {
            let left = waiting.subtract(byteCount, ordering: .sequentiallyConsistent).newValue
            guard left <= Load.fullByteCount / 2, waiters.load(ordering: .sequentiallyConsistent) != 0 else { return 0 }
            return waiters.exchange(0, ordering: .sequentiallyConsistent)
        }
    }
}
