import Base
import Glibc

/// The time of day, and a monotonic clock.
enum WallClock {
    /// The time of day.
    static var now: Timestamp { Timestamp(millisecondsSinceEpoch: read(CLOCK_REALTIME)) }

    /// Milliseconds of a clock that never goes back.
    static var monotonicMilliseconds: Int64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
