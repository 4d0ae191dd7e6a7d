internal import Synchronization

/// Limits how often something is done.
final class Throttle: Sendable {
    private let last = Mutex<ContinuousClock.Instant?>(nil)
    private let interval: Duration

    init(_ interval: Duration = .seconds(10)) { self.interval = interval }

    /// Runs the action, unless it ran a moment ago.
    func callAsFunction(_ act: () -> Void) {
        let isDue = last.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < interval { return false }
            last = now
            return true
        }
        if isDue { act() }
    }
}
