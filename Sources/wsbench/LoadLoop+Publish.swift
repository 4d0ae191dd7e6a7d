import CLinux
import Glibc
import Synchronization

/// Sending.
extension LoadLoop {
    /// A publisher's schedule in the open loop.
    @inline(__always)
    func schedule(of publisher: Int) -> SendSchedule {
        SendSchedule(
            start: scheduleStart, rate: plan.rate ?? 1, publisherCount: plan.publisherCount, publisher: publisher)
    }

    /// When the next message is due, of whichever publisher.
    var scheduledTime: UInt64 {
        schedule(of: scheduleCursor % plan.publisherCount).time(of: scheduleCursor / plan.publisherCount)
    }

    func beginPublishing() {
        scheduleStart = shared.scheduleStart.load(ordering: .relaxed)
        setReceiveBatch(plan.receiveBatch)
        if plan.rate == nil { for local in publishers.indices { sendMore(local) } }
    }

    /// Sends what the schedule says; in the closed loop, what other threads' receiving has made room for.
    func publishDue() {
        guard !publishers.isEmpty else { return }
        if plan.rate == nil {
            if plan.audience == .everyone { for local in publishers.indices { sendMore(local) } }
            return
        }
        while true {
            let due = scheduledTime
            guard due <= now, due < measureEnd else { return }
            let publisher = scheduleCursor % plan.publisherCount
            scheduleCursor += 1
            let (thread, local) = plan.place(ofPublisher: publisher)
            guard thread == index else { continue }
            publishers[local].dueCount += 1
            sendMore(local)
        }
    }

    /// Sends what a publisher may send now.
    func sendMore(_ local: Int) {
        sendMessages(allowance(local), local)
    }

    private func sendMessages(_ allowance: Int, _ local: Int) {
        var left = allowance
        guard left > 0, phase.isPublishing, connections[local].state == .open else { return }
        while left > 0, connections[local].unsent.count == 0 {
            let sent = clinux_monotonic_nanoseconds()
            guard plan.rate != nil || sent < measureEnd else { return }
            let count = min(left, writer.capacity)
            let publisher = number(local)
            let frames = writer.frames(
                publisher: publisher, from: publishers[local].sentCount, count: count, sent: sent)
            if sent >= measureStart { result.measuredSentCount += count }
            publishers[local].sentCount += count
            publishers[local].progressed = sent
            result.sentCount += count
            left -= count
            guard send(frames, on: local) else { return }
        }
    }

    /// How many messages a publisher may send.
    private func allowance(_ local: Int) -> Int {
        let publisher = publishers[local]
        if plan.rate != nil { return publisher.dueCount - publisher.sentCount }
        let rest = (plan.messageLimit ?? .max) - publisher.sentCount
        let own = min(rest, plan.window - (publisher.sentCount - publisher.returnedCount))
        guard own > 0, plan.audience == .everyone else { return own }
        // A server that serves its publishers first must not be fed faster than it serves the rest: the copies that are
        // under way, all subscribers together, have to fit into their windows too.
        let (live, arrived) = liveAndSettled(number(local))
        guard live > 0 else { return own }
        let underWay = publisher.sentCount * live - arrived
        return min(own, ((plan.window + plan.batchedMessageCount) * live - underWay) / live)
    }

    private func liveAndSettled(_ publisher: Int) -> (live: Int, settled: Int) {
        guard plan.threadCount > 1 else { return (liveCount, settled[publisher]) }
        var (live, arrived) = (liveCount, settled[publisher])
        for (other, counters) in shared.threads.enumerated() where other != index {
            live += counters.live.load(ordering: .relaxed)
            arrived += counters.settledOfPublisher[publisher]
        }
        return (live, arrived)
    }

    /// Lets a publisher send one more message where a second has brought nothing back: what a server has dropped never
    /// returns, and the next message shows that it is gone.
    func reopenStuckWindows() {
        for local in publishers.indices where connections[local].state == .open {
            let publisher = publishers[local]
            guard publisher.sentCount > publisher.returnedCount || plan.audience == .everyone,
                publisher.sentCount < plan.messageLimit ?? .max, allowance(local) <= 0,
                publisher.progressed + 1_000_000_000 < now
            else { continue }
            result.stuckCount += 1
            sendMessages(1, local)
        }
    }

    /// Sends a control frame; what the socket doesn't take is kept.
    func send(_ bytes: [UInt8], on local: Int) {
        bytes.withUnsafeBytes { _ = send($0, on: local) }
    }

    /// Sends bytes behind those that wait already.
    ///
    /// - Returns: false where the connection has ended by it.
    @discardableResult
    func send(_ bytes: UnsafeRawBufferPointer, on local: Int) -> Bool {
        guard connections[local].unsent.count == 0 else {
            connections[local].unsent.append(bytes)
            return true
        }
        let count = clinux_send(connections[local].descriptor, bytes.baseAddress!, bytes.count)
        if count == bytes.count { return true }
        let number = errno
        // What ended a connection is read from it: perhaps a close frame says why.
        guard count >= 0 || number == EAGAIN else { return false }
        keep(UnsafeRawBufferPointer(rebasing: bytes[max(0, count)...]), of: local)
        return true
    }

    /// Keeps bytes until the socket takes them.
    func keep(_ bytes: UnsafeRawBufferPointer, of local: Int) {
        connections[local].unsent.append(bytes)
        watch(local, EPOLLIN.rawValue | EPOLLOUT.rawValue)
    }

    /// Sends what was kept, and when that is done what is due since.
    func flush(_ local: Int) {
        let connection = connections + local
        let bytes = connection.pointee.unsent.bytes
        if bytes.count > 0 {
            let count = clinux_send(connection.pointee.descriptor, bytes.baseAddress!, bytes.count)
            guard count > 0 else { return }
            connection.pointee.unsent.removeFirst(count)
            guard connection.pointee.unsent.count == 0 else { return }
        }
        watch(local, EPOLLIN.rawValue)
        if local < publishers.count, phase.isPublishing { sendMore(local) }
    }
}
