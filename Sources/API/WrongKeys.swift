internal import Base
internal import Synchronization

/// Counts the wrong keys of each address, or of each /64 network of IPv6 addresses, to tell clients that keep trying to
/// stop. Keys have at least 16 bytes, so none can be guessed.
final class WrongKeys: Sendable {
    /// The maximum number of wrong keys from an address in a minute.
    static let limit = 60
    /// The maximum number of addresses; if there are more, all counts start again.
    private static let capacity = 10_000

    /// The minimum time between two lines of the log about one address.
    static let reportInterval: Duration = .seconds(10)

    private struct Report {
        var last: ContinuousClock.Instant
        /// The number of wrong keys that have not been logged yet.
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

    /// What counts as one address.
    private static func client(_ address: String) -> String { IPAddress(address)?.client.description ?? address }

    /// Whether the address has sent so many wrong keys that another one is refused with 429.
    func isTooMany(_ address: String) -> Bool {
        let time = now()
        return state.withLock { state in
            if time - state.since >= .seconds(60) { (state.counts, state.since) = ([:], time) }
            return state.counts[Self.client(address), default: 0] >= Self.limit
        }
    }

    func note(_ address: String) {
        state.withLock { state in
            if state.counts.count >= Self.capacity { state.counts = [:] }
            state.counts[Self.client(address), default: 0] += 1
        }
    }

    /// Counts a wrong key for the log, and returns how many to report now; nil if the address was reported a moment
    /// ago.
    func due(_ address: String) -> Int? {
        let (time, client) = (now(), Self.client(address))
        return state.withLock { state in
            if state.reports.count >= Self.capacity { state.reports = [:] }
            var report = state.reports[client, default: Report(last: time - Self.reportInterval)]
            report.count += 1
            let isDue = time - report.last >= Self.reportInterval
            state.reports[client] = isDue ? Report(last: time) : report
            return isDue ? report.count : nil
        }
    }
}
