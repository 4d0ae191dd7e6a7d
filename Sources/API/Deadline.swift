internal import NIOCore

/// A time by which something must have happened; it is moved often and seldom reached. Belongs to one event loop.
final class Deadline {
    private let isReached: () -> Void
    private var time: NIODeadline?
    private var timer: (task: Scheduled<Void>, time: NIODeadline)?

    /// - Parameter isReached: called each time the deadline is reached.
    init(_ isReached: @escaping () -> Void) { self.isReached = isReached }

    func set(_ amount: TimeAmount, _ loop: any EventLoop) {
        let time = NIODeadline.now() + amount
        self.time = time
        // A later time is checked when the timer fires, so most requests need no new timer.
        if let timer, timer.time <= time { return }
        schedule(time, loop)
    }

    func cancel() {
        time = nil
        timer?.task.cancel()
        timer = nil
    }

    private func schedule(_ time: NIODeadline, _ loop: any EventLoop) {
        timer?.task.cancel()
        let task = loop.assumeIsolated().scheduleTask(deadline: time) { [weak self] in
            guard let self else { return }
            timer = nil
            guard let time = self.time else { return }
            if time > .now() { return schedule(time, loop) }
            self.time = nil
            isReached()
        }
        timer = (task, time)
    }
}
