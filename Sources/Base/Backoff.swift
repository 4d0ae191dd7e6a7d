/// The pauses between attempts, which double up to a longest one. Who waits takes a random part, so that many who failed at
/// once do not all come back at once.
package struct Backoff: Sendable {
    /// Half of the longest pause after the first attempt, in seconds.
    package let shortest: Double
    /// The longest pause, in seconds.
    package let longest: Double

    package init(shortest: Double, longest: Double) {
        self.shortest = shortest
        self.longest = longest
    }

    /// The longest pause after a number of attempts, in seconds.
    package func ceiling(after attempts: Int) -> Double {
        min(longest, shortest * Double(1 << min(max(0, attempts), 10)))
    }
}
