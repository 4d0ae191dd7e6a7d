/// What happens between the opening of the connections and their closing.
enum Script: Sendable {
    /// Publish, at first unmeasured, then measured.
    case publish(warmup: TimeSpan, duration: TimeSpan)
    /// Hold the connections; then perhaps publish a few messages and see memory return.
    case hold(duration: TimeSpan, burst: Burst?, pause: TimeSpan)
    /// Ping for a while, and go on with that while the others connect.
    case storm(baseline: TimeSpan)
}
