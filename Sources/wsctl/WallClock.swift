import Glibc

/// The time of day, and time that only goes on.
enum WallClock {
    /// Milliseconds since the epoch.
    static var milliseconds: Int64 { read(CLOCK_REALTIME) }

    /// Milliseconds since some moment, whoever sets the clock.
    static var monotonicMilliseconds: Int64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
