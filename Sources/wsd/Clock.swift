import CLinux

/// The wall clock.
enum Clock {
    /// Milliseconds since 1970.
    static func milliseconds() -> Int64 { clinux_realtime_milliseconds() }
}
