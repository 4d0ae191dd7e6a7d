internal import WebSocket

/// The format of the metrics.
enum MetricsFormat {
    case text, openMetrics

    /// The format that the `Accept` headers prefer (RFC 9110, section 12.5.1). OpenMetrics must be named: `*/*` means
    /// text.
    init(accept fields: [String]) {
        var openMetrics = 0.0
        // The most specific range counts.
        var text: [String: Double] = [:]
        for range in fields.flatMap({ $0.split(separator: ",") }) {
            let parts = range.split(separator: ";").map { $0.trimmed.lowercased() }
            let quality = Self.quality(parts.dropFirst())
            switch parts.first {
            case "application/openmetrics-text": openMetrics = max(openMetrics, quality)
            case "text/plain"?, "text/*"?, "*/*"?: text[parts[0]] = max(text[parts[0], default: 0], quality)
            default: break
            }
        }
        let plain = text["text/plain"] ?? text["text/*"] ?? text["*/*"] ?? 0
        self = openMetrics > 0 && openMetrics >= plain ? .openMetrics : .text
    }

    private static func quality(_ parameters: ArraySlice<String>) -> Double {
        for parameter in parameters {
            let parts = parameter.split(separator: "=", maxSplits: 1)
            if parts.count == 2, parts[0].trimmed == "q" { return Double(parts[1].trimmed) ?? 0 }
        }
        return 1
    }
}
