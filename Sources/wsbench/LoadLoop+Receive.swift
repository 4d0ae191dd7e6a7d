import CLinux
import Glibc
import WebSocket

/// Receiving.
extension LoadLoop {
    /// Calls recv(2) once and handles everything received.
    func receive(_ local: Int) {
        let connection = connections + local
        let count = recv(connection.pointee.descriptor, receiveBuffer.baseAddress!, receiveBuffer.count, 0)
        now = clinux_monotonic_nanoseconds()
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            return streamEnded(local, error: count < 0 ? errno : nil)
        }
        var input = UnsafeRawBufferPointer(start: receiveBuffer.baseAddress!, count: count)
        if connection.pointee.state == .handshaking {
            guard let rest = takeResponse(input, local) else { return }
            input = rest
        }
        let allowsCompression = connection.pointee.isCompressed
        // One reading of the clock serves everything from one recv: it had all arrived by then.
        let isMeasured = now >= measureStart && now < measureEnd
        let before = result.account.deliveredCount
        while connection.pointee.descriptor >= 0 {
            switch connection.pointee.reader.next(&input, allowsCompression: allowsCompression) {
            case .needsMore:
                if isMeasured { result.measuredDeliveryCount &+= result.account.deliveredCount &- before }
                return
            case .message(let front, let byteCount, let isCompressed):
                take(front, byteCount: byteCount, isCompressed: isCompressed, local)
            case .ping(let payload):
                result.pingCount += 1
                send(ClientFrame.control(.pong, payload), on: local)
            case .pong(let payload):
                if let stamp = Stamp(payload, run: plan.run) { takeOwn(stamp, local) }
            case .close(let code, let reason):
                return closeReceived(local, code, String(decoding: reason, as: UTF8.self))
            case .failure(let text):
                return failed(local, "protocol: \(text)")
            }
        }
    }

    @inline(__always)
    private func take(_ front: UnsafeRawBufferPointer, byteCount: Int, isCompressed: Bool, _ local: Int) {
        if isCompressed {
            result.compressedCount += 1
            guard let inflated = inflation.front(of: front) else {
                result.damagedCount += 1
                return
            }
            take(inflated.stamp, byteCount: inflated.byteCount, local)
        } else {
            take(Stamp(front, run: plan.run), byteCount: byteCount, local)
        }
    }

    @inline(__always)
    private func take(_ stamp: Stamp?, byteCount: Int, _ local: Int) {
        guard let stamp, stamp.publisher < UInt32(truncatingIfNeeded: plan.publisherCount) else {
            result.foreignCount += 1
            return
        }
        guard byteCount == plan.messageByteCount else {
            result.damagedCount += 1
            return
        }
        guard plan.audience == .everyone else { return takeOwn(stamp, local) }
        guard !connections[local].isStalled else { return }
        let publisher = Int(stamp.publisher)
        let advance = result.account.receive(stamp.sequence, lane: local &* plan.publisherCount &+ publisher)
        guard advance > 0 else { return }
        settled[publisher] &+= advance
        result.settledCount &+= advance
        if local < publishers.count {
            if number(local) == publisher {
                publishers[local].returnedCount &+= advance
                publishers[local].progressed = now
            }
        } else if plan.receiveBatch != nil {
            return
        }
        record(stamp)
    }

    /// Handles a message that counts only for its publisher; messages of others are ignored.
    private func takeOwn(_ stamp: Stamp, _ local: Int) {
        guard local < publishers.count, number(local) == Int(stamp.publisher) else {
            result.othersCount += 1
            return
        }
        let advance = result.account.receive(stamp.sequence, lane: local)
        guard advance > 0 else { return }
        result.settledCount += advance
        publishers[local].returnedCount += advance
        publishers[local].progressed = now
        record(stamp)
        if phase.isPublishing { sendMore(local) }
    }

    /// Records the latency of a message that was sent, or due, during the measurement.
    @inline(__always)
    private func record(_ stamp: Stamp) {
        var from = stamp.sent
        if plan.rate != nil { from = schedule(of: Int(stamp.publisher)).time(of: Int(stamp.sequence)) }
        guard from >= measureStart else {
            if plan.isStorm { result.quiet.record(now &- min(from, now)) }
            return
        }
        guard from < measureEnd else { return }
        result.response.record(now &- min(from, now))
        if plan.rate != nil { result.service.record(now &- min(stamp.sent, now)) }
    }

    /// Sets SO_RCVLOWAT of all connections that aren't publishers; nil restores the default.
    func setReceiveBatch(_ byteCount: Int?) {
        guard plan.receiveBatch != nil else { return }
        for local in publishers.count..<connectionCount
        where connections[local].state == .open && !connections[local].isStalled {
            _ = clinux_set_option(connections[local].descriptor, SOL_SOCKET, SO_RCVLOWAT, CInt(byteCount ?? 1))
        }
    }

    /// Resumes reading on stalled connections.
    func readStalled() {
        for local in 0..<connectionCount where connections[local].isStalled && connections[local].state == .open {
            watch(local, EPOLLIN.rawValue)
        }
    }
}
