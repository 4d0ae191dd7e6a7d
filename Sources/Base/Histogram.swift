/// A histogram of observed values, as plain integers; a copy shares nothing with the original.
package struct Histogram: Sendable {
    /// The upper bounds of the buckets for times, in seconds; one more bucket counts longer times.
    package static let secondsBounds = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
    ]
    /// The upper bounds of the buckets for counts: powers of two.
    package static let countBounds = (0..<15).map { Double(1 << $0) }

    private static let nanosecondBounds: InlineArray<15, UInt64> = [
        50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000,
    ]

    /// The number of observations in each bucket; each observation is in one bucket only.
    package private(set) var counts = InlineArray<17, UInt64>(repeating: 0)
    /// The sum of all observed values: nanoseconds, or counts.
    package private(set) var sum: UInt64 = 0

    package init() {}

    /// Observes a time.
    package mutating func record(nanoseconds: UInt64) {
        var bucket = 0
        while bucket < 15, nanoseconds > Histogram.nanosecondBounds[bucket] { bucket += 1 }
        counts[bucket] &+= 1
        sum &+= nanoseconds
    }

    /// Observes a count.
    package mutating func record(count: Int) {
        counts[count <= 1 ? 0 : min(15, Int.bitWidth - (count - 1).leadingZeroBitCount)] &+= 1
        sum &+= UInt64(count)
    }

    package static func += (total: inout Histogram, other: Histogram) {
        for bucket in total.counts.indices { total.counts[bucket] &+= other.counts[bucket] }
        total.sum &+= other.sum
    }
}
