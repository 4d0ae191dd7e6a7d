import Settings
import WebSocket

extension Worker {
    /// Sets a connection's deadline; its purpose follows from the connection's phase.
    @inline(__always)
    func setDeadline(_ connection: Connection, _ tick: UInt32) {
        slab.deadlines[connection.slot] = tick
        if tick < clock.nextDeadline { clock.nextDeadline = tick }
    }

    /// Handles all deadlines that have passed, in one pass over a dense array instead of a timer for each.
    func sweep() {
        clock.nextDeadline = Slab.never
        let earliest = slab.sweep(now: now) { connection in
            slab.deadlines[connection.slot] = Slab.never
            expired(connection)
        }
        clock.nextDeadline = min(clock.nextDeadline, earliest)
    }

    private func expired(_ connection: Connection) {
        switch connection.phase {
        case .free, .dead:
            break
        case .handshake:
            refuse(connection, Refusal(.requestTimeout, "the request did not arrive in time"))
        case .admitting:
            refuse(
                connection, Refusal(.serviceUnavailable, "this took too long; try again", fields: [Worker.retryAfter])
            )
        case .open:
            openExpired(connection)
        case .fenced:
            passFence(connection)
        case .closing, .finishing, .lingering:
            // A drain lets a peer that reads get all of its queue; the drain's own deadline bounds that.
            if drain != nil, let backlog = connection.backlog?.takeUnretainedValue(),
                now < backlog.progressAt &+ clock.ticks(configuration.queue.writeTimeout)
            {
                setDeadline(connection, backlog.progressAt &+ clock.ticks(configuration.queue.writeTimeout))
            } else {
                end(connection, cause: .peerGone)
            }
        }
    }

    /// Handles the deadline of an open connection, the earliest of its write, token, message, pong and ping deadlines.
    /// Reading only notes the time, so this checks whether any of them is really due.
    private func openExpired(_ connection: Connection) {
        if let backlog = connection.backlog?.takeUnretainedValue(),
            now >= backlog.progressAt &+ clock.ticks(configuration.queue.writeTimeout)
        {
            connection.cause = .writeTimeout
            connection.closeCode = CloseCode.timeout.rawValue
            report(connection, "the peer took nothing for \(configuration.queue.writeTimeout)")
            connection.flags.insert(.resetOnClose)
            end(connection, cause: .writeTimeout)
            return
        }
        guard tokenExpired(connection) else { return }
        if now >= messageDeadline(connection) {
            let time = configuration.websocket.messageTimeout
            if connection.flags.contains(.starved) {
                let reason = "no memory for this message within \(time); see limits.memory"
                beginClose(connection, .memoryLimit, .tryAgainLater, reason, then: .finishing)
            } else {
                let reason = "message not complete within \(time); see websocket.message_timeout"
                beginClose(connection, .messageTimeout, .timeout, reason, then: .finishing)
            }
            dropInput(connection)
            return
        }
        // A connection that is not read does not count as silent.
        if holdsBack(connection) { connection.lastReceived = now }
        guard configuration.websocket.pingInterval > .zero else {
            armOpen(connection)
            return
        }
        if connection.flags.contains(.pinged), now >= pongDeadline(connection) {
            let reason = "no pong within \(configuration.websocket.pongTimeout)"
            beginClose(connection, .pongTimeout, .timeout, reason, then: .closing)
            return
        }
        if !connection.flags.contains(.pinged), now >= pingDue(connection) {
            connection.flags.insert(.pinged)
            send(.ping, UnsafeRawBufferPointer(start: nil, count: 0), connection)
        }
        armOpen(connection)
    }

    /// The tick by which an unfinished message has to be complete. A connection that is not read gets the time once it
    /// is read again, unless it waits because of the size of this very message.
    func messageDeadline(_ connection: Connection) -> UInt32 {
        guard configuration.websocket.messageTimeout > .zero, let input = connection.input,
            input.value.unfinishedSince != Slab.never,
            connection.flags.isDisjoint(with: Connection.Flags.waiting.subtracting(.starved))
        else { return Slab.never }
        return input.value.unfinishedSince &+ clock.ticks(configuration.websocket.messageTimeout)
    }

    private func pingDue(_ connection: Connection) -> UInt32 {
        connection.lastReceived &+ clock.ticks(configuration.websocket.pingInterval)
    }

    /// The tick by which a pong is due: a ping is sent when `pingInterval` has passed without input, and any input
    /// clears `.pinged`.
    private func pongDeadline(_ connection: Connection) -> UInt32 {
        pingDue(connection) &+ clock.ticks(configuration.websocket.pongTimeout)
    }

    /// Sets the next deadline of an open connection.
    func armOpen(_ connection: Connection) {
        var deadline = Slab.never
        if configuration.websocket.pingInterval > .zero {
            let isPinged = connection.flags.contains(.pinged)
            deadline = max(now &+ 1, isPinged ? pongDeadline(connection) : pingDue(connection))
        }
        deadline = min(deadline, max(now &+ 1, tokenDeadline(connection)), max(now &+ 1, messageDeadline(connection)))
        if let backlog = connection.backlog?.takeUnretainedValue() {
            deadline = min(deadline, max(now &+ 1, backlog.progressAt &+ clock.ticks(configuration.queue.writeTimeout)))
        }
        setDeadline(connection, deadline)
    }
}
