import Base
import Channels

/// A token bucket, refilled as time passes, in the ticks of its worker's clock.
struct RateBucket: Equatable {
    /// The tokens left at the tick `countedAt`.
    private var tokens: Float
    private var countedAt: UInt32

    /// A bucket of this many tokens.
    init(holding tokens: Int, now: UInt32) {
        self.tokens = Float(tokens)
        countedAt = now
    }

    /// Takes one token; false if there is none.
    ///
    /// - Parameters:
    ///   - rate: the tokens that a second adds.
    ///   - most: the tokens that the bucket has room for.
    mutating func take(rate: Float, most: Int, now: UInt32) -> Bool {
        let seconds = Float(now &- countedAt) * Float(WorkerClock.tickNanoseconds) / 1e9
        countedAt = now
        tokens = min(Float(most), tokens + seconds * rate)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// Writes the bucket. Ticks are written as their distance from `now`, because the next process has another clock.
    func write(to state: inout StateWriter, now: UInt32) {
        state.write(tokens)
        state.write(now &- countedAt)
    }

    init(from state: inout StateReader, now: UInt32) throws(StateError) {
        tokens = try state.float()
        try state.require(tokens >= 0, "a bucket with less than no tokens")
        countedAt = now &- (try state.number())
    }
}
