import Histogram

/// A latency distribution: an HDR histogram of nanoseconds with three significant digits, allocated once.
struct Latency {
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 100, highestTrackableValue: Self.highest, numberOfSignificantValueDigits: .three)

    /// An hour. Longer latencies are recorded as this.
    private static let highest: UInt64 = 3_600_000_000_000

    var count: Int { Int(histogram.totalCount) }

    /// Records one latency in nanoseconds.
    @inline(__always)
    mutating func record(_ nanoseconds: UInt64) {
        histogram.record(min(nanoseconds, Self.highest))
    }

    /// Adds the latencies of another thread.
    mutating func add(_ other: Latency) { histogram.add(other.histogram) }

    /// The figures to report; nil if nothing was recorded.
    var summary: LatencySummary? {
        guard histogram.totalCount > 0 else { return nil }
        func percentile(_ percent: Double) -> Double { Double(histogram.valueAtPercentile(percent)) / 1000 }
        return LatencySummary(
            count: count, p50: percentile(50), p90: percentile(90), p99: percentile(99), p999: percentile(99.9),
            maximum: percentile(100))
    }
}
