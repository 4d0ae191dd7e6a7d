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
