import Synchronization

/// The data shared between the conductor of a run and its threads.
final class SharedState: Sendable {
    private let phaseNumber = Atomic<UInt8>(Phase.opening.rawValue)
    /// The start of the open loop's schedule, in nanoseconds of CLOCK_MONOTONIC.
    let scheduleStart = Atomic<UInt64>(0)
    /// The start of the measurement: messages sent, or due, before it are warm-up.
    let measureStart = Atomic<UInt64>(.max)
    /// The end of the measurement: messages sent, or due, from here on aren't measured, and nothing more is sent.
    let measureEnd = Atomic<UInt64>(.max)

    let threads: [ThreadCounters]

    init(plan: Plan) {
        threads = (0..<plan.threadCount).map { _ in ThreadCounters(publisherCount: plan.publisherCount) }
    }

    var phase: Phase {
        get { Phase(rawValue: phaseNumber.load(ordering: .acquiring))! }
        set { phaseNumber.store(newValue.rawValue, ordering: .releasing) }
    }

    /// The sum of one counter over all threads.
    func sum(_ counter: (ThreadCounters) -> Int) -> Int { threads.reduce(0) { $0 + counter($1) } }
}
