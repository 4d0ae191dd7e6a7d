import CLinux
import Glibc
import WebSocket

/// The end of connections.
extension LoadLoop {
    /// Closes all open connections with 1000.
    func closeAll() {
        unsettledCount = 0
        for local in 0..<connectionCount {
            let state = connections[local].state
            if state.isOpening {
                openingCount -= 1
                drop(local)
            }
            guard state == .open else { continue }
            if connections[local].isStalled { result.stalledEnds["still open", default: 0] += 1 }
            beginClose(local)
            unsettledCount += 1
        }
    }

    /// Sends our close frame. Once the server has closed as well, a connection of the storm may connect again.
    func beginClose(_ local: Int) {
        let connection = connections + local
        connection.pointee.state = .closing
        connection.pointee.since = now
        openCount -= 1
        if connection.pointee.events == 0 { watch(local, EPOLLIN.rawValue) }
        send(ClientFrame.control(.close, [0x03, 0xE8]), on: local)
    }

    /// Handles the server's close frame: answers it; the end of the stream follows.
    func closeReceived(_ local: Int, _ code: CloseCode?, _ reason: String) {
        // An answer to our close frame: the server closes the stream next, so that it keeps the TIME_WAIT and we the
        // port.
        guard connections[local].state == .open else { return }
        send(
            ClientFrame.control(.close, code.map { [UInt8($0.rawValue >> 8), UInt8($0.rawValue & 0xFF)] } ?? []),
            on: local)
        let words = ["close", code.map(String.init(describing:)) ?? "without a code", reason]
        failed(local, words.filter { !$0.isEmpty }.joined(separator: " "))
    }

    /// Handles the end of the stream.
    func streamEnded(_ local: Int, error: CInt?) {
        switch connections[local].state {
        case .connecting, .handshaking:
            openingFailed(local, error.map(SocketError.name) ?? "closed during the handshake")
        case .open:
            failed(local, error == nil ? "end of stream" : error == ECONNRESET ? "reset" : SocketError.name(error!))
        default: ended(local)
        }
    }

    /// Handles an open connection that ended unexpectedly.
    func failed(_ local: Int, _ how: String) {
        if connections[local].state == .closing { return ended(local) }
        openCount -= 1
        if isCounted(local) {
            liveCount -= 1
            // The connection counts no longer: neither the messages it should have received nor those it has.
            for publisher in settled.indices {
                let position = result.account.position(lane: local * plan.publisherCount + publisher)
                settled[publisher] -= position
                result.settledCount -= position
            }
        } else if plan.audience == .own, local < publishers.count {
            result.settledCount += publishers[local].sentCount - publishers[local].returnedCount
        }
        if connections[local].isStalled {
            result.stalledEnds[how, default: 0] += 1
        } else {
            result.ends[how, default: 0] += 1
        }
        drop(local)
        result.endedConnections.insert(local)
    }

    /// Handles a connection that ended as expected.
    private func ended(_ local: Int) {
        let again = connections[local].handshakeCount
        drop(local)
        if phase == .storming, local >= publishers.count, again <= plan.reconnectCount {
            redials.append(local)
        } else {
            unsettledCount -= 1
        }
    }

    /// Closes a connection's socket and frees its memory.
    func drop(_ local: Int) {
        let connection = connections + local
        connection.pointee.state = .ended
        connection.pointee.events = 0
        if connection.pointee.descriptor >= 0 { close(connection.pointee.descriptor) }
        connection.pointee.descriptor = -1
        connection.pointee.reader = ServerFrameReader()
        connection.pointee.head.reset()
        connection.pointee.unsent.reset()
    }

    /// Gives up handshakes and closes that take too long.
    func sweepTimeouts() {
        guard openingCount > 0 || phase == .closing || phase == .storming else { return }
        for local in 0..<nextUnopened {
            let state = connections[local].state
            guard state.isOpening || state == .closing, connections[local].since + plan.timeout < now else { continue }
            if state.isOpening {
                openingFailed(local, "handshake timeout")
            } else {
                // A stalled connection may have more to read than there is time for.
                if !connections[local].isStalled { result.errors["close timeout", default: 0] += 1 }
                ended(local)
            }
        }
    }

    /// Records the last figures in the result for the conductor.
    func finish() {
        result.publisherSentCounts = publishers.map(\.sentCount)
        if plan.rate != nil {
            let end = min(measureEnd, now)
            for local in publishers.indices {
                let waits = schedule(of: number(local))
                    .waits(ofUnsentFrom: publishers[local].sentCount, notBefore: measureStart, end: end)
                result.unsentCount += waits.count
                for wait in waits { result.response.record(wait) }
            }
        }
    }
}
