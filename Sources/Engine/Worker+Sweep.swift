import WebSocket

extension Worker {
    /// Sets a connection's deadline; its purpose follows from the connection's phase.
    @inline(__always)
    func setDeadline(_ slot: Int, _ tick: UInt32) {
        slab.deadlines[slot] = tick
        if tick < nextDeadline { nextDeadline = tick }
    }

    /// Handles all deadlines that have passed, in one pass over a dense array instead of a timer for each.
    func sweep() {
        nextDeadline = Slab.never
        let earliest = slab.sweep(now: now) { slot in
            let record = slab[slot]
            slab.deadlines[slot] = Slab.never
            expired(slot, record)
        }
        nextDeadline = min(nextDeadline, earliest)
    }

    private func expired(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        switch record.pointee.phase {
        case .free, .dead:
            break
        case .handshake:
            refuse(slot, record, Refusal(.requestTimeout, "the request did not arrive in time"))
        case .admitting:
            refuse(
                slot, record, Refusal(.serviceUnavailable, "this took too long; try again", fields: [Worker.retryAfter])
            )
        case .open:
            openExpired(slot, record)
        case .fenced:
            passFence(slot, record)
        case .closing, .finishing, .lingering:
            // A drain lets a peer that reads get all of its queue; the drain's own deadline bounds that.
            if drain != nil, let backlog = record.pointee.backlog?.takeUnretainedValue(),
                now < backlog.progressAt &+ ticks(configuration.writeTimeout)
            {
                setDeadline(slot, backlog.progressAt &+ ticks(configuration.writeTimeout))
            } else {
                end(slot, record, cause: .peerGone)
            }
        }
    }

    /// Handles the deadline of an open connection, the earliest of its write, token, message, pong and ping deadlines.
    /// Reading only notes the time, so this checks whether any of them is really due.
    private func openExpired(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        if let backlog = record.pointee.backlog?.takeUnretainedValue(),
            now >= backlog.progressAt &+ ticks(configuration.writeTimeout)
        {
            record.pointee.cause = .writeTimeout
            record.pointee.closeCode = CloseCode.timeout.rawValue
            report(slot, record, "the peer took nothing for \(configuration.writeTimeout)")
            record.pointee.flags.insert(.resetOnClose)
            end(slot, record, cause: .writeTimeout)
            return
        }
        guard tokenExpired(slot, record) else { return }
        if now >= messageDeadline(record) {
            let time = configuration.messageTimeout
            if record.pointee.flags.contains(.starved) {
                let reason = "no memory for this message within \(time); see limits.memory"
                beginClose(slot, record, .memoryLimit, .tryAgainLater, reason, then: .finishing)
            } else {
                let reason = "message not complete within \(time); see websocket.message_timeout"
                beginClose(slot, record, .messageTimeout, .timeout, reason, then: .finishing)
            }
            dropInput(record)
            return
        }
        // A connection that is not read does not count as silent.
        if holdsBack(record) { record.pointee.lastReceived = now }
        guard configuration.pingInterval > .zero else {
            armOpen(slot, record)
            return
        }
        if record.pointee.flags.contains(.pinged), now >= pongDeadline(record) {
            let reason = "no pong within \(configuration.pongTimeout)"
            beginClose(slot, record, .pongTimeout, .timeout, reason, then: .closing)
            return
        }
        if !record.pointee.flags.contains(.pinged), now >= pingDue(record) {
            record.pointee.flags.insert(.pinged)
            send(.ping, UnsafeRawBufferPointer(start: nil, count: 0), slot, record)
        }
        armOpen(slot, record)
    }

    /// The tick by which an unfinished message has to be complete. A connection that is not read gets the time once it
    /// is read again, unless it waits because of the size of this very message.
    func messageDeadline(_ record: UnsafeMutablePointer<Connection>) -> UInt32 {
        guard configuration.messageTimeout > .zero, let input = record.pointee.input,
            input.pointee.unfinishedSince != Slab.never,
            record.pointee.flags.isDisjoint(with: Connection.Flags.waiting.subtracting(.starved))
        else { return Slab.never }
        return input.pointee.unfinishedSince &+ ticks(configuration.messageTimeout)
    }

    private func pingDue(_ record: UnsafeMutablePointer<Connection>) -> UInt32 {
        record.pointee.lastReceived &+ ticks(configuration.pingInterval)
    }

    /// The tick by which a pong is due: a ping is sent when `pingInterval` has passed without input, and any input
    /// clears `.pinged`.
    private func pongDeadline(_ record: UnsafeMutablePointer<Connection>) -> UInt32 {
        pingDue(record) &+ ticks(configuration.pongTimeout)
    }

    /// Sets the next deadline of an open connection.
    func armOpen(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        var deadline = Slab.never
        if configuration.pingInterval > .zero {
            let isPinged = record.pointee.flags.contains(.pinged)
            deadline = max(now &+ 1, isPinged ? pongDeadline(record) : pingDue(record))
        }
        deadline = min(deadline, max(now &+ 1, tokenDeadline(record)), max(now &+ 1, messageDeadline(record)))
        if let backlog = record.pointee.backlog?.takeUnretainedValue() {
            deadline = min(deadline, max(now &+ 1, backlog.progressAt &+ ticks(configuration.writeTimeout)))
        }
        setDeadline(slot, deadline)
    }
}
