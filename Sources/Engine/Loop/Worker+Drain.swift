import WebSocket

/// The progress of a worker that closes all its connections.
struct Drain {
    let startedAt: UInt64
    let period: UInt64
    let deadline: UInt64
    let reason: String
    /// The number of open WebSockets when the drain began.
    let total: Int
    var begun = 0
    /// The next slot to check.
    var position = 0
    /// The callers that wait for the end; there are several if a drain was hurried.
    var receipts: [Replies<Void>]

    /// The time at which the next connection is due, in nanoseconds of the worker's clock.
    var nextStep: UInt64 {
        guard begun < total else { return deadline }
        return min(deadline, startedAt + period / UInt64(max(total, 1)) * UInt64(begun))
    }

    /// The number of connections to close by `now`: evenly over the period, the first at once.
    func due(_ now: UInt64) -> Int {
        guard period > 0, now < startedAt + period else { return total }
        return min(total, Int(Double(now - startedAt) / Double(period) * Double(total)) + 1)
    }
}

extension Worker {
    /// Closes every connection with 1001, evenly over a period. A second call replaces the times of the first if it ends
    /// earlier, which is how a drain is hurried; the order in which two calls arrive does not matter.
    func beginDrain(period: Duration, timeout: Duration, reason: String, receipt: Replies<Void>) {
        let deadline = nanoseconds + UInt64(clock.ticks(timeout)) * WorkerClock.tickNanoseconds
        let receipts = (drain?.receipts ?? []) + [receipt]
        if let earlier = drain?.deadline, earlier <= deadline {
            drain?.receipts = receipts
            return
        }
        drain = Drain(
            startedAt: nanoseconds,
            period: UInt64(clock.ticks(period) - (period > .zero ? 0 : 1)) * WorkerClock.tickNanoseconds,
            deadline: deadline,
            reason: reason,
            total: telemetry.statistics.connections,
            receipts: receipts
        )
        for slot in 0..<slab.highWater {
            let connection = slab[slot]
            switch connection.phase {
            // Browsers keep spare connections. If one were answered now, its next request would get that old response.
            case .handshake where connection.head == nil: end(connection, cause: .draining)
            case .handshake, .admitting: refuse(connection, Worker.shuttingDown, cause: .draining)
            default: break
            }
        }
        continueDrain()
    }

    /// Closes the connections that are due by now.
    func continueDrain() {
        guard var current = drain else { return }
        if nanoseconds >= current.deadline {
            abort()
            return
        }
        let due = current.due(nanoseconds)
        while current.begun < due, current.position < slab.highWater {
            let slot = current.position
            current.position += 1
            let connection = slab[slot]
            // Connections that were never opened, or have ended, are not counted in `total` either.
            guard connection.flags.contains(.opened), connection.phase != .dead else { continue }
            current.begun += 1
            guard connection.phase == .open else { continue }
            beginClose(connection, .draining, .goingAway, current.reason, then: .closing)
        }
        if current.position >= slab.highWater { current.begun = current.total }
        drain = current
    }

    /// Ends all remaining connections without waiting for their peers.
    func abort() {
        for slot in 0..<slab.highWater {
            let connection = slab[slot]
            guard connection.phase.isLive else { continue }
            end(connection, cause: .draining)
        }
    }

    func finishDrainIfDone() {
        guard slab.count == 0, let receipts = drain?.receipts, !receipts.isEmpty else { return }
        drain?.receipts = []
        for receipt in receipts { receipt.answer(()) }
    }
}
