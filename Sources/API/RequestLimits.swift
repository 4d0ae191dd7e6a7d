internal import NIOCore
internal import Synchronization

/// Counts the open connections. For one more than there may be, the oldest stranger's is closed, so that those who have
/// no key keep nobody out who has one.
final class ConnectionCount: Sendable {
    /// The kind of place that a new connection gets.
    enum Place { case ordinary, reserved, none }

    private struct State {
        var count = 0
        /// The ordinary connections that have sent no request with a key yet, the oldest first.
        var strangers: [any Channel] = []
    }

    private let state = Mutex(State())
    private let noteFull: @Sendable () -> Void

    /// - Parameter noteFull: logs that there are too many connections.
    init(noteFull: @escaping @Sendable () -> Void) { self.noteFull = noteFull }

    /// Counts a new connection.
    func enter(_ channel: any Channel) -> Place {
        let (place, oldest) = state.withLock { state -> (Place, (any Channel)?) in
            state.count += 1
            let isFull = state.count > APIServer.maximumConnections
            let most = APIServer.maximumConnections + APIServer.reservedConnections
            guard state.count <= most else { return (.none, nil) }
            guard !isFull || !state.strangers.isEmpty else { return (.reserved, nil) }
            let oldest = isFull ? state.strangers.removeFirst() : nil
            state.strangers.append(channel)
            return (.ordinary, oldest)
        }
        if place != .ordinary || oldest != nil { noteFull() }
        oldest?.close(promise: nil)
        return place
    }

    /// Notes that a connection has sent a request with a key.
    func know(_ channel: any Channel) { state.withLock { $0.strangers.removeAll { $0 === channel } } }

    func leave(_ channel: any Channel) {
        state.withLock { state in
            state.count -= 1
            state.strangers.removeAll { $0 === channel }
        }
    }
}

/// Counts the bytes of all requests' bodies that the API holds: those that arrive, and those that are being answered.
final class BodyBudget: Sendable {
    private let count = Atomic(0)

    /// Takes bytes; false, and none taken, where there would be more than the maximum.
    func take(_ byteCount: Int) -> Bool {
        guard count.add(byteCount, ordering: .relaxed).newValue > APIServer.maximumBodiesByteCount else { return true }
        count.subtract(byteCount, ordering: .relaxed)
        return false
    }

    func giveBack(_ byteCount: Int) { count.subtract(byteCount, ordering: .relaxed) }
}

/// Pauses when no connection can be accepted, mostly for lack of file descriptors.
///
/// Without it, NIO tries again at once and continually, because the listener stays readable. The pause uses autoRead;
/// swallowing read(), as NIO's AcceptBackoffHandler does, leaves the listener registered, and the loop spinning.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let pause: TimeAmount = .milliseconds(100)

    private let report: @Sendable (String) -> Void
    private let throttle = Throttle()
    private var isPaused = false

    init(report: @escaping @Sendable (String) -> Void) { self.report = report }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is IOError else { return context.fireErrorCaught(error) }
        throttle { report("the HTTP API can accept no connection: \(error)") }
        guard !isPaused else { return }
        isPaused = true
        let channel = context.channel
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.isPaused = false
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}

/// Limits how often something is done.
final class Throttle: Sendable {
    private let last = Mutex<ContinuousClock.Instant?>(nil)
    private let interval: Duration

    init(_ interval: Duration = .seconds(10)) { self.interval = interval }

    /// Runs the action, unless it ran a moment ago.
    func callAsFunction(_ act: () -> Void) {
        let isDue = last.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < interval { return false }
            last = now
            return true
        }
        if isDue { act() }
    }
}

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
