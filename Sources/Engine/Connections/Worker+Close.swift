import Base
import CLinux
import Operations
import Settings
import Synchronization
import WebSocket

extension Worker {
    /// Sends a close frame and continues with `phase`: `.closing` to wait for the peer's close frame, `.finishing` to
    /// fail the connection (RFC 6455, section 7.1.7). Messages published before are sent first.
    func beginClose(
        _ connection: Connection, _ cause: CloseCause, _ code: CloseCode,
        _ reason: String, then phase: LifeCycle.Phase
    ) {
        connection.cause = cause
        connection.closeCode = code.rawValue
        report(connection, reason)
        guard phase == .closing else {
            closeBehindOwnMessages(connection, reason: reason)
            return
        }
        leaveChannels(connection)
        sendClose(connection, code, reason: reason)
        connection.advance(.closeSent)
        waitNoMore(connection)
        setDeadline(connection, now &+ clock.ticks(configuration.websocket.closeTimeout))
    }

    /// Sends the last close frame, which echoes the peer's (RFC 6455, section 5.5.1) or names its error, after all
    /// messages that the connection published before.
    func closeBehindOwnMessages(_ connection: Connection, reason: String = "") {
        if awaitsOwnMessages(connection) {
            connection.keep(.farewell(reason))
            connection.advance(.heldBack)
            waitNoMore(connection)
            setDeadline(connection, now &+ clock.ticks(configuration.websocket.closeTimeout))
        } else {
            sendFarewell(connection, reason)
        }
    }

    /// Sends the close frame of a fenced connection: its own messages have come back, or have taken too long.
    func passFence(_ connection: Connection) {
        let reason = connection.farewell ?? ""
        connection.keep(nil)
        sendFarewell(connection, reason)
    }

    private func sendFarewell(_ connection: Connection, _ reason: String) {
        leaveChannels(connection)
        let code = CloseCode(rawValue: connection.closeCode)
        sendClose(connection, code == .noStatus ? nil : code, reason: reason)
        finish(connection)
    }

    func sendClose(_ connection: Connection, _ code: CloseCode?, reason: String) {
        let payload = code.map { Worker.closePayload($0, reason) } ?? []
        payload.withUnsafeBytes { send(.close, $0, connection) }
    }

    /// The payload of a close frame: the code and as much of the reason as fits (RFC 6455, section 5.5.1), cut between
    /// scalars.
    static func closePayload(_ code: CloseCode, _ reason: String) -> [UInt8] {
        var payload = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)]
        for scalar in reason.unicodeScalars {
            let encoded = UTF8.encode(scalar)!
            guard payload.count + encoded.count <= 125 else { break }
            payload.append(contentsOf: encoded)
        }
        return payload
    }

    /// Ends the output to a connection: once its queue is sent, our side is shut down.
    func finish(_ connection: Connection) {
        connection.advance(.finished)
        waitNoMore(connection)
        setDeadline(connection, now &+ clock.ticks(configuration.websocket.closeTimeout))
        outbox.turn.markDirty(connection)
    }

    /// Shuts down our side after everything is sent. The peer gets time to read it and to shut down its own side:
    /// closing at once could cause a reset that overtakes the last bytes.
    func shutDown(_ connection: Connection) {
        // A drain doesn't wait for the peer to shut down its side once the closing handshake is complete.
        let isOver = drain != nil && connection.flags.contains(.handshakeClosed)
        guard !isOver, !connection.flags.contains(.peerShut) else {
            end(connection, cause: .peerGone)
            return
        }
        sendCloseAlert(connection)
        connection.link.finishSending()
        connection.advance(.sentAll)
        connection.flags.remove(.resetOnClose)
        setDeadline(connection, now &+ clock.ticks(configuration.websocket.closeTimeout))
    }

    /// Ends a connection now. Its slot is freed at the turn's end.
    ///
    /// - Parameter cause: the cause, unless the connection already has one.
    func end(_ connection: Connection, cause: CloseCause, reason: String = "") {
        parking?.activity += 1
        let wasOpen = connection.flags.contains(.opened)
        if connection.cause == .none, wasOpen {
            connection.cause = cause
            report(connection, reason)
        }
        leaveChannels(connection)
        // Its place is free before the peer can know: who comes again at once may reach another worker.
        stopOpening(connection)
        if connection.flags.contains(.endingCounted) { context.admission.endEnding(connection.address) }
        if connection.flags.contains(.admitted) {
            context.admission.leave(
                connection.address, isCounted: connection.flags.contains(.addressCounted))
        }
        if cause != .reset, !connection.flags.contains(.resetOnClose) { sendCloseAlert(connection) }
        dropSecureLink(connection)
        connection.link.close(resets: connection.flags.contains(.resetOnClose))
        dropHead(connection)
        connection.keep(nil)
        dropInput(connection)
        dropBacklog(connection)
        dropSession(connection)
        connection.advance(.ended)
        slab.deadlines[connection.slot] = Slab.never
        outbox.turn.markDead(connection.slot)
        handle.load.subtract(1, ordering: .relaxed)
        guard wasOpen else { return }
        telemetry.userAgents.release(connection.userAgent)
        telemetry.statistics.connections -= 1
        telemetry.connectionsByEndpoint[Int(connection.endpoint)]? -= 1
        telemetry.statistics.closed[Int(connection.cause.rawValue)] &+= 1
        telemetry.statistics.countClose(connection.closeCode)
    }

    /// Records why a connection ends, and reports it to the control plane.
    func report(_ connection: Connection, _ reason: String, queuedBytes: Int? = nil) {
        let queued = connection.backlog?._withUnsafeGuaranteedRef { $0.byteCount } ?? 0
        var event = event(.close, connection, channels: firstChannels(connection))
        event.cause = connection.cause.label
        event.code = Int(connection.closeCode)
        if !reason.isEmpty { event.text = reason }
        event.connectedSince = Timestamp(millisecondsSinceEpoch: connection.connectedAt)
        event.queuedBytes = queuedBytes ?? queued
        event.droppedMessages = Int(connection.dropped)
        telemetry.endings.append(event, connection.cause)
        let reportsEverything = context.reportsEverything.load(ordering: .relaxed)
        guard connection.cause.isNoteworthy || reportsEverything else { return }
        var told = EngineEvent(event)
        told.isNoteworthy = connection.cause.isNoteworthy
        told.port = connection.port
        told.bytesIn = connection.bytesIn
        told.bytesOut = connection.bytesOut
        if reportsEverything { told.userAgent = telemetry.userAgents.text(connection.userAgent) }
        context.report(told)
    }

    /// Reports to the control plane that a slow consumer loses messages; once until its queue is empty again.
    func reportDropping(_ connection: Connection, queuedBytes: Int) {
        var event = event(.slow, connection, channels: firstChannels(connection))
        event.queuedBytes = queuedBytes
        context.report(EngineEvent(event))
    }

    /// An event of a connection, with what every such event says.
    func event(_ kind: Event.Kind, _ connection: Connection, channels: [String]) -> Event {
        var event = Event(kind, millisecondsSinceEpoch: clinux_realtime_milliseconds())
        event.id = connection.id
        event.address = connection.address
        event.endpoint = configuration.endpoints[Int(connection.endpoint)].path
        event.user = name(connection)
        if !channels.isEmpty { event.channels = channels }
        return event
    }

    /// The names of the connection's first channels, as many as are worth recording.
    private func firstChannels(_ connection: Connection) -> [String] {
        Array(channelNames(connection).prefix(16))
    }
}
