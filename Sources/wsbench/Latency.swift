import CLinux
import Glibc
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

/// Percentiles of a latency, in microseconds.
struct LatencySummary: Equatable {
    var count: Int
    var p50: Double
    var p90: Double
    var p99: Double
    var p999: Double
    var maximum: Double

    var json: JSONValue {
        .object([
            ("count", .integer(count)), ("p50", .decimal(p50, 1)), ("p90", .decimal(p90, 1)), ("p99", .decimal(p99, 1)),
            ("p999", .decimal(p999, 1)), ("max", .decimal(maximum, 1)),
        ])
    }
}

/// The resources that generator and server had used at one moment.
struct Sample: Sendable {
    var time = clinux_monotonic_nanoseconds()
    /// CPU seconds of this process.
    var ownSeconds: Double
    /// CPU seconds of each of its load threads.
    var threadSeconds: [Double]
    var server: ProcessUsage?

    init(threads: [LoadThread], server pid: Int32?) {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        ownSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        threadSeconds = threads.map(\.cpuSeconds)
        server = pid.flatMap(ProcessUsage.ofTree)
    }
}
