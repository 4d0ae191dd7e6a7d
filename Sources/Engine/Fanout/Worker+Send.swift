import CLinux
import Glibc
import Settings
import WebSocket

extension Worker {
    /// The maximum number of pieces in one system call.
    private static let vectorCount = 64
    /// The number of connections from which a flush uses the ring; for fewer, it would save nothing.
    static let smallestRingPass = 8

    /// Queues one frame for one connection.
    func send(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, _ connection: Connection
    ) {
        let start = outbox.direct.count
        outbox.direct.append(opcode, payload: payload)
        ingress.work += payload.count
        if opcode.isControl { telemetry.statistics.controlFramesOut[Int(opcode.rawValue)] &+= 1 }
        outbox.turn.push(Turn.direct, start: start, end: outbox.direct.count, to: connection)
    }

    /// Sends the turn's output for a connection, with one call if the socket takes it all. The rest waits.
    ///
    /// With a ring, the only piece of an open connection is just queued there; `submit` sends it.
    func flush(_ connection: Connection, through ring: SendRing?) {
        connection.flags.remove(.dirty)
        let first = connection.firstPiece
        connection.firstPiece = Connection.noPiece
        connection.lastPiece = Connection.noPiece
        guard connection.phase.isLive else { return }
        if connection.flags.contains(.isOwed) {
            connection.flags.remove(.isOwed)
            let wasWaiting = connection.backlog != nil
            keep(piecesFrom: first, offset: 0, connection)
            if !wasWaiting { sendBacklog(connection) }
        } else if connection.backlog != nil {
            keep(piecesFrom: first, offset: 0, connection)
        } else if first != Connection.noPiece {
            if let ring, connection.phase == .open, outbox.turn.pieces[Int(first)].next == Connection.noPiece,
                queue(first, connection, in: ring)
            {
                return
            }
            transmit(first, connection)
        }
        guard connection.phase == .finishing, connection.backlog == nil else { return }
        shutDown(connection)
    }

    /// Queues a piece in the ring; false if it can't be sent that way.
    @inline(__always)
    private func queue(_ first: UInt32, _ connection: Connection, in ring: SendRing) -> Bool {
        if ring.isFull { submit(ring) }
        let piece = outbox.turn.pieces[Int(first)]
        let bytes = outbox.turn.segments[Int(piece.segment)]!.bytes.baseAddress! + piece.start
        let count = piece.end - piece.start
        guard let secure = secureLink(connection) else {
            connection.link.queue(
                bytes, count: count, in: ring, userData: UInt64(connection.slot) << 32 | UInt64(first))
            return true
        }
        return queue(bytes, count: count, first: first, connection, secure, in: ring)
    }

    /// Performs the sends in the ring. A connection in it is still open: in a flush, only its own send can end it.
    func submit(_ ring: SendRing) {
        ring.submit { userData, result in
            if userData & SecureWork.Queued.mark != 0 {
                let queued = secure.queued[Int(truncatingIfNeeded: userData & ~SecureWork.Queued.mark)]
                let connection = slab[queued.slot]
                let taken = take(Int(result), of: queued, connection)
                account(taken, connection, first: queued.first, wanted: queued.contentByteCount)
                return
            }
            let slot = Int(userData >> 32)
            let first = UInt32(truncatingIfNeeded: userData)
            let piece = outbox.turn.pieces[Int(first)]
            account(Int(result), slab[slot], first: first, wanted: piece.end - piece.start)
        }
        secure.forgetQueued()
    }

    /// Sends the pieces from `first` on; keeps the rest if the socket is full.
    private func transmit(_ first: UInt32, _ connection: Connection) {
        let only = outbox.turn.pieces[Int(first)]
        if only.next == Connection.noPiece {
            let bytes = outbox.turn.segments[Int(only.segment)]!.bytes
            let result = put(bytes.baseAddress! + only.start, count: only.end - only.start, connection)
            account(result, connection, first: first, wanted: only.end - only.start)
            return
        }
        var first = first
        while first != Connection.noPiece {
            var wanted = 0
            var next = first
            let result = withUnsafeTemporaryAllocation(of: iovec.self, capacity: Worker.vectorCount) { vector in
                var filled = 0
                while next != Connection.noPiece, filled < Worker.vectorCount {
                    let piece = outbox.turn.pieces[Int(next)]
                    let bytes = outbox.turn.segments[Int(piece.segment)]!.bytes
                    let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress! + piece.start)
                    vector[filled] = iovec(iov_base: start, iov_len: piece.end - piece.start)
                    wanted += piece.end - piece.start
                    filled += 1
                    next = piece.next
                }
                return put(UnsafeMutableBufferPointer(rebasing: vector[..<filled]), connection)
            }
            guard account(result, connection, first: first, wanted: wanted) else { return }
            first = next
        }
    }

    /// Accounts for the result of a send, a count or a negative errno; true if the socket took everything and more may
    /// follow.
    @discardableResult
    private func account(
        _ count: Int, _ connection: Connection, first: UInt32, wanted: Int
    ) -> Bool {
        if count == wanted, !holdsSealed(connection) {
            connection.bytesOut &+= UInt64(count)
            telemetry.statistics.bytesOut &+= UInt64(count)
            return true
        }
        guard count >= 0 || Link.mayTakeMore(after: count) else {
            end(connection, cause: .reset)
            return false
        }
        let sent = max(0, count)
        connection.bytesOut &+= UInt64(sent)
        telemetry.statistics.bytesOut &+= UInt64(sent)
        keep(piecesFrom: first, offset: sent, connection)
        awaitWritable(connection)
        return false
    }

    /// Appends this turn's pieces, without the first `offset` bytes, to the backlog, and applies the queue policy.
    private func keep(
        piecesFrom first: UInt32, offset: Int, _ connection: Connection
    ) {
        let backlog = connection.backlog?.takeUnretainedValue() ?? beginBacklog(connection)
        let before = backlog.byteCount
        let messagesBefore = backlog.frameCount
        var offset = offset
        var next = first
        while next != Connection.noPiece {
            let piece = outbox.turn.pieces[Int(next)]
            next = piece.next
            guard piece.segment & Turn.missedBit == 0 else {
                backlog.append(missed: outbox.turn.missed[Int(piece.segment & ~Turn.missedBit)])
                continue
            }
            let skipped = min(offset, piece.end - piece.start)
            offset -= skipped
            guard let segment = outbox.turn.segments[Int(piece.segment)] else { continue }
            let start = piece.start + skipped
            if piece.segment == Turn.direct || segment.isForMany {
                backlog.append(copying: segment, from: start, to: piece.end)
            } else {
                backlog.append(Backlog.Piece(segment: segment, start: start, end: piece.end))
            }
        }
        if connection.phase == .open, backlog.isOver(configuration.queue.limitByteCount) {
            applyPolicy(connection, backlog)
        }
        noteQueue(backlog, before, messagesBefore)
    }

    /// Updates the statistics after a change of a backlog.
    private func noteQueue(_ backlog: Backlog, _ byteCount: Int, _ messageCount: Int) {
        telemetry.statistics.queuedBytes += backlog.byteCount - byteCount
        telemetry.statistics.queuedMessages += backlog.frameCount - messageCount
    }

    func beginBacklog(_ connection: Connection) -> Backlog {
        let backlog = Backlog(now: now)
        connection.backlog = Unmanaged.passRetained(backlog)
        telemetry.statistics.slowConsumers += 1
        let deadline = now &+ clock.ticks(configuration.queue.writeTimeout)
        setDeadline(connection, min(slab.deadlines[connection.slot], deadline))
        return backlog
    }

    /// Applies the queue policy to a slow consumer whose queue is over its limit.
    private func applyPolicy(_ connection: Connection, _ backlog: Backlog) {
        let dropped: Int
        let queued = backlog.byteCount
        let isFirst = !backlog.isOverLimitReported
        if isFirst {
            backlog.isOverLimitReported = true
            telemetry.statistics.overLimit[Int(configuration.queue.policy.rawValue)] &+= 1
        }
        switch configuration.queue.policy {
        case .dropOldest: dropped = backlog.dropOldest(limit: configuration.queue.limitByteCount)
        case .dropNewest: dropped = backlog.dropNewest(limit: configuration.queue.limitByteCount)
        case .disconnect:
            let reason = "slow consumer: more than \(configuration.queue.limitByteCount) bytes queued"
            dropped = cutOff(backlog, connection, .slowConsumer, .policyViolation, reason, queuedBytes: queued)
        }
        if configuration.queue.policy != .disconnect, isFirst { reportDropping(connection, queuedBytes: queued) }
        connection.dropped &+= UInt32(clamping: dropped)
        telemetry.statistics.dropped &+= UInt64(dropped)
    }

    /// Ends a connection that holds too much: its queue is dropped, except for the rest of a frame that is partly sent,
    /// and a close frame with the reason follows. Returns the number of dropped frames.
    private func cutOff(
        _ backlog: Backlog, _ connection: Connection, _ cause: CloseCause,
        _ code: CloseCode, _ reason: String, queuedBytes: Int
    ) -> Int {
        connection.cause = cause
        connection.closeCode = code.rawValue
        report(connection, reason, queuedBytes: queuedBytes)
        leaveChannels(connection)
        // Pieces that leaving the channels has queued are dropped like the backlog.
        connection.firstPiece = Connection.noPiece
        connection.lastPiece = Connection.noPiece
        let dropped = backlog.dropAll()
        let payload = Worker.closePayload(code, reason)
        let close = payload.withUnsafeBytes { Segment(.close, payload: $0) }
        telemetry.statistics.controlFramesOut[Int(Opcode.close.rawValue)] &+= 1
        backlog.append(Backlog.Piece(segment: close, start: 0, end: close.count, kind: .own))
        connection.flags.insert(.resetOnClose)
        finish(connection)
        return dropped
    }

    /// Ends an open connection that holds a lot of memory while the memory limit is exceeded.
    func cutOffForMemory(_ connection: Connection, _ reason: String) {
        guard let backlog = connection.backlog?.takeUnretainedValue() else {
            beginClose(connection, .memoryLimit, .tryAgainLater, reason, then: .finishing)
            return
        }
        let before = (backlog.byteCount, backlog.frameCount)
        let dropped = cutOff(
            backlog, connection, .memoryLimit, .tryAgainLater, reason, queuedBytes: backlog.byteCount)
        connection.dropped &+= UInt32(clamping: dropped)
        telemetry.statistics.dropped &+= UInt64(dropped)
        noteQueue(backlog, before.0, before.1)
    }

    /// The size in bytes of the missed messages that are encoded in a turn.
    private static let missedBudget = 2 * 1024 * 1024

    /// Sends the backlog when the socket can take more, up to a connection's share of the turn.
    func sendBacklog(_ connection: Connection) {
        guard let backlog = connection.backlog?.takeUnretainedValue(), sendRest(connection, backlog) else { return }
        var sent = 0
        while !backlog.isEmpty {
            // Missed messages are encoded for each client, a limited amount in a turn for all of them together.
            let isOverBudget = outbox.missedByteCount > Worker.missedBudget && backlog.owesMissed
            if sent >= Worker.connectionShare || isOverBudget {
                awaitWritable(connection)
                return
            }
            let before = (backlog.byteCount, backlog.frameCount)
            outbox.missedByteCount += backlog.fetchMissed(context.account.frames, &outbox.text)
            noteQueue(backlog, before.0, before.1)
            var wanted = 0
            let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: Worker.vectorCount) { vector in
                var filled = 0
                for piece in backlog.waiting.prefix(Worker.vectorCount) {
                    guard piece.missed == nil, let base = piece.segment.bytes.baseAddress else { break }
                    vector[filled] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: base + piece.start), iov_len: piece.count)
                    wanted += piece.count
                    filled += 1
                }
                return put(UnsafeMutableBufferPointer(rebasing: vector[..<filled]), connection)
            }
            guard count >= 0 else {
                if Link.mayTakeMore(after: count) {
                    awaitWritable(connection)
                } else {
                    end(connection, cause: .reset)
                }
                return
            }
            let messagesBefore = backlog.frameCount
            backlog.consume(count)
            sent += count
            ingress.work += count
            telemetry.statistics.queuedMessages += backlog.frameCount - messagesBefore
            backlog.progressAt = now
            connection.bytesOut &+= UInt64(count)
            telemetry.statistics.bytesOut &+= UInt64(count)
            telemetry.statistics.queuedBytes -= count
            if backlog.hasRoomForAnswers { resume(connection, .unreadAnswers) }
            if count < wanted || holdsSealed(connection) {
                awaitWritable(connection)
                return
            }
        }
        dropBacklog(connection)
        resume(connection, .unreadAnswers)
        if connection.phase == .closing {
            setDeadline(connection, now &+ clock.ticks(configuration.websocket.closeTimeout))
        }
        if connection.flags.contains(.awaitsWritable) {
            connection.flags.remove(.awaitsWritable)
            setInterest(connection)
        }
        outbox.turn.markDirty(connection)
    }

    /// Makes epoll report when the socket can take more.
    func awaitWritable(_ connection: Connection) {
        guard !connection.flags.contains(.awaitsWritable) else { return }
        connection.flags.insert(.awaitsWritable)
        setInterest(connection)
    }

    func dropBacklog(_ connection: Connection) {
        guard let backlog = connection.backlog else { return }
        connection.backlog = nil
        telemetry.statistics.slowConsumers -= 1
        let (bytes, messages) = backlog._withUnsafeGuaranteedRef { ($0.byteCount, $0.frameCount) }
        telemetry.statistics.queuedBytes -= bytes
        telemetry.statistics.queuedMessages -= messages
        backlog.release()
    }

    /// Updates the events that epoll reports for this connection.
    func setInterest(_ connection: Connection) {
        let flags = connection.flags
        // A connection that waits for memory is not read, but the end of its peer is still noticed.
        let goneEvent = flags.contains(.starved) ? EPOLLRDHUP.rawValue : 0
        let events =
            goneEvent | (flags.isDisjoint(with: [.peerShut, .holdsInput]) ? EPOLLIN.rawValue : 0)
            | (flags.contains(.awaitsWritable) ? EPOLLOUT.rawValue : 0)
        connection.link.rewatch(by: epoll, for: EPOLL_EVENTS(events), tag: connection.tag)
    }
}
