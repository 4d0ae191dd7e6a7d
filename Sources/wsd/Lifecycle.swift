import Control

/// Whether the daemon runs or is on its way out, and what makes it go.
actor Lifecycle {
    private var timeout: Duration
    private var drain: (startedAt: Int64, connections: Int)?
    private var hurries = 0
    private let orders: AsyncStream<Order>.Continuation
    /// What to do next, in order; read by the daemon's main task.
    nonisolated let stream: AsyncStream<Order>

    /// A step towards the end.
    enum Order: Sendable {
        /// Close every connection over `drain.period`.
        case drain(reason: String)
        /// Close them all now and wait only shortly.
        case hurry
        /// Go at once.
        case abandon
    }

    init(timeout: Duration) {
        self.timeout = timeout
        (stream, orders) = AsyncStream.makeStream()
    }

    /// Another time holds for a drain that begins from now on.
    func setTimeout(_ new: Duration) { if drain == nil { timeout = new } }

    /// Asks for a drain; a second one goes on as the first was.
    func beginDrain(connections: Int, reason: String = "the server is shutting down") -> DrainProgress {
        if drain == nil {
            drain = (Clock.milliseconds(), connections)
            orders.yield(.drain(reason: reason))
        }
        return progress(connectionsLeft: connections)!
    }

    /// A signal to end has come: the first drains, the second hurries, the third goes at once.
    func terminate(connections: Int) {
        guard drain != nil else {
            _ = beginDrain(connections: connections)
            return
        }
        hurries += 1
        orders.yield(hurries == 1 ? .hurry : .abandon)
    }

    /// How far the drain is; nil while there is none.
    func progress(connectionsLeft: Int) -> DrainProgress? {
        guard let drain else { return nil }
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
