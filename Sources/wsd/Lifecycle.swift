import Base
import Control

/// The state of the daemon, running or draining, and the orders that end it.
actor Lifecycle {
    private var timeout: Duration
    private var drain: (startedAt: Int64, connections: Int)?
    private var hurries = 0
    /// Whether everything is handed to the next process at the end.
    private(set) var isParking = false
    private let orders: AsyncStream<Order>.Continuation
    /// The next steps in order; read by the daemon's main task.
    nonisolated let stream: AsyncStream<Order>

    /// A step towards the end.
    enum Order: Sendable {
        /// Close every connection over `drain.period`.
        case drain(reason: String)
        /// Close all connections now, and wait for them only briefly.
        case hurry
        /// Exit at once.
        case abandon
        /// Hand everything to the next process, and exit.
        case park
    }

    init(timeout: Duration) {
        self.timeout = timeout
        (stream, orders) = AsyncStream.makeStream()
    }

    /// Sets the timeout of a drain that has not begun yet.
    func setTimeout(_ new: Duration) { if drain == nil { timeout = new } }

    /// Begins a drain, unless one has begun already. Parking ends the process just as well, and keeps the connections.
    func beginDrain(connections: Int, reason: String = "the server is shutting down") -> DrainProgress {
        if let drain { return progress(of: drain, connectionsLeft: connections) }
        let begun = (startedAt: Clock.milliseconds(), connections: connections)
        if !isParking {
            drain = begun
            orders.yield(.drain(reason: reason))
        }
        return progress(of: begun, connectionsLeft: connections)
    }

    /// Handles a signal to end: the first begins the drain, the second hurries it, the third exits at once.
    func terminate(connections: Int) {
        guard !isParking else { return }
        guard drain != nil else {
            _ = beginDrain(connections: connections)
            return
        }
        hurries += 1
        orders.yield(hurries == 1 ? .hurry : .abandon)
    }

    /// Ends with handing everything to the next process, unless a drain has begun before.
    func park() {
        guard drain == nil, !isParking else { return }
        isParking = true
        orders.yield(.park)
    }

    /// The progress of the drain; nil if there is none.
    func progress(connectionsLeft: Int) -> DrainProgress? {
        drain.map { progress(of: $0, connectionsLeft: connectionsLeft) }
    }

    private func progress(of drain: (startedAt: Int64, connections: Int), connectionsLeft: Int) -> DrainProgress {
        let elapsed = Double(Clock.milliseconds() - drain.startedAt) / 1_000
        let (seconds, attoseconds) = timeout.components
        let total = Double(seconds) + Double(attoseconds) / 1e18
        return DrainProgress(
            startedAt: RFC3339.string(millisecondsSinceEpoch: drain.startedAt),
            connectionsAtStart: drain.connections,
            connectionsLeft: connectionsLeft,
            secondsLeft: max(0, total - elapsed)
        )
    }
}
