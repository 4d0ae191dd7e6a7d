import WebSocket

/// Connections whose input waits: for the answer to a request, for room or memory, or for the turn of other
/// connections.
extension Worker {
    /// Whether the connection's input stays in its socket for now.
    func holdsBack(_ record: UnsafeMutablePointer<Connection>) -> Bool {
        switch record.pointee.phase {
        case .admitting:
            true
        case .open:
            !record.pointee.flags.isDisjoint(with: .waiting) || record.pointee.flags.contains(.runnable)
        case .closing:
            record.pointee.flags.contains(.runnable)
        default:
            false
        }
    }

    /// Schedules a connection to continue with its held input in the next turn.
    func schedule(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard !record.pointee.flags.contains(.runnable) else { return }
        record.pointee.flags.insert(.runnable)
        runnable.append(record.pointee.tag(slot: slot))
    }

    /// Resumes a connection that has waited for this reason.
    func resume(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ waited: Connection.Flags) {
        guard !record.pointee.flags.isDisjoint(with: waited) else { return }
        record.pointee.flags.subtract(waited)
        schedule(slot, record)
    }

    /// Continues with scheduled connections, until `budget` is used up. The others come first in the next turn.
    func goOn(budget: Int) {
        guard !runnable.isEmpty else { return }
        let end = work + budget
        let due = runnable
        runnable = []
        var position = 0
        while position < due.count, work < end {
            let tag = due[position]
            position += 1
            guard let record = slab.find(tag: tag) else { continue }
            record.pointee.flags.remove(.runnable)
            goOn(Int(tag & 0xFFFF_FFFF), record)
        }
        if position < due.count { runnable = due[position...] + runnable }
    }

    private func goOn(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard record.pointee.phase.readsFrames else { return }
        guard record.pointee.flags.isDisjoint(with: .waiting) else { return }
        // Nothing was read from the connection while it waited, neither pongs nor the rest of a message.
        record.pointee.lastReceived = now
        if let input = record.pointee.input, input.pointee.unfinishedSince != Slab.never {
            input.pointee.unfinishedSince = now
        }
        let before = work
        let isHeavy = record.pointee.flags.contains(.heavy)
        if record.pointee.phase == .open, let deferred = record.pointee.input?.pointee.deferred {
            record.pointee.input?.pointee.deferred = nil
            work += deferred.payload.count
            deferred.payload.withUnsafeBytes { act(on: $0, deferred.opcode, slot, record) }
        }
        if let input = record.pointee.input, record.pointee.flags.isDisjoint(with: .waiting) {
            readFrames(slot, record, input.pointee.held.bytes)
        }
        noteWork(work - before, record)
        guard record.pointee.flags.contains(.holdsInput) else {
            // The connection's input is in its socket.
            if isHeavy, work == before, !holdsBack(record) { receive(slot, record) }
            return
        }
        listenAgain(slot, record)
    }

    /// Notes whether a connection has caused so much work that it is read after the others next time.
    func noteWork(_ done: Int, _ record: UnsafeMutablePointer<Connection>) {
        if done > Worker.heavyWork {
            record.pointee.flags.insert(.heavy)
        } else {
            record.pointee.flags.remove(.heavy)
        }
    }

    /// The work of one connection in one turn beyond which it is marked as heavy.
    private static let heavyWork = 128 * 1024

    /// Reads from the socket again, if nothing keeps the connection waiting.
    func listenAgain(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard record.pointee.flags.contains(.holdsInput), !holdsBack(record) else { return }
        record.pointee.flags.remove(.holdsInput)
        setInterest(slot, record)
    }

    /// Ends the waiting of a connection whose end begins, so that the peer's close frame or the end of its input is
    /// read.
    func waitNoMore(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        record.pointee.flags.subtract(.waiting)
        if record.pointee.phase == .closing {
            if record.pointee.input != nil || record.pointee.flags.contains(.holdsInput) { schedule(slot, record) }
        } else {
            listenAgain(slot, record)
        }
    }

    /// Keeps a message that can't be processed yet; it is processed before anything after it is read.
    func `defer`(
        _ message: UnsafeRawBufferPointer, _ opcode: Opcode, _ record: UnsafeMutablePointer<Connection>
    ) {
        // The caller may be using the shared idle input, which therefore becomes this connection's own.
        if record.pointee.input == nil { takeIdleInput(record) }
        guard let input = record.pointee.input else { return }
        input.pointee.deferred = PartialInput.Deferred(opcode: opcode, payload: Array(message))
        countInput(input)
    }

    /// Closes a connection at the turn's end, when no caller is using it any more. Nothing more is read from it.
    func endSoon(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ cause: CloseCause, _ code: CloseCode,
        _ reason: String
    ) {
        guard record.pointee.phase == .open, !record.pointee.flags.contains(.ending) else { return }
        record.pointee.flags.insert(.ending)
        endingSoon.append((record.pointee.tag(slot: slot), cause, code, reason))
    }

    func endThoseDue() {
        guard !endingSoon.isEmpty else { return }
        let due = endingSoon
        endingSoon = []
        for (tag, cause, code, reason) in due {
            guard let record = slab.find(tag: tag), record.pointee.phase == .open else { continue }
            beginClose(Int(tag & 0xFFFF_FFFF), record, cause, code, reason, then: .finishing)
        }
    }
}
