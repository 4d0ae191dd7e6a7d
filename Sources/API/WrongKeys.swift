internal import Synchronization

/// Counts the wrong keys of each address, so that who tries is told to stop. Keys have 16 bytes and more: none is guessed.
final class WrongKeys: Sendable {
    /// Wrong keys that an address may show in a minute.
    static let limit = 60
    /// Addresses that are remembered; where there are more, all begin anew.
    private static let capacity = 10_000

    private struct State {
        var counts: [String: Int] = [:]
        var since: ContinuousClock.Instant
    }

    private let state: Mutex<State>
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
        state = Mutex(State(since: now()))
    }

    /// Whether the address has shown so many that another wrong one is not worth an answer.
    func isTooMany(_ address: String) -> Bool {
        let time = now()
        return state.withLock { state in
            if time - state.since >= .seconds(60) { state = State(since: time) }
            return state.counts[address, default: 0] >= Self.limit
        }
    }

    func note(_ address: String) {
        state.withLock { state in
            if state.counts.count >= Self.capacity { state.counts = [:] }
            state.counts[address, default: 0] += 1
        }
    }
}
