import Synchronization

/// What the conductor of a run and its threads tell each other.
final class SharedState: Sendable {
    private let phaseNumber = Atomic<UInt8>(Phase.opening.rawValue)
    /// When the open loop's schedule begins, in nanoseconds of CLOCK_MONOTONIC.
    let scheduleStart = Atomic<UInt64>(0)
    /// What is sent, or due, from here on is measured; before it is warm-up.
    let measureStart = Atomic<UInt64>(.max)
    /// What is sent, or due, from here on is not measured, and nothing is sent any more.
    let measureEnd = Atomic<UInt64>(.max)

    let threads: [ThreadCounters]

    init(plan: Plan) {
        threads = (0..<plan.threadCount).map { _ in ThreadCounters(publisherCount: plan.publisherCount) }
    }

    var phase: Phase {
        get { Phase(rawValue: phaseNumber.load(ordering: .acquiring))! }
        set { phaseNumber.store(newValue.rawValue, ordering: .releasing) }
    }

    /// The sum over the threads of one of their counters.
    func sum(_ counter: (ThreadCounters) -> Int) -> Int { threads.reduce(0) { $0 + counter($1) } }
}
