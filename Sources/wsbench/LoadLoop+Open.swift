import CLinux
import Glibc

/// Connecting and the opening handshake.
extension LoadLoop {
    /// Begins as many handshakes as the rate and the limit allow.
    func openMore() {
        let limit = max(1, plan.handshakesInFlight / plan.loadThreadCount)
        let end = plan.isStorm && phase == .opening ? publishers.count : connectionCount
        while openingCount < limit, nextUnopened < end || !redials.isEmpty {
            if plan.connectRate > 0 {
                let elapsed = Double(clinux_monotonic_nanoseconds() - openingStart) / 1e9
                guard Double(issuedCount) <= elapsed * plan.connectRate / Double(plan.loadThreadCount) else { return }
            }
            if nextUnopened < end {
                nextUnopened += 1
                dial(nextUnopened - 1)
            } else {
                dial(redials.removeLast())
            }
        }
    }

    private func dial(_ local: Int) {
        issuedCount += 1
        let number = number(local)
        let target = plan.targets[number % plan.targets.count]
        let source = plan.sources.isEmpty ? nil : plan.sources[number / plan.targets.count % plan.sources.count]
        let connection = connections + local
        connection.pointee.since = clinux_monotonic_nanoseconds()
        // A small buffer, so that unread data soon accumulates at the server and not in our kernel.
        let buffer = connection.pointee.isStalled ? 4096 : nil
        switch target.address.connect(from: source, receiveBufferByteCount: buffer) {
        case .failure(let error): openingFailed(local, error.name)
        case .success(let descriptor):
            connection.pointee.descriptor = descriptor
            connection.pointee.state = .connecting
            openingCount += 1
            // On loopback, TCP is connected by now, and the request can be sent at once.
            finishConnecting(local)
        }
    }

    /// Sends the request, if TCP is connected.
    func finishConnecting(_ local: Int) {
        let connection = connections + local
        let request = request(of: local).bytes
        let count = clinux_send(connection.pointee.descriptor, request, request.count)
        if count < 0 {
            let number = errno
            guard number == EAGAIN else { return openingFailed(local, SocketError.name(number)) }
            watch(local, EPOLLIN.rawValue | EPOLLOUT.rawValue)
            return
        }
        connection.pointee.state = .handshaking
        guard count == request.count else {
            request.withUnsafeBytes { keep(UnsafeRawBufferPointer(rebasing: $0[count...]), of: local) }
            return
        }
        watch(local, EPOLLIN.rawValue)
    }

    private func request(of local: Int) -> HandshakeRequest {
        plan.targets[number(local) % plan.targets.count].request
    }

    /// Takes the part of the response that has arrived.
    ///
    /// - Returns: the bytes after it; nil if the connection isn't open yet, or never will be.
    func takeResponse(_ input: UnsafeRawBufferPointer, _ local: Int) -> UnsafeRawBufferPointer? {
        let connection = connections + local
        var bytes = input
        if connection.pointee.head.count > 0 {
            connection.pointee.head.append(input)
            bytes = connection.pointee.head.bytes
        }
        switch parseResponse(bytes, local) {
        case .incomplete:
            if connection.pointee.head.count == 0 { connection.pointee.head.append(input) }
            return nil
        case .wrong(let text):
            openingFailed(local, "protocol: \(text)")
            return nil
        case .refused(let status):
            result.refusals[status, default: 0] += 1
            openingFailed(local, nil)
            return nil
        case .open(let byteCount, let isCompressed):
            connection.pointee.isCompressed = isCompressed
            // The bytes after the head are part of this input.
            let rest = UnsafeRawBufferPointer(rebasing: input[(input.count - (bytes.count - byteCount))...])
            connection.pointee.head.reset()
            opened(local)
            return rest
        }
    }

    private func parseResponse(_ bytes: UnsafeRawBufferPointer, _ local: Int) -> HandshakeResponse {
        let target = number(local) % plan.targets.count
        if let knownHead, knownHead.target == target, bytes.count >= knownHead.bytes.count,
            memcmp(bytes.baseAddress!, knownHead.bytes, knownHead.bytes.count) == 0
        {
            return knownHead.response
        }
        let response = HandshakeResponse.parse(bytes, for: plan.targets[target].request)
        if case .open(let byteCount, _) = response { knownHead = (target, Array(bytes[..<byteCount]), response) }
        return response
    }

    private func opened(_ local: Int) {
        let connection = connections + local
        connection.pointee.state = .open
        connection.pointee.handshakeCount += 1
        if connection.pointee.handshakeCount == 1 { result.openedCount += 1 }
        openingCount -= 1
        openCount += 1
        result.handshakeCount += 1
        result.lastHandshake = now
        if connection.pointee.isCompressed { result.compressedConnectionCount += 1 }
        result.handshakes.record(now - connection.pointee.since)
        if isCounted(local) {
            liveCount += 1
            result.countedConnections.insert(local)
        }
        if connection.pointee.isStalled { unwatch(local) }
        if plan.isStorm, local >= publishers.count {
            if connection.pointee.handshakeCount <= plan.reconnectCount { return beginClose(local) }
        }
        unsettledCount -= 1
    }

    /// Handles a connection that could not be opened.
    ///
    /// - Parameter error: the reason; nil if it is counted already.
    func openingFailed(_ local: Int, _ error: String?) {
        let connection = connections + local
        if connection.pointee.state.isOpening { openingCount -= 1 }
        if let error { result.errors[error, default: 0] += 1 }
        result.failedCount += 1
        unsettledCount -= 1
        drop(local)
    }

    /// Whether a connection has to receive all messages.
    @inline(__always)
    func isCounted(_ local: Int) -> Bool { plan.audience == .everyone && !connections[local].isStalled }

    /// Sets the events that epoll reports for a connection.
    func watch(_ local: Int, _ events: UInt32) {
        let connection = connections + local
        guard connection.pointee.events != events else { return }
        let operation = connection.pointee.events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        connection.pointee.events = events
        let result = clinux_epoll_control(epoll, operation, connection.pointee.descriptor, events, UInt64(local))
        precondition(result == 0, "epoll_ctl: \(String(cString: strerror(errno)))")
    }

    /// Removes a connection that stays open from epoll.
    func unwatch(_ local: Int) {
        _ = clinux_epoll_control(epoll, EPOLL_CTL_DEL, connections[local].descriptor, 0, 0)
        connections[local].events = 0
    }
}
