import CLinux
import Glibc
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

/// The progress of one thread: it writes the counters once in a turn of its loop, and others read them.
final class ThreadCounters: Sendable {
    /// The phase that the thread is in, `Phase.rawValue`.
    let phase = Atomic<UInt8>(Phase.opening.rawValue)
    /// Connections that the phase still has to open, drain or close.
    let unsettled = Atomic<Int>(.max)
    let open = Atomic<Int>(0)
    /// Connections that could not be opened.
    let failed = Atomic<Int>(0)
    let handshakes = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    let delivered = Atomic<Int>(0)
    /// Connections that have to receive everything.
    let live = Atomic<Int>(0)
    /// The position of all its connections together: for each, the number of messages received or skipped.
    let settled = Atomic<Int>(0)
    /// The same by publisher. Written by its thread only.
    let settledOfPublisher: AtomicCounts

    init(publisherCount: Int) { settledOfPublisher = AtomicCounts(publisherCount) }
}

/// An array of atomic counters.
///
/// Invariant: `base` owns `count` of them, as long as this object lives.
final class AtomicCounts: @unchecked Sendable {  // The pointer never changes, and what it points to is atomic.
    private let base: UnsafeMutablePointer<Atomic<Int>>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    subscript(index: Int) -> Int {
        get {
            precondition(index < count)
            return base[index].load(ordering: .relaxed)
        }
        set {
            precondition(index < count)
            base[index].store(newValue, ordering: .relaxed)
        }
    }
}

/// SIGINT and SIGTERM: the first ends the run early, with its figures; the second ends the process.
struct Interrupt {
    private var signals = sigset_t()
    private(set) var hasCome = false

    /// Blocks the signals for this thread and those that it will start.
    init() {
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Sleeps until the time has passed or a signal arrives.
    mutating func sleep(nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        guard !hasCome else {
            nanosleep(&time, nil)
            return
        }
        if sigtimedwait(&signals, nil, &time) > 0 {
            hasCome = true
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        }
    }
}
