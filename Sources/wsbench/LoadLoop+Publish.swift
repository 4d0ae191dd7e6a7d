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

    /// The time at which the next message is due, of any publisher.
    var scheduledTime: UInt64 {
        schedule(of: scheduleCursor % plan.publisherCount).time(of: scheduleCursor / plan.publisherCount)
    }

    func beginPublishing() {
        scheduleStart = shared.scheduleStart.load(ordering: .relaxed)
        setReceiveBatch(plan.receiveBatch)
        if plan.rate == nil { for local in publishers.indices { sendMore(local) } }
    }

    /// Sends the messages that are due by the schedule or, in the closed loop, those for which other threads' receiving
    /// has made room.
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

    /// Sends the messages that a publisher may send now.
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

    /// The number of messages that a publisher may send.
    private func allowance(_ local: Int) -> Int {
        let publisher = publishers[local]
        if plan.rate != nil { return publisher.dueCount - publisher.sentCount }
        let rest = (plan.messageLimit ?? .max) - publisher.sentCount
        let own = min(rest, plan.window - (publisher.sentCount - publisher.returnedCount))
        guard own > 0, plan.audience == .everyone else { return own }
        // If a server serves its publishers first, it must not be fed faster than it serves the others: the copies in
        // flight to all subscribers together have to fit into their windows as well.
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

    /// Lets a publisher send one more message if nothing has come back for a second: messages that a server has dropped
    /// never come back, and the next message shows that they are gone.
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

    /// Sends a control frame, and keeps the bytes that the socket doesn't take.
    func send(_ bytes: [UInt8], on local: Int) {
        bytes.withUnsafeBytes { _ = send($0, on: local) }
    }

    /// Sends bytes after those that are waiting already.
    ///
    /// - Returns: false if the connection has ended.
    @discardableResult
    func send(_ bytes: UnsafeRawBufferPointer, on local: Int) -> Bool {
        guard connections[local].unsent.count == 0 else {
            connections[local].unsent.append(bytes)
            return true
        }
        let count = clinux_send(connections[local].descriptor, bytes.baseAddress!, bytes.count)
        if count == bytes.count { return true }
        let number = errno
        // The reason for the end of a connection is read from it: perhaps a close frame gives one.
        guard count >= 0 || number == EAGAIN else { return false }
        keep(UnsafeRawBufferPointer(rebasing: bytes[max(0, count)...]), of: local)
        return true
    }

    /// Keeps bytes until the socket accepts them.
    func keep(_ bytes: UnsafeRawBufferPointer, of local: Int) {
        connections[local].unsent.append(bytes)
        watch(local, EPOLLIN.rawValue | EPOLLOUT.rawValue)
    }

    /// Sends the kept bytes, and then the messages that have become due since.
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
