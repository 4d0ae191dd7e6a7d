import Metrics
import Testing

@Suite("Metrics as text")
struct MetricsTextTests {
    private func text(openMetrics: Bool) -> String {
        var metrics = MetricsText(openMetrics: openMetrics)
        metrics.add(
            "requests_total", .counter, "Requests, by \"kind\".\nAll.", [([("kind", "a\"b\\c\nd")], 3), ([], 4)])
        metrics.add("heat", .gauge, "How hot.", 1.5)
        metrics.add("build_info", .info, "The build.", [([("version", "1")], 1)])
        return metrics.finished
    }

    @Test("follow Prometheus' format")
    func prometheus() {
        #expect(
            text(openMetrics: false) == """
                # HELP requests_total Requests, by "kind".\\nAll.
                # TYPE requests_total counter
                requests_total{kind="a\\"b\\\\c\\nd"} 3
                requests_total 4
                # HELP heat How hot.
                # TYPE heat gauge
                heat 1.5
                # HELP build_info The build.
                # TYPE build_info gauge
                build_info{version="1"} 1

                """)
    }

    @Test("follow OpenMetrics")
    func openMetrics() {
        let text = text(openMetrics: true)
        #expect(text.contains("# TYPE requests counter\nrequests_total{"))
        #expect(text.contains("# TYPE build info\nbuild_info{"))
        #expect(text.hasSuffix("\n# EOF\n"))
    }

    @Test("numbers are written as they must be", arguments: [(0.25, "0.25"), (.nan, "NaN"), (-.infinity, "-Inf")])
    func numbers(_ number: Double, _ text: String) {
        #expect(number.metricText == text)
    }
}
