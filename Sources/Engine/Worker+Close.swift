import CLinux
import Synchronization
import WebSocket

extension Worker {
    /// Sends a close frame and continues with `phase`: `.closing` to wait for the peer's close frame, `.finishing` to
    /// fail the connection (RFC 6455, section 7.1.7). Messages published before are sent first.
    func beginClose(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ cause: CloseCause, _ code: CloseCode,
        _ reason: String, then phase: Connection.Phase
    ) {
        record.pointee.cause = cause
        record.pointee.closeCode = code.rawValue
        report(slot, record, reason)
        guard phase == .closing else {
            fencedReasons[slot] = reason
            closeBehindOwnMessages(slot, record)
            return
        }
        leaveChannels(slot, record)
        sendClose(slot, record, code, reason: reason)
        record.pointee.phase = .closing
        waitNoMore(slot, record)
        setDeadline(slot, now &+ ticks(configuration.closeTimeout))
    }

    /// Sends the last close frame, which echoes the peer's (RFC 6455, section 5.5.1) or names its error, after all
    /// messages that the connection published before.
    func closeBehindOwnMessages(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        if awaitsOwnMessages(slot, record) {
            record.pointee.phase = .fenced
            waitNoMore(slot, record)
            setDeadline(slot, now &+ ticks(configuration.closeTimeout))
        } else {
            passFence(slot, record)
        }
    }

    /// Sends the close frame of a fenced connection: its own messages have come back, or have taken too long.
    func passFence(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        leaveChannels(slot, record)
        let code = CloseCode(rawValue: record.pointee.closeCode)
        sendClose(slot, record, code == .noStatus ? nil : code, reason: fencedReasons.removeValue(forKey: slot) ?? "")
        finish(slot, record)
    }

    func sendClose(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ code: CloseCode?, reason: String) {
        let payload = code.map { Worker.closePayload($0, reason) } ?? []
        payload.withUnsafeBytes { send(.close, $0, slot, record) }
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
    func finish(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        record.pointee.phase = .finishing
        waitNoMore(slot, record)
        setDeadline(slot, now &+ ticks(configuration.closeTimeout))
        turn.markDirty(record, slot: slot)
    }

    /// Shuts down our side after everything is sent. The peer gets time to read it and to shut down its own side:
    /// closing at once could cause a reset that overtakes the last bytes.
    func shutDown(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        // A drain doesn't wait for the peer to shut down its side once the closing handshake is complete.
        let isOver = drain != nil && record.pointee.flags.contains(.handshakeClosed)
        guard !isOver, !record.pointee.flags.contains(.peerShut) else {
            end(slot, record, cause: .peerGone)
            return
        }
        record.pointee.link.finishSending()
        record.pointee.phase = .lingering
        record.pointee.flags.remove(.resetOnClose)
        setDeadline(slot, now &+ ticks(configuration.closeTimeout))
    }

    /// Ends a connection now. Its slot is freed at the turn's end.
    ///
    /// - Parameter cause: the cause, unless the connection already has one.
    func end(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, cause: CloseCause, reason: String = "") {
        let wasOpen = record.pointee.flags.contains(.opened)
        if record.pointee.cause == .none, wasOpen {
            record.pointee.cause = cause
            report(slot, record, reason)
        }
        leaveChannels(slot, record)
        record.pointee.link.close(resets: record.pointee.flags.contains(.resetOnClose))
        if record.pointee.phase == .fenced { fencedReasons[slot] = nil }
        dropHead(record)
        dropInput(record)
        dropBacklog(record)
        dropSession(slot, record)
        openQuestions[slot] = nil
        record.pointee.phase = .dead
        slab.deadlines[slot] = Slab.never
        turn.markDead(slot)
        handle.load.subtract(1, ordering: .relaxed)
        stopOpening(record)
        if record.pointee.flags.contains(.admitted) {
            context.admission.leave(
                record.pointee.address, isCounted: record.pointee.flags.contains(.addressCounted))
        }
        guard wasOpen else { return }
        userAgents.release(record.pointee.userAgent)
        statistics.connections -= 1
        connectionsByEndpoint[Int(record.pointee.endpoint)]? -= 1
        statistics.closed[Int(record.pointee.cause.rawValue)] &+= 1
        statistics.countClose(record.pointee.closeCode)
    }

    /// Records why a connection ends, and reports it to the control plane.
    func report(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ reason: String, queuedBytes: Int? = nil) {
        let queued = record.pointee.backlog?._withUnsafeGuaranteedRef { $0.byteCount } ?? 0
        let ending = Ending(
            time: clinux_realtime_milliseconds(),
            reason: .closed(record.pointee.cause, CloseCode(rawValue: record.pointee.closeCode)), text: reason,
            address: record.pointee.address, id: id(slot, record), user: name(slot, record),
            endpoint: endpointPath(record), channels: firstChannels(record), connectedAt: record.pointee.connectedAt,
            bytesIn: record.pointee.bytesIn, bytesOut: record.pointee.bytesOut,
            queuedBytes: queuedBytes ?? queued, dropped: record.pointee.dropped)
        endings.append(ending)
        let reportsEverything = context.reportsEverything.load(ordering: .relaxed)
        guard ending.isNoteworthy || reportsEverything else { return }
        var told = ending
        told.port = record.pointee.port
        if reportsEverything { told.userAgent = userAgents.text(record.pointee.userAgent) }
        context.report(.ended(told))
    }

    /// Reports to the control plane that a slow consumer loses messages.
    func reportDropping(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, queuedBytes: Int) {
        context.report(
            .dropping(
                id(slot, record), record.pointee.address, endpoint: endpointPath(record), user: name(slot, record),
                channels: firstChannels(record), queuedBytes: queuedBytes))
    }

    private func endpointPath(_ record: UnsafeMutablePointer<Connection>) -> String {
        configuration.endpoints[Int(record.pointee.endpoint)].path
    }

    /// The names of the connection's first channels, as many as are worth recording.
    private func firstChannels(_ record: UnsafeMutablePointer<Connection>) -> [String] {
        Array(channelNames(record).prefix(16))
    }
}
