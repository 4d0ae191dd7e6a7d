import Terminal

/// The report for people.
extension Report {
    /// All lines of the report.
    var table: String {
        var fields = [("connections", connectionLine)]
        for (title, counts) in [("ended", tally.total.ends), ("stalled", tally.total.stalledEnds)] where !counts.isEmpty
        {
            fields.append((title, Self.list(counts)))
        }
        if mode != .storm, plan.publisherCount > 0 {
            fields.append(("messages", messageLine))
            fields.append(("arrived", arrivedLine))
        }
        if let perSecond = deliveriesPerSecond {
            let bytes = Self.bytes(perSecond * Double(plan.messageByteCount))
            let seconds = Number.fixed(outcome.measurement?.seconds ?? 0, 1)
            fields.append(("throughput", "\(Self.grouped(perSecond)) deliveries/s, \(bytes)/s, over \(seconds) s"))
        }
        fields.append(("generator", generatorLine))
        if serverPID != nil { fields += serverLines }
        let width = fields.map(\.0.count).max() ?? 0
        var text = fields.map { field in
            String(repeating: " ", count: width - field.0.count) + "\(field.0): \(TerminalText.escape(field.1))\n"
        }.joined()
        text += "\n" + latencyTable
        let notes =
            warnings
            + (mode == .storm || plan.receiveBatch == nil
                ? []
                : [
                    "latency is that of the publishers' own copies: the subscribers read in batches"
                ])
        if !notes.isEmpty { text += "\n" + notes.map { "note: \(TerminalText.escape($0))\n" }.joined() }
        return text
    }

    private var connectionLine: String {
        let total = tally.total
        var line = "\(openedCount) of \(plan.connectionCount) opened"
        if total.handshakeCount > 0 { line += ", \(Self.grouped(handshakesPerSecond)) handshakes/s" }
        if total.handshakeCount > plan.connectionCount { line += " (\(total.handshakeCount))" }
        if total.compressedConnectionCount > 0 { line += ", \(total.compressedConnectionCount) with compression" }
        if plan.sources.count > 1 { line += ", from \(plan.sources.count) addresses" }
        return line
    }

    private var messageLine: String {
        var line = "\(tally.total.sentCount) sent of \(plan.messageByteCount) bytes by \(plan.publisherCount)"
        if let rate = plan.rate, let measurement = outcome.measurement, measurement.seconds > 0 {
            line +=
                ", \(Number.fixed(Double(tally.total.measuredSentCount) / measurement.seconds, 1)) of \(Number.fixed(rate, 1)) a second"
        } else {
            line += ", \(plan.window) in flight each"
        }
        return line
    }

    private var arrivedLine: String {
        var parts = ["\(tally.deliveredCount) deliveries"]
        let faults = [
            (tally.lostCount, "lost"), (tally.duplicateCount, "twice"), (tally.disorderCount, "out of order"),
            (tally.total.damagedCount, "damaged"),
        ]
        let found = faults.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        parts += found.isEmpty ? ["each once and in order"] : found
        if tally.total.compressedCount > 0 { parts.append("\(tally.total.compressedCount) compressed") }
        if tally.total.othersCount > 0 { parts.append("\(tally.total.othersCount) of others passed over") }
        return parts.joined(separator: ", ")
    }

    private var generatorLine: String {
        var parts: [String] = []
        if let busy = outcome.measurement?.busyPercent { parts.append("\(Number.fixed(busy, 0)) % busy") }
        if let cost = perWork(outcome.measurement?.ownSeconds) {
            parts.append("\(Number.fixed(cost, 2)) µs CPU per \(workName)")
        }
        parts.append("\(plan.threadCount) thread\(plan.threadCount == 1 ? "" : "s")")
        return parts.joined(separator: ", ")
    }

    private var serverLines: [(String, String)] {
        var fields: [(String, String)] = []
        var parts: [String] = []
        if let measurement = outcome.measurement, let seconds = measurement.serverSeconds, measurement.seconds > 0 {
            parts.append("\(Number.fixed(seconds / measurement.seconds * 100, 0)) % of a core")
            if let cost = perWork(seconds) { parts.append("\(Number.fixed(cost, 2)) µs CPU per \(workName)") }
        }
        if let openingCost { parts.append("\(Number.fixed(openingCost, 1)) µs CPU per handshake at the start") }
        fields.append(("server", parts.joined(separator: ", ")))
        let memory = outcome.memory
        let stages = [
            ("before", memory.before), ("open", memory.open), ("peak", memory.peak), ("after", memory.after),
            ("returned", memory.returned), ("closed", memory.closed),
        ]
        fields.append(
            (
                "memory",
                stages.compactMap { stage in stage.1.map { "\(stage.0) \(Self.bytes(Double($0)))" } }.joined(
                    separator: ", ")
            ))
        let each = [("open", memory.open), ("peak", memory.peak), ("returned", memory.returned)].compactMap { stage in
            memory.perConnection(stage.1, count: openedCount).map { "\(stage.0) \(Self.grouped($0))" }
        }
        fields.append(("a connection", each.joined(separator: ", ") + " bytes"))
        return fields
    }

    private var workName: String { mode == .storm ? "handshake" : "delivery" }

    private var latencyTable: String {
        let total = tally.total
        var rows = [("handshake", total.handshakes)]
        if mode == .storm {
            rows += [("ping, before the storm", total.quiet), ("ping, in the storm", total.response)]
        } else if plan.rate != nil {
            rows += [
                ("message, from when due (response)", total.response), ("message, from send (service)", total.service),
            ]
        } else {
            rows += [("message, from send", total.response)]
        }
        var lines = [["LATENCY IN µs", "P50", "P90", "P99", "P99.9", "MAX", "COUNT"]]
        for (name, latency) in rows {
            guard let summary = latency.summary else { continue }
            let figures = [summary.p50, summary.p90, summary.p99, summary.p999, summary.maximum].map {
                Number.fixed($0, 0)
            }
            lines.append([name] + figures + ["\(summary.count)"])
        }
        guard lines.count > 1 else { return "" }
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            line.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - line[column].count)
                return column == 0 ? line[column] + padding : padding + line[column]
            }.joined(separator: "  ") + "\n"
        }.joined()
    }

    private static func list(_ counts: [String: Int]) -> String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) by \($0.key)" }.joined(
            separator: ", ")
    }

    /// A whole number with separated thousands.
    private static func grouped(_ value: Double) -> String {
        let digits = Number.fixed(value, value != 0 && abs(value) < 10 ? 1 : 0)
        guard !digits.contains("."), digits.count > 4, digits.first != "-" else { return digits }
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result
    }

    private static func bytes(_ value: Double) -> String {
        var value = value
        var unit = "B"
        for next in ["KiB", "MiB", "GiB"] where value >= 1024 {
            value /= 1024
            unit = next
        }
        return "\(Number.fixed(value, value < 10 && unit != "B" ? 1 : 0)) \(unit)"
    }
}
