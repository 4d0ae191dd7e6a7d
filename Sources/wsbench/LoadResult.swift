import Terminal

/// The results of one thread.
struct LoadResult: Sendable {
    /// The deliveries. A lane is a connection's index times the number of publishers, plus the publisher; or with
    /// `Plan.Audience.own` a publisher's index.
    var account: DeliveryAccount
    /// The latency from sending a message, or in the open loop from the time at which it was due, to its arrival.
    var response = Latency()
    /// The latency from sending to arrival; recorded in the open loop only.
    var service = Latency()
    /// The latency of the probes before the storm.
    var quiet = Latency()
    /// The time from connect(2) to the end of the response's head.
    var handshakes = Latency()

    var sentCount = 0
    /// The sum of the positions of each connection for each publisher.
    var settledCount = 0
    /// The number of messages sent by each publisher of this thread.
    var publisherSentCounts: [Int] = []
    /// The number of messages that were due and never sent.
    var unsentCount = 0
    var measuredSentCount = 0
    var measuredDeliveryCount = 0
    var compressedCount = 0
    /// The number of messages that aren't of this run.
    var foreignCount = 0
    /// The number of messages of this run that were for other connections.
    var othersCount = 0
    /// The number of messages whose size had changed, or that couldn't be inflated.
    var damagedCount = 0
    var pingCount = 0
    /// The number of times that a publisher had to send although its window was closed.
    var stuckCount = 0

    var handshakeCount = 0
    /// The number of connections that were open at least once.
    var openedCount = 0
    /// The time of the last completed handshake, in nanoseconds of CLOCK_MONOTONIC.
    var lastHandshake: UInt64 = 0
    var failedCount = 0
    var compressedConnectionCount = 0
    /// The number of connections that got a status other than 101, by status.
    var refusals: [Int: Int] = [:]
    /// The number of connections that could not be opened or closed for another reason, by the error.
    var errors: [String: Int] = [:]
    /// The number of open connections that ended, by kind.
    var ends: [String: Int] = [:]
    /// The same for stalled connections, including those that were still open at the end.
    var stalledEnds: [String: Int] = [:]
    /// The indices in the thread of connections that ended, including stalled ones.
    var endedConnections: Set<Int> = []

    /// The connections that were open at least once and have to receive everything.
    var countedConnections: Set<Int> = []

    init(laneCount: Int) { account = DeliveryAccount(laneCount: laneCount) }
}

extension LoadResult {
    /// Adds another thread's figures; the delivery accounts are not merged.
    mutating func add(_ other: LoadResult) {
        response.add(other.response)
        service.add(other.service)
        quiet.add(other.quiet)
        handshakes.add(other.handshakes)
        sentCount += other.sentCount
        unsentCount += other.unsentCount
        measuredSentCount += other.measuredSentCount
        measuredDeliveryCount += other.measuredDeliveryCount
        compressedCount += other.compressedCount
        foreignCount += other.foreignCount
        othersCount += other.othersCount
        damagedCount += other.damagedCount
        pingCount += other.pingCount
        stuckCount += other.stuckCount
        handshakeCount += other.handshakeCount
        openedCount += other.openedCount
        lastHandshake = max(lastHandshake, other.lastHandshake)
        failedCount += other.failedCount
        compressedConnectionCount += other.compressedConnectionCount
        refusals.merge(other.refusals, uniquingKeysWith: +)
        errors.merge(other.errors, uniquingKeysWith: +)
        ends.merge(other.ends, uniquingKeysWith: +)
        stalledEnds.merge(other.stalledEnds, uniquingKeysWith: +)
    }
}

/// The outcome of a run.
struct Outcome: Sendable {
    let plan: Plan
    var tally: Tally
    /// The time at which the first connection began to open, in a storm the first of the storm; nanoseconds of
    /// CLOCK_MONOTONIC.
    var openingStart: UInt64 = 0
    /// The server's CPU seconds for opening the connections; nil without --pid.
    var openingServerSeconds: Double?
    var measurement: Measurement?
    var memory = Memory()
    /// Whether SIGINT or SIGTERM ended the run early.
    var wasInterrupted = false

    init(plan: Plan) {
        self.plan = plan
        tally = Tally(plan: plan, results: [])
    }
}

/// The reason why a run didn't take place: the message for standard error, and the exit code.
struct Failure: Error, Hashable {
    /// The error, naming what failed.
    let message: String
    /// Advice on how to fix it.
    let advice: String?
    /// The exit code, from sysexits.h where it has one.
    let exitCode: Int32

    init(_ message: String, advice: String? = nil, exitCode: Int32 = 1) {
        self.message = message
        self.advice = advice
        self.exitCode = exitCode
    }

    /// The lines for standard error.
    var lines: [String] {
        ["wsbench: \(TerminalText.escape(message))"] + (advice.map { [TerminalText.escape($0)] } ?? [])
    }
}

/// The measured part of a run, from its first sample to its last.
struct Measurement: Sendable {
    var start: Sample
    var end: Sample

    var seconds: Double { Double(end.time - start.time) / 1e9 }
    var ownSeconds: Double { end.ownSeconds - start.ownSeconds }

    /// CPU seconds of the server; nil without --pid.
    var serverSeconds: Double? {
        guard let before = start.server, let after = end.server else { return nil }
        return after.cpuSeconds - before.cpuSeconds
    }

    /// The load of the busiest load thread, in percent of a core.
    var busyPercent: Double {
        let spent = zip(end.threadSeconds, start.threadSeconds).map { $0 - $1 }.max() ?? 0
        return seconds > 0 ? spent / seconds * 100 : 0
    }
}
