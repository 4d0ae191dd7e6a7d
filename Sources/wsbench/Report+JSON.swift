/// The report for programs. The names are documented in wsbench(1) and stay.
extension Report {
    /// The report as one object.
    var json: JSONValue {
        .object([
            ("mode", .string(mode.rawValue)),
            ("urls", .array(urls.map(JSONValue.string))),
            ("version", .string(WSBench.version)),
            ("ok", .boolean(isClean)),
            ("interrupted", .boolean(outcome.wasInterrupted)),
            ("connections", connections),
            ("messages", mode == .storm ? .null : messages),
            ("measured", measured),
            ("latency", latency),
            ("generator", generator),
            ("server", server),
            ("warnings", .array(warnings.map(JSONValue.string))),
        ])
    }

    private var connections: JSONValue {
        let total = tally.total
        return .object([
            ("wanted", .integer(plan.connectionCount)),
            ("opened", .integer(openedCount)),
            ("handshakes", .integer(total.handshakeCount)),
            ("handshakesPerSecond", .decimal(handshakesPerSecond, 1)),
            ("handshakeMicroseconds", json(total.handshakes)),
            ("refused", .counts(Dictionary(uniqueKeysWithValues: total.refusals.map { (String($0.key), $0.value) }))),
            ("errors", .counts(total.errors)),
            ("ended", .counts(total.ends)),
            ("stalled", .counts(total.stalledEnds)),
            ("compressed", .integer(total.compressedConnectionCount)),
            ("pings", .integer(total.pingCount)),
        ])
    }

    private var messages: JSONValue {
        let total = tally.total
        return .object([
            ("bytes", .integer(plan.messageByteCount)),
            ("sent", .integer(total.sentCount)),
            ("unsent", .integer(total.unsentCount)),
            ("expected", .integer(tally.expectedCount)),
            ("delivered", .integer(tally.deliveredCount)),
            ("lost", .integer(tally.lostCount)),
            ("duplicates", .integer(tally.duplicateCount)),
            ("outOfOrder", .integer(tally.disorderCount)),
            ("damaged", .integer(total.damagedCount)),
            ("foreign", .integer(total.foreignCount)),
            ("others", .integer(total.othersCount)),
            ("compressed", .integer(total.compressedCount)),
        ])
    }

    private var measured: JSONValue {
        guard let measurement = outcome.measurement else { return .null }
        let perSecond = deliveriesPerSecond
        return .object([
            ("seconds", .decimal(measurement.seconds, 3)),
            ("sent", .integer(tally.total.measuredSentCount)),
            ("delivered", .integer(tally.total.measuredDeliveryCount)),
            ("deliveriesPerSecond", decimal(perSecond, 1)),
            ("payloadBytesPerSecond", decimal(perSecond.map { $0 * Double(plan.messageByteCount) }, 0)),
        ])
    }

    private var latency: JSONValue {
        let total = tally.total
        guard total.response.count + total.quiet.count > 0 else { return .null }
        return .object([
            ("loop", .string(plan.rate == nil ? "closed" : "open")),
            ("from", .string(latencyOrigin)),
            ("of", .string(latencyScope)),
            ("responseMicroseconds", json(total.response)),
            ("serviceMicroseconds", plan.rate == nil ? json(total.response) : json(total.service)),
            ("beforeStormMicroseconds", json(total.quiet)),
        ])
    }

    private var generator: JSONValue {
        .object([
            ("threads", .integer(plan.threadCount)),
            ("sources", .integer(max(1, plan.sources.count))),
            ("cpuSeconds", decimal(outcome.measurement?.ownSeconds, 3)),
            (perWorkName, decimal(perWork(outcome.measurement?.ownSeconds), 3)),
            ("busyPercent", decimal(outcome.measurement?.busyPercent, 1)),
        ])
    }

    private var server: JSONValue {
        guard let serverPID else { return .null }
        let memory = outcome.memory
        return .object([
            ("pid", .integer(Int(serverPID))),
            ("cpuSeconds", decimal(outcome.measurement?.serverSeconds, 3)),
            (perWorkName, decimal(perWork(outcome.measurement?.serverSeconds), 3)),
            ("openingCPUMicrosecondsPerHandshake", decimal(openingCost, 1)),
            (
                "residentBytes",
                .object([
                    ("before", integer(memory.before)), ("open", integer(memory.open)), ("peak", integer(memory.peak)),
                    ("after", integer(memory.after)), ("returned", integer(memory.returned)),
                    ("closed", integer(memory.closed)),
                ])
            ),
            (
                "bytesPerConnection",
                .object([
                    ("open", decimal(memory.perConnection(memory.open, count: openedCount), 0)),
                    ("peak", decimal(memory.perConnection(memory.peak, count: openedCount), 0)),
                    ("returned", decimal(memory.perConnection(memory.returned, count: openedCount), 0)),
                ])
            ),
        ])
    }

    /// The server's CPU time for one handshake in microseconds, while the connections were opened.
    var openingCost: Double? {
        // The kernel counts CPU time in hundredths of a second: a few of these mean nothing.
        guard mode != .storm, let seconds = outcome.openingServerSeconds, seconds >= 0.05 else { return nil }
        return seconds * 1e6 / Double(tally.total.handshakeCount)
    }

    private var perWorkName: String {
        mode == .storm ? "cpuMicrosecondsPerHandshake" : "cpuMicrosecondsPerDelivery"
    }

    private func json(_ latency: Latency) -> JSONValue { latency.summary?.json ?? .null }
    private func decimal(_ value: Double?, _ digits: Int) -> JSONValue { value.map { .decimal($0, digits) } ?? .null }
    private func integer(_ value: Int?) -> JSONValue { value.map(JSONValue.integer) ?? .null }
}
