import WebSocket

extension Worker {
    /// Gives a connection its deadline; whatever it is for follows from the connection's phase.
    @inline(__always)
    func setDeadline(_ slot: Int, _ tick: UInt32) {
        slab.deadlines[slot] = tick
        if tick < nextDeadline { nextDeadline = tick }
    }

    /// Looks at every deadline that has passed. One pass over a dense array, not a timer each.
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
            // A drain lets a peer that reads have all that was queued for it; its own deadline bounds that.
            if drain != nil, let backlog = record.pointee.backlog?.takeUnretainedValue(),
                now < backlog.progressAt &+ ticks(configuration.writeTimeout)
            {
                setDeadline(slot, backlog.progressAt &+ ticks(configuration.writeTimeout))
            } else {
                end(slot, record, cause: .peerGone)
            }
        }
    }

    /// The deadline of an open connection: the earliest of its write, token, pong and ping deadlines. Reading only notes the time;
    /// whether anything is really due is found out here.
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
            guard !record.pointee.flags.contains(.starved) else {
                let reason = "no memory for this message within \(configuration.messageTimeout); see limits.memory"
                beginClose(slot, record, .memoryLimit, .tryAgainLater, reason, then: .finishing)
                dropInput(record)
                return
            }
            let reason = "message not complete within \(configuration.messageTimeout); see websocket.message_timeout"
            beginClose(slot, record, .messageTimeout, .timeout, reason, then: .finishing)
            dropInput(record)
            return
        }
        // Who is not read can't be silent.
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

    /// When a message that has begun has to be complete. Who is not read is given the time once it is, but not one that is
    /// kept waiting for the size of this very message.
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

    /// A ping goes out when `pingInterval` has passed without input, and any input takes `.pinged` away again.
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
