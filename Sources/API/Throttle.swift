internal import Synchronization

/// Lets something be said now and then only.
final class Throttle: Sendable {
    private let last = Mutex<ContinuousClock.Instant?>(nil)
    private let interval: Duration

    init(_ interval: Duration = .seconds(10)) { self.interval = interval }

    /// Does it unless it was done a moment ago.
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
