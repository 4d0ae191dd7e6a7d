package import NIOCore

/// What may be with a server without an answer; the rest waits here, where it is not uncertain.
package struct SendWindow {
    private static let byteCount = 1 << 20
    private static let batchCount = 1_024

    private var byteCount = 0
    private var batchCount = 0

    package init() {}

    /// Whether a batch of a size may be sent. One alone always may.
    package func hasRoom(for size: Int) -> Bool {
        batchCount == 0 || batchCount < Self.batchCount && byteCount + size <= Self.byteCount
    }

    package mutating func add(_ size: Int) {
        batchCount += 1
        byteCount += size
    }

    package mutating func remove(_ size: Int) {
        batchCount -= 1
        byteCount -= size
    }
}

/// Has batches refused at their deadline, whatever a connection does or does not.
package final class DeadlineSweep {
    /// The shortest time between two looks at all deadlines, in nanoseconds.
    private static let pause: UInt64 = 20_000_000

    private let loop: any EventLoop
    /// Refuses what is overdue at a time; returns the next deadline, or the maximum if there is none.
    private let refuseOverdue: (UInt64) -> UInt64
    private var timer: Scheduled<Void>?
    private var time = UInt64.max

    package init(_ loop: any EventLoop, refuseOverdue: @escaping (UInt64) -> UInt64) {
        self.loop = loop
        self.refuseOverdue = refuseOverdue
    }

    /// Notes the deadline of a batch.
    package func note(_ deadline: UInt64) {
        guard deadline < time else { return }
        timer?.cancel()
        time = max(deadline, NIODeadline.now().uptimeNanoseconds)
        timer = loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(time)) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        time = .max
        let now = NIODeadline.now().uptimeNanoseconds
        let next = refuseOverdue(now)
        if next < .max { note(max(next, now + Self.pause)) }
    }
}
