import Base
import Channels
import Settings
import WebSocket

/// Backpressure: this worker's measures while other workers, or the memory account, have no room for its input.
extension Worker {
    /// Whether there is no room for a client's message in a channel: the mailbox of its home is full, or, at the home,
    /// that of a worker with subscribers, or too much waits for the broker.
    func isCongested(_ channel: Channel) -> Bool {
        if context.broker != nil, context.account.brokerQueue.isFull(configuration.brokerSettings.queueLimitByteCount) {
            return true
        }
        if let home = channel.home { return ingress.fullMailboxes & home.interested != 0 && isHeldUp }
        return context.handles[channel.homeWorker].mailbox.forHomes.isFull(for: index)
    }

    /// Whether messages for homes wait because a worker that gets their results has no room.
    var isHeldUp: Bool {
        let full = ingress.fullMailboxes
        full.forEachBit { worker in
            if !context.handles[worker].mailbox.atOnce.isFull(for: index) {
                ingress.fullMailboxes &= ~(1 << UInt64(worker))
            }
        }
        return ingress.fullMailboxes != 0
    }

    /// Posts a home's message to another worker, and notes if that worker's mailbox is full.
    func post(_ message: consuming WorkerMessage, to worker: Int) {
        let mailbox = context.handles[worker].mailbox
        mailbox.post(message)
        if mailbox.atOnce.isFull { ingress.fullMailboxes |= 1 << UInt64(worker) }
    }

    /// Keeps a message for which there is no room, and makes its connection wait.
    func hold(
        _ message: UnsafeRawBufferPointer, _ opcode: Opcode, _ connection: Connection
    ) {
        `defer`(message, opcode, connection)
        connection.flags.insert(.congested)
        ingress.congested.append(connection.tag)
    }

    /// Resumes the connections that waited for room. A connection that still finds none waits again.
    func resumeCongested() {
        let waiting = ingress.congested
        ingress.congested = []
        for tag in waiting {
            guard let connection = slab.find(tag: tag) else { continue }
            resume(connection, .congested)
        }
    }

    // MARK: Memory account

    /// The size in bytes of the input that a connection may hold under memory pressure.
    private static let modestByteCount = 16 * 1024

    /// Updates the memory pressure, once per turn, and acts on it.
    func lookAtPressure() {
        ingress.pressure = context.account.pressure
        if ingress.pressure < .high, !ingress.starved.isEmpty {
            let waiting = ingress.starved
            ingress.starved = []
            ingress.starvedSince = nil
            for tag in waiting {
                guard let connection = slab.find(tag: tag) else { continue }
                resume(connection, .starved)
            }
        }
        if ingress.pressure == .over { closeLargest(excess: context.account.used - context.account.byteLimit) }
        guard let since = ingress.starvedSince, nanoseconds >= since + starvedPause else { return }
        ingress.starved.removeAll { slab.find(tag: $0) == nil }
        ingress.starvedSince = ingress.starved.isEmpty ? nil : nanoseconds
        guard !ingress.starved.isEmpty else { return }
        // Connections that wait for memory in the middle of a message may wait for themselves: nobody is kept waiting for long
        // because of that, and newcomers are kept out for less.
        closeLargest(excess: context.account.used - context.account.byteLimit / 8 * 5)
    }

    /// How long connections wait for memory before those that hold most are closed: less where newcomers are refused.
    var starvedPause: UInt64 { ingress.pressure >= .full ? 1_000_000_000 : 2_000_000_000 }

    /// Whether an open connection has to wait before it is read further; sets the flags for the reason.
    func mustWait(_ connection: Connection) -> Bool {
        if let backlog = connection.backlog, backlog._withUnsafeGuaranteedRef({ $0.isFullOfAnswers }) {
            connection.flags.insert(.unreadAnswers)
        }
        if ingress.pressure >= .high, let input = connection.input,
            input.value.reader.heldByteCount > Worker.modestByteCount, !connection.flags.contains(.starved)
        {
            connection.flags.insert([.starved, .holdsInput])
            setInterest(connection)
            ingress.starved.append(connection.tag)
            ingress.starvedSince = ingress.starvedSince ?? nanoseconds
        }
        return !connection.flags.isDisjoint(with: .waiting)
    }

    /// Connections that are closed at once at most: a look reads every connection.
    private static let largestCount = 16

    /// More is held than allowed: closes the connections for which most is held, until what they held is what was too much.
    /// Those of the address for which most is held come first: many that hold little each do not hide behind one that
    /// holds more.
    private func closeLargest(excess: Int) {
        var excess = excess
        var largest: [(slot: Int, byteCount: Int)] = []
        var byAddress: [IPAddress: Int] = [:]
        for slot in 0..<slab.highWater {
            let connection = slab[slot]
            guard connection.phase.isLive else { continue }
            let byteCount = heldByteCount(connection)
            guard byteCount > 4_096 else { continue }
            largest.append((slot, byteCount))
            byAddress[connection.address.client, default: 0] += byteCount
        }
        func rank(_ entry: (slot: Int, byteCount: Int)) -> (Int, Int) {
            (byAddress[slab[entry.slot].address.client] ?? 0, entry.byteCount)
        }
        largest.sort { rank($0) > rank($1) }
        // Each worker closes as much of it as it holds itself.
        for (slot, byteCount) in largest.prefix(Worker.largestCount) where excess > 0 {
            excess -= byteCount
            closeForMemory(slab[slot], byteCount)
        }
        if excess > 0 { shedHistory(byteCount: excess / configuration.workerCount) }
    }

    /// The memory held for one connection, in bytes, including memory shared with others.
    private func heldByteCount(_ connection: Connection) -> Int {
        (connection.head?.count ?? 0) + (connection.input?.value.byteCount ?? 0)
            + (secureLink(connection)?.value.heldByteCount ?? 0)
            + (connection.backlog?._withUnsafeGuaranteedRef { $0.byteCount + $0.missedByteCount } ?? 0)
    }

    private func closeForMemory(_ connection: Connection, _ byteCount: Int) {
        let reason = "\(byteCount) bytes were held for this connection while limits.memory was exceeded"
        switch connection.phase {
        case .open:
            cutOffForMemory(connection, reason)
            dropInput(connection)
        case .handshake, .admitting:
            refuseSilently(connection, .memoryLimit, reason)
        default:
            end(connection, cause: .memoryLimit)
        }
    }

    /// The memory figures for an operator. There is one account for all workers, and only the first worker reports it.
    func memoryFigures() -> MemoryFigures {
        var figures = MemoryFigures()
        guard index == 0 else { return figures }
        let account = context.account
        figures.limit = account.byteLimit
        figures.used = account.used
        figures.input = account.input.byteCount
        figures.history = account.history.byteCount
        figures.broker = account.forBroker
        // What the broker has delivered is in the mailboxes, too.
        let posted = context.handles.reduce(0) { $0 + $1.mailbox.byteCount }
        figures.mailboxes = max(0, posted - account.deliveries.byteCount)
        figures.backlogs = max(0, account.frames.byteCount + account.batches.byteCount - figures.mailboxes)
        return figures
    }
}
