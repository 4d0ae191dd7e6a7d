package import NIOCore

/// The timer of a broker's probes: has the probe judged that was sent last, one pause after that.
package final class ProbeTimer {
    /// The share of the pause by which the timer may be late before the reason is rather that this process stood still,
    /// and the answer may be there unread.
    private static let lateness: UInt64 = 4
    /// The number of times in a row that a judgement is put off for that, by the same share of the pause each: a
    /// process that never comes to rest has to judge as well.
    private static let reprieveCount = 4

    /// The time from one probe to the next, and the time in which it has to come back, in nanoseconds.
    package let pause: UInt64
    private let loop: any EventLoop
    private let judge: () -> Void
    private var timer: Scheduled<Void>?
    package private(set) var isStopped = false
    private var reprieves = 0

    /// Creates a timer for two probes per `interval`. It is used on its loop.
    package init(_ loop: any EventLoop, interval: Duration, judge: @escaping () -> Void) {
        self.loop = loop
        self.judge = judge
        pause = UInt64(max(1, TimeAmount(interval).nanoseconds / 2))
    }

    /// Starts the pause anew; also after `stop`.
    package func start() {
        isStopped = false
        restart()
    }

    package func stop() {
        isStopped = true
        timer?.cancel()
    }

    /// Starts the pause anew, unless the timer has been stopped.
    package func restart() { schedule(after: pause) }

    private func schedule(after time: UInt64) {
        timer?.cancel()
        guard !isStopped else { return }
        let due = NIODeadline.now().uptimeNanoseconds &+ time
        timer = loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due)) { [weak self] in
            self?.expired(dueAt: due)
        }
    }

    private func expired(dueAt due: UInt64) {
        let isLate = NIODeadline.now().uptimeNanoseconds &- due > pause / Self.lateness
        if isLate, reprieves < Self.reprieveCount {
            reprieves += 1
            return schedule(after: pause / Self.lateness)
        }
        reprieves = 0
        judge()
    }
}
