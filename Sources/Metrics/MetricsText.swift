/// Metrics in Prometheus' text format 0.0.4, or in OpenMetrics 1.0.
package struct MetricsText: Sendable {
    /// The kind of a metric.
    package enum Kind: String, Sendable {
        /// A value that only grows; its name ends in "_total".
        case counter
        /// A value that goes up and down.
        case gauge
        /// A distribution of observed values.
        case histogram
        /// A fact in the labels; the value is 1.
        case info
    }

    private let isOpenMetrics: Bool
    private var text = ""

    package init(openMetrics: Bool) { isOpenMetrics = openMetrics }

    /// Adds a metric with one value.
    package mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: some MetricValue) {
        add(name, kind, help, [([], value)])
    }

    /// Adds a metric with a value for each set of labels.
    package mutating func add(
        _ name: String, _ kind: Kind, _ help: String, _ samples: [([(String, String)], some MetricValue)]
    ) {
        begin(name, kind, help)
        for (labels, value) in samples { addSample(name, labels, value) }
    }

    /// Adds a histogram for each set of labels.
    ///
    /// - Parameters:
    ///   - bounds: the upper bounds of the buckets but the last, which has none.
    ///   - samples: the observations in each bucket, and the sum of what was observed.
    package mutating func addHistogram(
        _ name: String, _ help: String, bounds: [Double],
        _ samples: [(labels: [(String, String)], counts: [UInt64], sum: Double)]
    ) {
        begin(name, .histogram, help)
        for (labels, counts, sum) in samples {
            var total: UInt64 = 0
            for (bound, count) in zip(bounds.map(\.metricText) + ["+Inf"], counts) {
                total += count
                addSample("\(name)_bucket", labels + [("le", bound)], total)
            }
            addSample("\(name)_sum", labels, sum)
            addSample("\(name)_count", labels, total)
        }
    }

    private mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        let type = kind == .info && !isOpenMetrics ? .gauge : kind
        // OpenMetrics names the family; only the sample of a counter has the suffix.
        var family = name
        if isOpenMetrics, kind == .counter { family.removeLast("_total".count) }
        if isOpenMetrics, kind == .info { family.removeLast("_info".count) }
        text += "# HELP \(family) \(Self.escaped(help, quotes: false))\n# TYPE \(family) \(type.rawValue)\n"
    }

    private mutating func addSample(_ name: String, _ labels: [(String, String)], _ value: some MetricValue) {
        text += name
        if !labels.isEmpty {
            text += "{"
            text += labels.map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }.joined(separator: ",")
            text += "}"
        }
        text += " \(value.metricText)\n"
    }

    /// The complete text.
    package var finished: String { isOpenMetrics ? text + "# EOF\n" : text }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}

/// A number of a metric.
package protocol MetricValue {
    var metricText: String { get }
}

extension Int: MetricValue {
    package var metricText: String { String(self) }
}

extension UInt64: MetricValue {
    package var metricText: String { String(self) }
}

extension Double: MetricValue {
    package var metricText: String { isNaN ? "NaN" : isInfinite ? (self < 0 ? "-Inf" : "+Inf") : "\(self)" }
}
