internal import Synchronization

/// Counts the wrong keys of each address, so that who tries is told to stop. Keys have 16 bytes and more: none is guessed.
final class WrongKeys: Sendable {
    /// Wrong keys that an address may show in a minute.
    static let limit = 60
    /// Addresses that are remembered; where there are more, all begin anew.
    private static let capacity = 10_000

    /// How often the log may speak of an address.
    static let reportInterval: Duration = .seconds(10)

    private struct Report {
        var last: ContinuousClock.Instant
        /// Those that the log has not told of.
        var count = 0
    }

    private struct State {
        var counts: [String: Int] = [:]
        var since: ContinuousClock.Instant
        var reports: [String: Report] = [:]
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
            if time - state.since >= .seconds(60) { (state.counts, state.since) = ([:], time) }
            return state.counts[address, default: 0] >= Self.limit
        }
    }

    func note(_ address: String) {
        state.withLock { state in
            if state.counts.count >= Self.capacity { state.counts = [:] }
            state.counts[address, default: 0] += 1
        }
    }

    /// Takes one more down for the log: how many it should tell of now; nil where it has just spoken of the address.
    func due(_ address: String) -> Int? {
        let time = now()
        return state.withLock { state in
            if state.reports.count >= Self.capacity { state.reports = [:] }
            var report = state.reports[address, default: Report(last: time - Self.reportInterval)]
            report.count += 1
            let isDue = time - report.last >= Self.reportInterval
            state.reports[address] = isDue ? Report(last: time) : report
            return isDue ? report.count : nil
        }
    }
}
