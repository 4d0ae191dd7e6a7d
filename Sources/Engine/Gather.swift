import Synchronization

/// Collects one answer from each of several workers and hands the list to the task that waits for it.
final class Gather<Answer: Sendable>: Sendable {
    private struct State {
        var answers: [Answer] = []
        var missing: Int
        var continuation: CheckedContinuation<[Answer], Never>?
    }

    private let state: Mutex<State>

    init(count: Int, _ continuation: CheckedContinuation<[Answer], Never>) {
        state = Mutex(State(missing: count, continuation: continuation))
    }

    /// Expects further answers; called before the answer of the one who asks for them.
    func expect(_ more: Int) {
        state.withLock { $0.missing += more }
    }

    func answer(_ answer: Answer) {
        let done = state.withLock { state -> (CheckedContinuation<[Answer], Never>, [Answer])? in
            state.answers.append(answer)
            state.missing -= 1
            guard state.missing == 0, let continuation = state.continuation else { return nil }
            state.continuation = nil
            return (continuation, state.answers)
        }
        if let (continuation, answers) = done { continuation.resume(returning: answers) }
    }
}
