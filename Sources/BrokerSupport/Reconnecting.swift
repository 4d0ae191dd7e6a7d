package import Base
package import NIOCore

extension Backoff {
    /// The pauses before a connection to a broker is made again.
    package static let reconnecting = Backoff(shortest: 0.1, longest: 10)

    /// A pause of any length up to the ceiling: full jitter.
    package func pause(after attempts: Int) -> TimeAmount {
        .microseconds(Int64(Double.random(in: 0...ceiling(after: attempts)) * 1_000_000))
    }

    /// The time for which other nodes may still be away, when this one is back after a time: by then, they wait for up to
    /// twice as long as it was before they try again.
    package func absenceOfOthers(after away: TimeAmount) -> TimeAmount {
        min(away * 2, .microseconds(Int64(longest * 1_000_000)))
    }
}
