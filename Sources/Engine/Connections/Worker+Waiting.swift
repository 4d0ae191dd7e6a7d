import WebSocket

/// Connections whose input waits: for the answer to a request, for room or memory, or for the turn of other
/// connections.
extension Worker {
    /// Whether the connection's input stays in its socket for now.
    func holdsBack(_ connection: Connection) -> Bool {
        switch connection.phase {
        case .admitting:
            true
        case .open:
            !connection.flags.isDisjoint(with: .waiting) || connection.flags.contains(.runnable)
        case .closing:
            connection.flags.contains(.runnable)
        default:
            false
        }
    }

    /// Schedules a connection to continue with its held input in the next turn.
    func schedule(_ connection: Connection) {
        guard !connection.flags.contains(.runnable) else { return }
        connection.flags.insert(.runnable)
        ingress.runnable.append(connection.tag)
    }

    /// Resumes a connection that has waited for this reason.
    func resume(_ connection: Connection, _ waited: Connection.Flags) {
        guard !connection.flags.isDisjoint(with: waited) else { return }
        connection.flags.subtract(waited)
        schedule(connection)
    }

    /// Continues with scheduled connections, until `budget` is used up. The others come first in the next turn.
    func goOn(budget: Int) {
        guard !ingress.runnable.isEmpty else { return }
        let end = ingress.work + budget
        let due = ingress.runnable
        ingress.runnable = []
        var position = 0
        while position < due.count, ingress.work < end {
            let tag = due[position]
            position += 1
            guard let connection = slab.find(tag: tag) else { continue }
            connection.flags.remove(.runnable)
            goOn(connection)
        }
        if position < due.count { ingress.runnable = due[position...] + ingress.runnable }
    }

    private func goOn(_ connection: Connection) {
        guard connection.phase.readsFrames else { return }
        guard connection.flags.isDisjoint(with: .waiting) else { return }
        // Nothing was read from the connection while it waited, neither pongs nor the rest of a message.
        connection.lastReceived = now
        if let input = connection.input, input.value.unfinishedSince != Slab.never {
            input.value.unfinishedSince = now
        }
        let before = ingress.work
        let isHeavy = connection.flags.contains(.heavy)
        if connection.phase == .open, let deferred = connection.input?.value.deferred {
            connection.input?.value.deferred = nil
            ingress.work += deferred.payload.count
            deferred.payload.withUnsafeBytes { act(on: $0, deferred.opcode, connection) }
        }
        if let input = connection.input, connection.flags.isDisjoint(with: .waiting) {
            readFrames(connection, input.value.held.bytes)
        }
        noteWork(ingress.work - before, connection)
        noticeSecureEnd(connection)
        guard connection.phase != .dead else { return }
        guard connection.flags.contains(.holdsInput) else {
            // The connection's input is in its socket.
            if isHeavy, ingress.work == before, !holdsBack(connection) { receive(connection) }
            return
        }
        listenAgain(connection)
    }

    /// Notes whether a connection has caused so much work that it is read after the others next time.
    func noteWork(_ done: Int, _ connection: Connection) {
        if done > Worker.heavyWork {
            connection.flags.insert(.heavy)
        } else {
            connection.flags.remove(.heavy)
        }
    }

    /// The work of one connection in one turn beyond which it is marked as heavy.
    private static let heavyWork = 128 * 1024

    /// Reads from the socket again, if nothing keeps the connection waiting.
    func listenAgain(_ connection: Connection) {
        guard connection.flags.contains(.holdsInput), !holdsBack(connection) else { return }
        connection.flags.remove(.holdsInput)
        setInterest(connection)
    }

    /// Ends the waiting of a connection whose end begins, so that the peer's close frame or the end of its input is
    /// read.
    func waitNoMore(_ connection: Connection) {
        connection.flags.subtract(.waiting)
        if connection.phase == .closing {
            if connection.input != nil || connection.flags.contains(.holdsInput) { schedule(connection) }
        } else {
            listenAgain(connection)
        }
    }

    /// Keeps a message that can't be processed yet; it is processed before anything after it is read.
    func `defer`(
        _ message: UnsafeRawBufferPointer, _ opcode: Opcode, _ connection: Connection
    ) {
        // The caller may be using the shared idle input, which therefore becomes this connection's own.
        if connection.input == nil { takeIdleInput(connection) }
        guard let input = connection.input else { return }
        input.value.deferred = PartialInput.Deferred(opcode: opcode, payload: Array(message))
        countInput(input)
    }

    /// Closes a connection at the turn's end, when no caller is using it any more. Nothing more is read from it.
    func endSoon(
        _ connection: Connection, _ cause: CloseCause, _ code: CloseCode,
        _ reason: String
    ) {
        guard connection.phase == .open, !connection.flags.contains(.ending) else { return }
        connection.flags.insert(.ending)
        ingress.endingSoon.append((connection.tag, cause, code, reason))
    }

    func endThoseDue() {
        guard !ingress.endingSoon.isEmpty else { return }
        let due = ingress.endingSoon
        ingress.endingSoon = []
        for (tag, cause, code, reason) in due {
            guard let connection = slab.find(tag: tag), connection.phase == .open else { continue }
            beginClose(connection, cause, code, reason, then: .finishing)
        }
    }
}
