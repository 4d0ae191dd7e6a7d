/// The part of a run between the opening of the connections and their closing.
enum Script: Sendable {
    /// Publish, at first unmeasured, then measured.
    case publish(warmup: TimeSpan, duration: TimeSpan)
    /// Hold the connections; then, with a burst, publish a few messages and see whether memory is released.
    case hold(duration: TimeSpan, burst: Burst?, pause: TimeSpan)
    /// Ping for a while, and continue while the others connect.
    case storm(baseline: TimeSpan)
}
