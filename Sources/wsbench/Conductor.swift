import CLinux
import Glibc
import Synchronization

/// Leads the threads through the phases of a run, on the main thread, and takes the samples.
final class Conductor {
    private let plan: Plan
    private let script: Script
    private let serverPID: Int32?
    private let shared: SharedState
    private var threads: [LoadThread] = []
    private var interrupt = Interrupt()
    private var progress: Progress
    private var outcome: Outcome
    private var lastLook: UInt64 = 0
    private var serverSecondsBefore = 0.0

    init(plan: Plan, script: Script, serverPID: Int32?, progress: Progress) {
        self.plan = plan
        self.script = script
        self.serverPID = serverPID
        self.progress = progress
        shared = SharedState(plan: plan)
        outcome = Outcome(plan: plan)
    }

    /// Runs all phases.
    ///
    /// - Throws: if nothing can be measured, because the server can't be reached or the process doesn't exist.
    func run() throws(Failure) -> Outcome {
        if let serverPID {
            guard let usage = ProcessUsage.ofTree(serverPID) else {
                throw Failure("--pid \(serverPID): no such process", exitCode: EX_USAGE)
            }
            outcome.memory.before = usage.residentBytes
            serverSecondsBefore = usage.cpuSeconds
        }
        outcome.openingStart = clinux_monotonic_nanoseconds()
        for index in 0..<plan.threadCount {
            threads.append(try LoadThread(plan: plan, shared: shared, index: index))
        }
        try open()
        if !interrupt.hasCome { play() }
        if shared.phase < .draining { drain() }
        end()
        return outcome
    }

    private func play() {
        switch script {
        case .publish(let warmup, let duration): publish(warmup, duration)
        case .hold(let duration, let burst, let pause): hold(duration, burst, pause)
        case .storm(let baseline): storm(baseline)
        }
    }

    private func open() throws(Failure) {
        let wanted = plan.isStorm ? plan.publisherCount : plan.connectionCount
        var isHopeless = false
        wait(for: nil) {
            let failed = self.shared.sum { $0.failed.load(ordering: .relaxed) }
            let handshakes = self.shared.sum { $0.handshakes.load(ordering: .relaxed) }
            isHopeless = handshakes == 0 && failed >= min(wanted, self.plan.handshakesInFlight) && wanted > 0
            return isHopeless || self.isSettled
        }
        if isHopeless {
            end()
            throw outcome.tally.nothingOpened
        }
        enter(.holding)
        // The server's work after the last handshake must not be part of the next phase.
        wait(for: 200_000_000) { false }
        let usage = look()
        outcome.memory.open = usage?.residentBytes
        if let usage { outcome.openingServerSeconds = usage.cpuSeconds - serverSecondsBefore }
    }

    private func publish(_ warmup: TimeSpan, _ duration: TimeSpan) {
        let start = clinux_monotonic_nanoseconds() + 20_000_000
        shared.scheduleStart.store(start, ordering: .relaxed)
        shared.measureStart.store(start + warmup.nanoseconds, ordering: .relaxed)
        shared.measureEnd.store(start + warmup.nanoseconds + duration.nanoseconds, ordering: .relaxed)
        enter(.running)
        progress.label = "warming up"
        wait(until: start + warmup.nanoseconds)
        let first = sample()
        progress.label = "measuring"
        wait(until: start + warmup.nanoseconds + duration.nanoseconds)
        if interrupt.hasCome { shared.measureEnd.store(clinux_monotonic_nanoseconds(), ordering: .relaxed) }
        outcome.measurement = Measurement(start: first, end: sample())
    }

    private func hold(_ duration: TimeSpan, _ burst: Burst?, _ pause: TimeSpan) {
        let first = sample()
        progress.label = "holding"
        wait(for: duration.nanoseconds) { false }
        outcome.measurement = Measurement(start: first, end: sample())
        outcome.memory.peak = max(outcome.memory.peak ?? 0, look()?.residentBytes ?? 0)
        guard burst != nil, !interrupt.hasCome else { return }
        shared.measureStart.store(0, ordering: .relaxed)
        enter(.running)
        progress.label = "bursting"
        wait(forProgress: plan.timeout) { self.isBurstOver }
        drain()
        progress.label = "pausing"
        wait(for: pause.nanoseconds) { self.interrupt.hasCome }
        outcome.memory.returned = look()?.residentBytes
    }

    private var isBurstOver: Bool {
        let live = shared.sum { $0.live.load(ordering: .relaxed) }
        let settled = shared.sum { $0.settled.load(ordering: .relaxed) }
        return settled >= live * (plan.messageLimit ?? 0)
    }

    private func storm(_ baseline: TimeSpan) {
        shared.scheduleStart.store(clinux_monotonic_nanoseconds() + 20_000_000, ordering: .relaxed)
        enter(.running)
        progress.label = "probing"
        wait(for: plan.publisherCount > 0 ? baseline.nanoseconds : 0) { false }
        guard !interrupt.hasCome else { return }
        let first = sample()
        outcome.openingStart = first.time
        shared.measureStart.store(first.time, ordering: .relaxed)
        enter(.storming)
        progress.label = "storming"
        wait(for: nil) { self.isSettled }
        let last = sample()
        shared.measureEnd.store(last.time, ordering: .relaxed)
        outcome.measurement = Measurement(start: first, end: last)
    }

    /// Receives the outstanding messages, and those that the stalled connections left unread.
    private func drain() {
        enter(.draining)
        progress.label = "draining"
        wait(forProgress: plan.timeout) { self.outstandingCount <= 0 }
        outcome.memory.after = look()?.residentBytes
        guard plan.stalledCount > 0 else { return }
        enter(.readingStalled)
        // Stalled connections have no end to wait for: those still open after this time are reported as open.
        wait(for: min(plan.timeout, 2_000_000_000)) { false }
    }

    /// The number of deliveries that are still missing for the messages sent.
    private var outstandingCount: Int {
        let sent = shared.sum { $0.sent.load(ordering: .relaxed) }
        let settled = shared.sum { $0.settled.load(ordering: .relaxed) }
        guard plan.audience == .everyone else { return sent - settled }
        return sent * shared.sum { $0.live.load(ordering: .relaxed) } - settled
    }

    private func end() {
        enter(.closing)
        progress.label = "closing"
        // The threads give up closes that take longer than the timeout, and report them.
        wait(for: plan.timeout + 1_000_000_000) { self.isSettled }
        // A server releases the memory of closed connections in its own time; here it gets only a moment.
        if serverPID != nil { wait(for: 200_000_000) { false } }
        outcome.memory.closed = look()?.residentBytes
        shared.phase = .stopping
        outcome.tally = Tally(plan: plan, results: threads.map { $0.join() })
        outcome.wasInterrupted = interrupt.hasCome
        progress.clear()
    }

    private func enter(_ phase: Phase) {
        shared.phase = phase
        while !shared.threads.allSatisfy({ $0.phase.load(ordering: .acquiring) >= phase.rawValue }) { usleep(200) }
    }

    /// Whether every thread has finished the phase.
    private var isSettled: Bool { shared.threads.allSatisfy { $0.unsettled.load(ordering: .relaxed) <= 0 } }

    private func sample() -> Sample { Sample(threads: threads, server: serverPID) }

    /// Samples the server's memory.
    private func look() -> ProcessUsage? {
        let usage = serverPID.flatMap(ProcessUsage.ofTree)
        if let usage, shared.phase != .opening {
            outcome.memory.peak = max(outcome.memory.peak ?? 0, usage.residentBytes)
        }
        return usage
    }

    /// Waits until a time, or until the run is interrupted.
    private func wait(until time: UInt64) {
        while !interrupt.hasCome {
            let now = clinux_monotonic_nanoseconds()
            guard now < time else { return }
            interrupt.sleep(nanoseconds: min(time - now, 50_000_000))
            lookAround()
        }
    }

    /// Waits until a condition holds, or at most for a time. An interrupt ends the wait, except in the phases that end
    /// the run.
    private func wait(for nanoseconds: UInt64?, until isDone: () -> Bool) {
        let start = clinux_monotonic_nanoseconds()
        while !isDone(), !interrupt.hasCome || shared.phase >= .draining {
            let waited = clinux_monotonic_nanoseconds() - start
            if let nanoseconds, waited >= nanoseconds { return }
            interrupt.sleep(
                nanoseconds: min((nanoseconds ?? .max) - waited, waited < 200_000_000 ? 2_000_000 : 20_000_000))
            lookAround()
        }
    }

    /// Waits until a condition holds, or until nothing has been received for a time.
    private func wait(forProgress nanoseconds: UInt64, until isDone: () -> Bool) {
        var delivered = -1
        var last = clinux_monotonic_nanoseconds()
        wait(for: nil) {
            let now = clinux_monotonic_nanoseconds()
            let count = self.shared.sum { $0.delivered.load(ordering: .relaxed) }
            if count != delivered { (delivered, last) = (count, now) }
            return isDone() || now - last > nanoseconds
        }
    }

    /// Samples the server's memory for its peak, and updates the progress line, a few times per second.
    private func lookAround() {
        let now = clinux_monotonic_nanoseconds()
        guard now - lastLook > 100_000_000 else { return }
        lastLook = now
        _ = look()
        progress.show(shared, plan)
    }
}
