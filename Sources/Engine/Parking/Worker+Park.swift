import Base
import Broker
import CLinux
import Glibc
import WebSocket

/// The progress of a worker that hands everything to the next process.
struct Parking {
    /// What has happened since the worker was last asked: messages were processed, connections ended.
    var activity = 0
    /// Whether nothing is taken from outside of the workers any more.
    var isDeaf = false
    /// The number of connections that could not be kept.
    var closedCount = 0
    /// Who is to be told at the turn's end whether something is under way.
    var asked: Replies<Settling>?
    /// Who gets everything at the turn's end.
    var receipt: Replies<ParkedWorker>?

    /// The time in milliseconds after which a parking worker turns if nothing wakes it.
    static let pause: Int32 = 5

    mutating func note(_ message: WorkerMessage) {
        if message.onlyLooks || isDeaf && message.isFromOutside { return }
        activity += 1
    }
}

extension WorkerMessage {
    /// Whether it changes nothing that is written down. Operators may look at a hub all the time.
    fileprivate var onlyLooks: Bool {
        switch self {
        case .operation(.broadcast), .operation(.kick), .operation(.unsubscribe): false
        case .operation, .control, .home(.inspect), .home(.follow), .home(.unfollow): true
        case .home, .connections: false
        }
    }

    /// Whether it is the answer of somebody else than a worker, who may take any time for it.
    fileprivate var isFromOutside: Bool {
        switch self {
        case .connections(.verified), .connections(.refreshed), .connections(.challenge), .home(.broker): true
        default: false
        }
    }
}

/// Handing the connections and channels to the next process.
///
/// From the first question on, a worker reads nothing more from its clients and meets no deadlines; it only finishes what
/// is under way between workers. So the state that is written down is one of between two messages.
extension Worker {
    /// Answers at the turn's end whether something is under way.
    ///
    /// - Parameter isLast: whether answers from outside are too late from now on, and the connections that wait for one
    ///   are closed: if they came when other workers have written their sections, these would lack what follows. What was
    ///   published and is not answered is refused.
    func settle(isLast: Bool, _ receipt: Replies<Settling>) {
        if parking == nil {
            parking = Parking()
            outbox.flushDelay = 0
            outbox.flushAt = nil
        }
        if isLast, !isDeaf {
            parking?.isDeaf = true
            endThoseNotKept()
        }
        if isLast { refuseUnanswered() }
        parking?.asked = receipt
    }

    /// Whether nothing is taken from outside of the workers any more.
    var isDeaf: Bool { parking?.isDeaf ?? false }

    /// Writes everything down at the turn's end.
    func park(_ receipt: Replies<ParkedWorker>) {
        if parking == nil { parking = Parking() }
        parking?.receipt = receipt
    }

    /// Refuses what was published in the channels whose home is here and the broker has not answered: nobody else would
    /// answer those requests.
    private func refuseUnanswered() {
        guard context.broker != nil else { return }
        for index in channels.indices {
            guard let channel = channels.find(index), let home = channel.home else { continue }
            for batch in home.shared?.removeAllBatches() ?? [] {
                // The answers have to arrive.
                parking?.activity += 1
                if batch.state == .accepted {
                    settle(batch, home)
                } else {
                    let isUncertain = batch.state == .sent
                    refuse(batch, BrokerRefusal(reason: ParkedSocket.restarting, isUncertain: isUncertain), home)
                }
                markShared(channel, home)
            }
        }
    }

    /// Leaves the input of a connection in its socket for the next process.
    func stopReading(_ connection: Connection, _ events: UInt32) {
        if events & EPOLLOUT.rawValue != 0 {
            if isDeaf {
                // A connection that turned out to be lost would leave its channels, whose homes may be written down.
                connection.flags.remove(.awaitsWritable)
                setInterest(connection)
            } else {
                sendBacklog(connection)
            }
        }
        guard events & EPOLLIN.rawValue != 0, connection.phase.isLive else { return }
        connection.flags.insert(.holdsInput)
        setInterest(connection)
    }

    func answerParking() {
        if let asked = parking?.asked {
            let isQuiet = parking?.activity == 0 && !hasWork && homes.messages.isEmpty
            parking?.asked = nil
            parking?.activity = 0
            asked.answer(Settling(isQuiet: isQuiet, waitingCount: isQuiet ? waitingCount : 0))
        }
        guard let receipt = parking?.receipt else { return }
        parking?.receipt = nil
        receipt.answer(writeDown())
        forgetConnections()
        stop()
    }

    /// What parking would do with the connections of this moment.
    var parkingOutlook: ParkingOutlook {
        var outlook = ParkingOutlook()
        for slot in 0..<slab.highWater where slab[slot].phase.isLive {
            let connection = slab[slot]
            switch connection.phase {
            case .handshake where isParkable(connection): outlook.handshakeCount += 1
            case .handshake: outlook.secureHandshakeCount += 1
            case .admitting: outlook.waitingCount += 1
            case .open:
                if isParkable(connection) { outlook.keptCount += 1 } else { outlook.waitingCount += 1 }
            default: outlook.endingCount += 1
            }
        }
        return outlook
    }

    /// The number of connections, and of channels, that wait for an answer from outside of the workers.
    private var waitingCount: Int {
        let shared =
            context.broker == nil
            ? 0
            : channels.indices.count { index in
                channels.find(index)?.home?.shared.map { !$0.isIdle } ?? false
            }
        return shared
            + (0..<slab.highWater).count { slot in
                let connection = slab[slot]
                return connection.phase == .admitting || connection.phase == .fenced
                    || connection.phase == .open && connection.flags.contains(.awaitsAnswer)
            }
    }

    // MARK: Writing

    /// Writes the section of this worker: its channels, each with what its home knows if that is here, and its
    /// connections, each behind its size.
    private func writeDown() -> ParkedWorker {
        // Normally there are none left.
        endThoseNotKept()
        var state = StateWriter()
        var shard = ShardWriter()
        writeChannels(to: &state, &shard)
        var parked = ParkedWorker(
            index: index, section: [], sockets: [], closedCount: parking?.closedCount ?? 0,
            statistics: telemetry.statistics, endings: telemetry.endings.all { _ in true })
        let kept = (0..<slab.highWater).filter { isParkable(slab[$0]) }
        state.write(count: kept.count)
        parked.sockets.reserveCapacity(kept.count)
        for slot in kept {
            let connection = slab[slot]
            var entry = StateWriter()
            connection.write(
                to: &entry, cookie: clinux_socket_cookie(connection.link.handedOver),
                userAgent: telemetry.userAgents.text(connection.userAgent), now: now, secureLink(connection), &shard)
            state.write(entry.bytes)
            // Without its keys, nobody can send anything on it.
            let isTorn = connection.flags.contains(.secure) || isTorn(connection)
            parked.sockets.append(ParkedSocket(descriptor: connection.link.handedOver, isTorn: isTorn))
        }
        parked.section = state.pieces
        return parked
    }

    private func writeChannels(to state: inout StateWriter, _ shard: inout ShardWriter) {
        let known = channels.indices.compactMap { channels.find($0) }
        state.write(count: known.count)
        for (number, channel) in known.enumerated() {
            shard.channelNumbers[channel.index] = UInt32(truncatingIfNeeded: number)
            state.write(channel.name)
            state.write(channel.home != nil)
            channel.home?.write(to: &state, &shard.output.blocks)
        }
    }

    /// Whether a connection can be written down: it is open and waits for no answer, or its request is not complete.
    private func isParkable(_ connection: Connection) -> Bool {
        if let secure = secureLink(connection), !secure.value.isParkable { return false }
        switch connection.phase {
        case .handshake: return true
        case .open: return connection.flags.isDisjoint(with: [.awaitsAnswer, .ending])
        default: return false
        }
    }

    /// Whether no frame may follow what is sent: a frame is partly sent, or the response to the handshake is not.
    private func isTorn(_ connection: Connection) -> Bool {
        guard let backlog = connection.backlog else { return connection.phase == .handshake }
        return connection.bytesOut == 0 || holdsSealed(connection)
            || backlog._withUnsafeGuaranteedRef { $0.isTorn }
    }

    /// Ends the connections that can't be written down. They leave their channels, as nobody else would know of them.
    private func endThoseNotKept() {
        for slot in 0..<slab.highWater where slab[slot].phase.isLive && !isParkable(slab[slot]) {
            let connection = slab[slot]
            if connection.flags.contains(.opened) { parking?.closedCount += 1 }
            sayGoodbye(connection)
            if connection.cause == .none { connection.closeCode = CloseCode.serviceRestart.rawValue }
            end(connection, cause: .restarting, reason: ParkedSocket.restarting)
        }
    }

    /// Tells a client that its connection can't be kept, if nothing that is partly sent is in the way.
    private func sayGoodbye(_ connection: Connection) {
        let last: [UInt8] =
            switch connection.phase {
            case .open where !isTorn(connection): ParkedSocket.closeFrame(ParkedSocket.restarting)
            case .admitting: Handshake.response(Worker.shuttingDown)
            default: []
            }
        last.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress, !bytes.isEmpty { _ = put(base, count: bytes.count, connection) }
        }
        sendCloseAlert(connection)
        connection.link.finishBeforeClose()
    }

    /// Frees what the records own. Their sockets are the next process's.
    private func forgetConnections() {
        for slot in 0..<slab.highWater where slab[slot].phase.isLive {
            let connection = slab[slot]
            connection.keep(nil)
            dropInput(connection)
            dropBacklog(connection)
            dropSession(connection)
            dropSecureLink(connection)
        }
    }
}

extension Link {
    /// Ends the output and reads what has come: unread input would turn the close that follows into a reset, which may
    /// overtake the output.
    fileprivate func finishBeforeClose() {
        finishSending()
        withUnsafeTemporaryAllocation(byteCount: 64 * 1024, alignment: 1) { buffer in
            var rounds = 0
            while rounds < 16, case .bytes = receive(into: buffer) { rounds += 1 }
        }
    }
}

extension [ParkedSocket] {
    /// Closes connections, evenly spread over a period, so that their clients don't all come back at once. If the task is
    /// cancelled, those that are left are closed at once.
    package func close(over period: Duration) async {
        let clock = ContinuousClock()
        let begun = clock.now
        for (number, socket) in enumerated() {
            try? await clock.sleep(until: begun + period * (Double(number) / Double(count)))
            socket.close()
        }
    }
}

extension ParkedSocket {
    /// The reason for clients that can't stay over a restart.
    package static let restarting = "the server is restarting"

    static func closeFrame(_ reason: String) -> [UInt8] {
        var builder = SegmentBuilder()
        Worker.closePayload(.serviceRestart, reason).withUnsafeBytes { builder.append(.close, payload: $0) }
        let frame = builder.finish()
        return withExtendedLifetime(frame) { Array(frame.bytes) }
    }

    /// Closes the connection, with a close frame if one can be sent.
    package func close() {
        let link = Link(descriptor)
        let last = isTorn ? sealed : ParkedSocket.closeFrame(reason)
        last.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress, !bytes.isEmpty { _ = link.send(base, count: bytes.count) }
        }
        link.finishBeforeClose()
        link.close()
    }
}
