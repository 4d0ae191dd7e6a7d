/// The report of a run.
struct Report {
    /// The mode of the run.
    enum Mode: String {
        case fanout, echo, idle, storm
    }

    let mode: Mode
    let urls: [String]
    let outcome: Outcome
    let serverPID: Int32?

    var plan: Plan { outcome.plan }
    var tally: Tally { outcome.tally }

    /// Whether nothing failed: determines the exit status.
    var isClean: Bool { tally.isClean }

    /// The number of connections that were open at least once.
    var openedCount: Int { tally.total.openedCount }

    /// Deliveries per second during the measurement.
    var deliveriesPerSecond: Double? {
        guard let measurement = outcome.measurement, measurement.seconds > 0, mode == .fanout || mode == .echo else {
            return nil
        }
        return Double(tally.total.measuredDeliveryCount) / measurement.seconds
    }

    /// The number of units of work during the measurement: deliveries, or in a storm handshakes.
    var workCount: Int {
        switch mode {
        case .fanout, .echo: tally.total.measuredDeliveryCount
        case .storm: tally.total.handshakeCount - plan.publisherCount
        case .idle: 0
        }
    }

    /// CPU time per unit of work in microseconds.
    func perWork(_ seconds: Double?) -> Double? {
        guard let seconds, workCount > 0 else { return nil }
        return seconds * 1e6 / Double(workCount)
    }

    /// Handshakes per second, from the first connect(2) to the end of the last handshake.
    var handshakesPerSecond: Double {
        let count = tally.total.handshakeCount - (mode == .storm ? plan.publisherCount : 0)
        guard count > 0, tally.total.lastHandshake > outcome.openingStart else { return 0 }
        return Double(count) / (Double(tally.total.lastHandshake - outcome.openingStart) / 1e9)
    }

    /// The time from which latency is counted.
    var latencyOrigin: String { plan.rate == nil ? "send" : "schedule" }

    /// The deliveries whose latency is recorded, all of them without sampling.
    var latencyScope: String {
        mode == .storm ? "every pong" : plan.receiveBatch == nil ? "every delivery" : "the publishers' own copies"
    }

    /// Warnings for the reader of the figures.
    var warnings: [String] {
        var lines: [String] = []
        let total = tally.total
        if outcome.wasInterrupted { lines.append("interrupted: these are the figures so far") }
        if let busy = outcome.measurement?.busyPercent, busy > 90, mode != .idle {
            lines.append(
                "the generator was \(Number.fixed(busy, 0)) % busy: these are its figures rather than the server's; "
                    + "use --threads, or --receive-batch")
        }
        if total.unsentCount > 0 {
            lines.append(
                "\(total.unsentCount) messages that were due could not be sent: the server takes less than this rate; "
                    + "they count in the response latency with the time they had waited")
        }
        if total.stuckCount > 0 {
            lines.append(
                "\(total.stuckCount) times a second passed with nothing back: the closed loop had lost messages")
        }
        if total.foreignCount > 0 { lines.append("\(total.foreignCount) messages were not of this run") }
        if total.damagedCount > 0 {
            lines.append("\(total.damagedCount) messages came with another size, or could not be inflated")
        }
        if plan.targets.first?.request.offersCompression == true, total.compressedConnectionCount == 0 {
            lines.append("the server agreed to no compression")
        }
        for (status, count) in total.refusals.sorted(by: { $0.key < $1.key }) {
            lines.append(
                Self.line("\(count) connections refused with HTTP status \(status)", Tally.advice(status: status)))
        }
        for (error, count) in total.errors.sorted(by: { $0.key < $1.key }) {
            lines.append(Self.line("\(count) connections failed with \(error)", Tally.advice(error: error)))
        }
        return lines
    }

    private static func line(_ message: String, _ advice: String?) -> String {
        advice.map { "\(message): \($0)" } ?? message
    }
}
