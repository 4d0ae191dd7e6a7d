import Synchronization

/// Collects one answer from each of several workers for the task that waits for them.
///
/// A worker pushes its answer on a stack and decrements a count; the worker that reaches zero resumes the task, which
/// takes the stack. So no worker waits for another. These atomics order every step, which ThreadSanitizer can see: the
/// runtime, which orders a `Mutex` or the value that a continuation returns, is not instrumented. `@unchecked
/// Sendable`: a node is written before it is pushed and read after the task has taken it off the stack.
final class Replies<Answer: Sendable>: @unchecked Sendable {
    private struct Node {
        let answer: Answer
        var next: UnsafeMutablePointer<Node>?
    }

    private let top = Atomic<UnsafeMutablePointer<Node>?>(nil)
    private let missing: Atomic<Int>
    /// Whether the waiting task has been resumed.
    private let isOver = Atomic(false)
    private let continuation: CheckedContinuation<Void, Never>

    private init(_ count: Int, _ continuation: CheckedContinuation<Void, Never>) {
        missing = Atomic(count)
        self.continuation = continuation
    }

    deinit { _ = takeAll() }

    /// Waits for `count` answers and those added by `expect`, and returns them in no particular order.
    ///
    /// - Parameters:
    ///   - limit: the maximum time to wait; after it, the answers so far are returned.
    ///   - ask: passes the new object to the workers that are to answer.
    static func collect(_ count: Int, within limit: Duration? = nil, _ ask: (Replies) -> Void) async -> [Answer] {
        var replies: Replies?
        var timer: Task<Void, any Error>?
        await withCheckedContinuation { continuation in
            let new = Replies(count, continuation)
            replies = new
            ask(new)
            timer = limit.map { limit in
                Task {
                    try await Task.sleep(for: limit)
                    new.resume()
                }
            }
        }
        timer?.cancel()
        return replies?.takeAll() ?? []
    }

    private func resume() {
        if !isOver.exchange(true, ordering: .acquiringAndReleasing) { continuation.resume() }
    }

    /// Expects further answers. The worker that expects them calls this before its own `answer`.
    func expect(_ more: Int) {
        missing.add(more, ordering: .relaxed)
    }

    func answer(_ answer: Answer) {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        node.initialize(to: Node(answer: answer, next: top.load(ordering: .relaxed)))
        while true {
            let (exchanged, original) = top.weakCompareExchange(
                expected: node.pointee.next, desired: node, successOrdering: .releasing, failureOrdering: .relaxed
            )
            if exchanged { break }
            node.pointee.next = original
        }
        if missing.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { resume() }
    }

    private func takeAll() -> [Answer] {
        var answers: [Answer] = []
        var rest = top.exchange(nil, ordering: .acquiring)
        while let node = rest {
            let taken = node.move()
            node.deallocate()
            answers.append(taken.answer)
            rest = taken.next
        }
        return answers
    }
}
