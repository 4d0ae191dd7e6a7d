import WebSocket

/// Connections whose input waits: for the answer to a request, or for the others of the turn.
extension Worker {
    /// Whether what the connection sends stays in its socket for now.
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

    /// Has a connection go on with the input that it holds in the next turn.
    func schedule(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard !record.pointee.flags.contains(.runnable) else { return }
        record.pointee.flags.insert(.runnable)
        runnable.append(record.pointee.tag(slot: slot))
    }

    /// What a connection waited for has come.
    func resume(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ waited: Connection.Flags) {
        guard !record.pointee.flags.isDisjoint(with: waited) else { return }
        record.pointee.flags.subtract(waited)
        schedule(slot, record)
    }

    /// Connections go on with what they hold, or have to say, until so much work is done. The others come first in the next
    /// turn.
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
        guard record.pointee.phase == .open || record.pointee.phase == .closing else { return }
        guard record.pointee.flags.isDisjoint(with: .waiting) else { return }
        // While it waited nothing of it was read, neither pongs nor the rest of a message.
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
            // What it has to say is in its socket.
            if isHeavy, work == before, !holdsBack(record) { receive(slot, record) }
            return
        }
        listenAgain(slot, record)
    }

    /// Notes whether a connection has had so much to say that it is heard behind the others next time.
    func noteWork(_ done: Int, _ record: UnsafeMutablePointer<Connection>) {
        if done > Worker.heavyWork {
            record.pointee.flags.insert(.heavy)
        } else {
            record.pointee.flags.remove(.heavy)
        }
    }

    /// More work than this, by one connection in one turn, is much.
    private static let heavyWork = 128 * 1024

    /// Has the socket heard again, where nothing keeps the connection waiting.
    func listenAgain(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard record.pointee.flags.contains(.holdsInput), !holdsBack(record) else { return }
        record.pointee.flags.remove(.holdsInput)
        setInterest(slot, record)
    }

    /// A connection whose end begins waits for nothing more: its own close frame, or the socket's end, is to be read.
    func waitNoMore(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        record.pointee.flags.subtract(.waiting)
        if record.pointee.phase == .closing {
            if record.pointee.input != nil || record.pointee.flags.contains(.holdsInput) { schedule(slot, record) }
        } else {
            listenAgain(slot, record)
        }
    }

    /// Keeps a message that can't be acted on yet; it is acted on before anything behind it is read.
    func `defer`(
        _ message: UnsafeRawBufferPointer, _ opcode: Opcode, _ record: UnsafeMutablePointer<Connection>
    ) {
        // The reader of those between messages may be in the caller's hands: it goes on with this connection.
        if record.pointee.input == nil { takeIdleInput(record) }
        guard let input = record.pointee.input else { return }
        input.pointee.deferred = PartialInput.Deferred(opcode: opcode, payload: Array(message))
        countInput(input)
    }

    /// Closes a connection at the turn's end, once whoever has it in hand is done. Nothing more is read from it.
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
