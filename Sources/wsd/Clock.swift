import CLinux

/// The wall clock.
enum Clock {
    /// Milliseconds since 1970.
    static func milliseconds() -> Int64 { clinux_realtime_milliseconds() }
}

extension Clock {
    /// A duration in whole milliseconds.
    static func milliseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
    }
}
