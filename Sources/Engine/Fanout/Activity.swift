import Glibc

/// The rate of events, as a decaying average: an event that is `period` ago counts a third of a new one.
struct Activity {
    /// The time constant of the decay, in seconds.
    private static let period = 5.0

    private(set) var total: UInt64 = 0
    private var weighted = 0.0
    private var at: UInt64 = 0

    /// - Parameter now: the time in nanoseconds of the monotonic clock.
    mutating func note(_ count: Int, at now: UInt64) {
        weighted = faded(now) + Double(count)
        at = now
        total &+= UInt64(count)
    }

    /// The number of events per second.
    func perSecond(at now: UInt64) -> Double { faded(now) / Self.period }

    private func faded(_ now: UInt64) -> Double {
        weighted == 0 ? 0 : weighted * exp(-Double(now > at ? now - at : 0) / 1e9 / Self.period)
    }
}
