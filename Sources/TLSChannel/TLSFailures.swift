internal import NIOCore
internal import Synchronization

/// Reports the connections of a listener that fail in TLS: one at once, and of those in the ten seconds after it the number.
final class TLSFailures: Sendable {
    private struct State {
        var nextAt: ContinuousClock.Instant?
        var leftOutCount = 0
    }

    private static let pause: Duration = .seconds(10)

    private let state = Mutex(State())
    private let report: @Sendable (String) -> Void

    init(report: @escaping @Sendable (String) -> Void) { self.report = report }

    /// Notes that one has failed, for this reason.
    func note(_ address: SocketAddress?, _ reason: String) {
        let leftOutCount = state.withLock { state -> Int? in
            let now = ContinuousClock.now
            if let nextAt = state.nextAt, now < nextAt {
                state.leftOutCount += 1
                return nil
            }
            state.nextAt = now + Self.pause
            defer { state.leftOutCount = 0 }
            return state.leftOutCount
        }
        guard let leftOutCount else { return }
        let others = leftOutCount > 0 ? "; \(leftOutCount) others have failed since the last report" : ""
        report("\(address?.ipAddress ?? "a client"): \(reason)\(others)")
    }
}
