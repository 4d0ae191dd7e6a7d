import Testing

@testable import wsbench

@Suite("The report")
struct ReportTests {
    private static func plan(rate: Double? = nil, subscribers: Int = 2) -> Plan {
        var plan = Plan(targets: [], connectionCount: subscribers + 1)
        plan.publisherCount = 1
        plan.rate = rate
        return plan
    }

    /// One thread's figures: three connections, of which each got some of two messages.
    private static func result(_ arrivals: [[UInt32]], sent: Int = 2) -> LoadResult {
        var result = LoadResult(laneCount: arrivals.count)
        for (lane, numbers) in arrivals.enumerated() {
            result.countedConnections.insert(lane)
            for number in numbers { _ = result.account.receive(number, lane: lane) }
        }
        result.sentCount = sent
        result.publisherSentCounts = [sent]
        return result
    }

    private static func report(_ plan: Plan, _ result: LoadResult) -> Report {
        var outcome = Outcome(plan: plan)
        outcome.tally = Tally(plan: plan, results: [result])
        return Report(mode: .fanout, urls: ["ws://h/\"x\""], outcome: outcome, serverPID: nil)
    }

    @Test("is clean when all have everything")
    func clean() {
        let report = Self.report(Self.plan(), Self.result([[0, 1], [0, 1], [0, 1]]))
        #expect(report.isClean)
        #expect(report.tally.expectedCount == 6)
        #expect(report.tally.deliveredCount == 6)
        #expect(report.warnings.isEmpty)
        #expect(report.table.contains("6 deliveries, each once and in order"))
    }

    @Test("is not clean after a loss, a duplicate, or disorder")
    func faults() {
        for (arrivals, text) in [
            ([[0, 1], [1], [0, 1]], "1 lost"), ([[0, 1], [0], [0, 1]], "1 lost"), ([[0, 1], [], [0, 1]], "2 lost"),
            ([[0, 1], [0, 1, 1], [0, 1]], "1 twice"), ([[0, 1], [1, 0], [0, 1]], "1 out of order"),
        ] as [([[UInt32]], String)] {
            let report = Self.report(Self.plan(), Self.result(arrivals))
            #expect(!report.isClean, "\(arrivals)")
            #expect(report.table.contains(text), "\(arrivals)")
        }
    }

    @Test("does not charge a connection that ended with what came after")
    func ended() {
        var result = Self.result([[0, 1, 2, 3], [0, 2], [0, 1, 2, 3]], sent: 4)
        result.endedConnections = [1]
        result.ends = ["close 1008 kicked\u{1b}[2J": 1]
        let report = Self.report(Self.plan(), result)
        #expect(report.tally.lostCount == 1)
        #expect(!report.isClean)
        #expect(report.table.contains("1 by close 1008 kicked\\x1b[2J"))
    }

    @Test("doesn't count those that stalled, and tells how they ended")
    func stalled() {
        var plan = Self.plan()
        plan.stalledCount = 1
        var result = Self.result([[0, 1], [0, 1], []])
        result.countedConnections = [0, 1]
        result.stalledEnds = ["close 1013 slow consumer": 1]
        let report = Self.report(plan, result)
        #expect(report.isClean)
        #expect(report.tally.expectedCount == 4)
        #expect(report.json.text.contains(#""stalled":{"close 1013 slow consumer":1}"#))
    }

    @Test("is not clean after a refusal or an error, and says what to do")
    func refused() {
        var result = Self.result([[0, 1], [0, 1], [0, 1]])
        result.refusals = [503: 2]
        result.errors = ["EADDRNOTAVAIL": 1]
        let report = Self.report(Self.plan(), result)
        #expect(!report.isClean)
        #expect(report.warnings.contains { $0.contains("2 connections refused with HTTP status 503") })
        #expect(report.warnings.contains { $0.contains("EADDRNOTAVAIL") && $0.contains("--sources") })
    }

    @Test("tells response from service in the open loop, and has one latency in the closed one")
    func latency() {
        var result = Self.result([[0, 1], [0, 1], [0, 1]])
        result.response.record(2_000_000)
        result.service.record(1_000_000)
        let open = Self.report(Self.plan(rate: 10), result)
        #expect(open.table.contains("from when due (response)"))
        #expect(open.table.contains("from send (service)"))
        #expect(open.json.text.contains(#""loop":"open","from":"schedule","of":"every delivery""#))
        let closed = Self.report(Self.plan(), result)
        #expect(!closed.table.contains("service"))
        #expect(closed.json.text.contains(#""loop":"closed","from":"send""#))
    }

    @Test("in JSON is one line that quotes what it must")
    func json() {
        let report = Self.report(Self.plan(), Self.result([[0, 1], [0, 1], [0, 1]]))
        let text = report.json.text
        #expect(text.hasPrefix(#"{"mode":"fanout","urls":["ws://h/\"x\""],"version":""#))
        #expect(!text.contains("\n"))
        #expect(text.contains(#""lost":0,"duplicates":0,"outOfOrder":0"#))
        #expect(text.contains(#""server":null"#))
    }

    @Test("writes JSON's values as JSON has them")
    func values() {
        let value = JSONValue.object([
            ("a", .array([.null, .boolean(true), .integer(-3)])), ("b", .decimal(1.005, 1)), ("c", .decimal(.nan, 1)),
            ("d", .string("\u{1}\u{7f}\u{9b}é\\")),
        ])
        #expect(value.text == #"{"a":[null,true,-3],"b":1.0,"c":null,"d":"\u0001\u007f\u009bé\\"}"#)
    }

    @Test(
        "rounds numbers",
        arguments: [
            (0.0, 0, "0"), (0.5, 0, "1"), (1.25, 1, "1.3"), (-0.01, 1, "0.0"), (-1.5, 1, "-1.5"), (12.0, 3, "12.000"),
            (0.007, 2, "0.01"),
        ])
    func rounding(_ value: Double, _ digits: Int, _ text: String) { #expect(Number.fixed(value, digits) == text) }
}
