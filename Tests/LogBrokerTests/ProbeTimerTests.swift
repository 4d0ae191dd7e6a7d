import BrokerSupport
import NIOCore
import NIOPosix
import Testing

@Suite struct ProbeTimerTests {
    /// A loop that is never on time: whatever is due on it comes late by more than the timer excuses.
    @Test(.timeLimit(.minutes(4))) func `A process that never comes to rest judges its probes all the same`() async {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let interval = Duration.milliseconds(20)
        let isJudged = await withCheckedContinuation { (judged: CheckedContinuation<Bool, Never>) in
            loop.execute { BusyLoop(loop, interval: interval, judged: judged).start() }
        }
        #expect(isJudged)
    }

    private final class BusyLoop {
        private static let turnLimit = 100

        private let loop: any EventLoop
        private let interval: Duration
        private var judged: CheckedContinuation<Bool, Never>?
        private var timer: ProbeTimer?
        private var turns = 0

        init(_ loop: any EventLoop, interval: Duration, judged: CheckedContinuation<Bool, Never>) {
            self.loop = loop
            self.interval = interval
            self.judged = judged
        }

        func start() {
            timer = ProbeTimer(loop, interval: interval) { self.finish(true) }
            timer?.start()
            turn()
        }

        /// Keeps the loop for longer than the timer's pause, again and again.
        private func turn() {
            guard judged != nil else { return }
            turns += 1
            guard turns < Self.turnLimit else { return finish(false) }
            let end = ContinuousClock.now + interval
            while ContinuousClock.now < end {}
            loop.assumeIsolated().execute { self.turn() }
        }

        private func finish(_ result: Bool) {
            timer?.stop()
            timer = nil
            judged?.resume(returning: result)
            judged = nil
        }
    }
}
