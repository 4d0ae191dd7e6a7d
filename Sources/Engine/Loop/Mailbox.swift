import CLinux
import Glibc
import Synchronization

/// A queue of many producers and one consumer, with one wake per batch.
///
/// Messages are pushed on a stack with one compare-and-swap and taken all at once, so there is no lock and no ABA
/// problem; the consumer reverses a batch, so that each producer's messages arrive in order. Only a producer that finds
/// the stack empty writes to the event descriptor. `@unchecked Sendable`: nodes pass from the producer to the consumer
/// with the release-acquire pair on `top`.
final class Mailbox: @unchecked Sendable {
    private struct Node {
        var message: WorkerMessage
        var byteCount: Int
        var next: UnsafeMutablePointer<Node>?
    }

    private let top = Atomic<UnsafeMutablePointer<Node>?>(nil)
    /// Becomes readable when messages wait (eventfd(2)).
    let descriptor: Int32
    /// The load of messages for homes of channels (`WorkerMessage.waitsItsTurn`), for which publishers wait, and of the others,
    /// for which homes wait. The messages that homes wait for never wait themselves; if both were counted together, two
    /// homes would wait for each other.
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

    /// Adds a message; any thread.
    func post(_ message: consuming WorkerMessage) {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        let byteCount = message.byteCount
        if byteCount > 0 { (message.waitsItsTurn ? forHomes : atOnce).add(byteCount) }
        node.initialize(to: Node(message: message, byteCount: byteCount, next: nil))
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

    /// Whether messages wait.
    var hasMessages: Bool { top.load(ordering: .acquiring) != nil }

    /// The size of the waiting messages in bytes.
    var byteCount: Int { forHomes.byteCount + atOnce.byteCount }

    /// Takes all messages, the oldest first, each with the size that it counts for until `Load.finish`; the consumer's
    /// thread only.
    func takeAll(_ body: (WorkerMessage, _ byteCount: Int) -> Void) {
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
            body(taken.message, taken.byteCount)
        }
    }
}

extension Mailbox {
    /// The size of the messages of one kind that have been posted and not processed, and the workers that wait until it
    /// is smaller.
    final class Load: Sendable {
        private let waiting = Atomic<Int>(0)
        /// A bit for each worker that waits until the mailbox is no longer full.
        private let waiters = Atomic<UInt64>(0)

        /// The size in bytes from which the mailbox is full: workers with more messages for it wait until it is half
        /// empty.
        static let fullByteCount = 2 * 1024 * 1024

        var byteCount: Int { waiting.load(ordering: .relaxed) }

        var isFull: Bool { byteCount > Load.fullByteCount }

        /// Counts a posted message; any thread.
        func add(_ byteCount: Int) { waiting.add(byteCount, ordering: .relaxed) }

        /// Whether the mailbox is full. If so, the worker is notified once it no longer is (`WorkerMessage.Control.relieved`); any
        /// thread.
        func isFull(for worker: Int) -> Bool {
            guard isFull else { return false }
            // It may have been emptied in between: both sides write first and then read.
            waiters.bitwiseOr(1 << UInt64(worker), ordering: .sequentiallyConsistent)
            return waiting.load(ordering: .sequentiallyConsistent) > Load.fullByteCount / 2
        }

        /// Uncounts processed messages. Returns the workers to notify that there is room again, a bit each; the
        /// consumer's thread only.
        func finish(byteCount: Int) -> UInt64 {
            let left = waiting.subtract(byteCount, ordering: .sequentiallyConsistent).newValue
            guard left <= Load.fullByteCount / 2, waiters.load(ordering: .sequentiallyConsistent) != 0 else { return 0 }
            return waiters.exchange(0, ordering: .sequentiallyConsistent)
        }
    }
}
