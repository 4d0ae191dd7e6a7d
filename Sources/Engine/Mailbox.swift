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
        var next: UnsafeMutablePointer<Node>?
    }

    private let top = Atomic<UnsafeMutablePointer<Node>?>(nil)
    /// Becomes readable when letters wait (eventfd(2)).
    let descriptor: Int32

    init() {
        descriptor = clinux_event_descriptor()
        precondition(descriptor >= 0, "eventfd: \(String(cString: strerror(errno)))")
    }

    deinit {
        takeAll { _ in }
        Glibc.close(descriptor)
    }

    /// Puts a letter in; any thread.
    func post(_ letter: consuming Letter) {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        node.initialize(to: Node(letter: letter, next: nil))
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

    /// Takes out everything, oldest first; the consumer's thread only.
    func takeAll(_ body: (Letter) -> Void) {
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
            let letter = node.move().letter
            node.deallocate()
            body(letter)
        }
    }
}
