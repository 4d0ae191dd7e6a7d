import Base
import CLinux
import Glibc
import Operations
import Settings
import Synchronization
import WebSocket

extension Worker {
    /// The number of connections accepted from a listener in one turn, so that a storm does not starve existing
    /// connections.
    private static let acceptBatch = 64

    /// Accepts the connections that wait at a listener and passes each to the worker with the fewest connections.
    func accept(from number: Int) {
        for _ in 0..<Worker.acceptBatch {
            var peer = sockaddr_storage()
            let socket = acceptor.accept(from: number, &peer)
            if socket < 0 {
                let error = errno
                switch error {
                case EAGAIN: return
                case EINTR, ECONNABORTED, EPROTO: continue
                case EMFILE, ENFILE:
                    if refuseForDescriptors(number) { continue }
                default: break
                }
                reportTrouble(error)
                acceptor.pause(at: nanoseconds)
                return
            }
            telemetry.statistics.accepted &+= 1
            let (address, port) = IPAddress.parse(&peer)
            let target = leastLoaded()
            context.handles[target].load.add(1, ordering: .relaxed)
            let isSecure = acceptor.isSecure(number)
            if target == index {
                adopt(socket, address: address, port: port, isSecure: isSecure)
            } else {
                context.handles[target].mailbox.post(
                    .control(.adopt(descriptor: socket, address: address, port: port, isSecure: isSecure)))
            }
        }
    }

    /// Reports to the control plane that accept(2) fails; the worker tries again shortly.
    private func reportTrouble(_ error: Int32) {
        var event = Event(.trouble, millisecondsSinceEpoch: clinux_realtime_milliseconds())
        event.text = "accepting connections fails: \(String(cString: strerror(error)))"
        var told = EngineEvent(event)
        told.errorNumber = error
        context.report(told)
    }

    private func leastLoaded() -> Int {
        var best = index
        var least = handle.load.load(ordering: .relaxed)
        for (candidate, other) in context.handles.enumerated() {
            let load = other.load.load(ordering: .relaxed)
            if load < least {
                least = load
                best = candidate
            }
        }
        return best
    }

    /// Refuses a client when descriptors have run out: the reserved one serves to accept and answer it. False if that
    /// does not work.
    private func refuseForDescriptors(_ number: Int) -> Bool {
        var peer = sockaddr_storage()
        let socket = acceptor.acceptWithReserve(from: number, &peer)
        if socket >= 0 {
            let reason = "this server is out of file descriptors"
            refuseAtOnce(
                Link(socket), .descriptorLimit, IPAddress.parse(&peer).0, reason, isSecure: acceptor.isSecure(number))
        }
        return acceptor.reserve() && socket >= 0
    }

    /// Refuses a client that gets no slot, without waiting for its request.
    ///
    /// - Parameters:
    ///   - isSecure: whether it begins with TLS: then it gets an alert.
    ///   - isTakenOver: whether an earlier process has accepted it: with TLS its keys are in use, so it gets nothing.
    private func refuseAtOnce(
        _ link: Link, _ cause: RefusalCause, _ address: IPAddress, _ reason: String,
        _ status: HTTPStatus = .serviceUnavailable, isSecure: Bool, isTakenOver: Bool = false
    ) {
        // Unread input would turn the close into a reset, which can overtake the response.
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { _ = link.receive(into: $0) }
        let answer =
            switch (isSecure, isTakenOver) {
            case (false, _): Handshake.response(Refusal(status, reason, fields: [Worker.retryAfter]))
            case (true, false): Worker.refusingAlert
            case (true, true): [UInt8]()
            }
        answer.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { _ = link.send(base, count: bytes.count) }
        }
        link.finishSending()
        link.close()
        count(refusal: cause, address, reason)
    }

    /// The alert "internal_error" before any handshake (RFC 8446, section 6.2): nothing else fits a server that is full.
    private static let refusingAlert: [UInt8] = [21, 3, 3, 0, 2, 2, 80]

    /// Makes an accepted socket a connection of this worker; nil if the client is refused.
    ///
    /// - Parameter isTakenOver: whether an earlier process has accepted it.
    @discardableResult
    func adopt(
        _ socket: Int32, address: IPAddress, port: UInt16, isSecure: Bool, isTakenOver: Bool = false
    ) -> Connection? {
        let link = Link(socket)
        guard drain == nil else {
            handle.load.subtract(1, ordering: .relaxed)
            let reason = "this server is shutting down"
            refuseAtOnce(link, .draining, address, reason, isSecure: isSecure, isTakenOver: isTakenOver)
            return nil
        }
        guard let isCounted = begin(link, address, isSecure, isTakenOver) else {
            handle.load.subtract(1, ordering: .relaxed)
            return nil
        }
        guard let connection = slab.allocate(link, address: address, port: port) else {
            context.admission.endOpening(address, isCounted: isCounted)
            handle.load.subtract(1, ordering: .relaxed)
            let reason = "no room for another connection"
            refuseAtOnce(link, .connectionLimit, address, reason, isSecure: isSecure, isTakenOver: isTakenOver)
            return nil
        }
        if isSecure {
            connection.flags.insert(.secure)
            slab.secureLinks[connection.slot] = Boxed(SecureLink())
        }
        connection.flags.formUnion(isCounted ? [.opening, .openingCounted] : .opening)
        guard link.watch(by: epoll, for: EPOLLIN, tag: connection.tag) else {
            end(connection, cause: .internalError)
            return nil
        }
        connection.lastReceived = now
        connection.connectedAt = Int64(nanoseconds)
        setDeadline(connection, now &+ clock.ticks(configuration.server.handshakeTimeout))
        return connection
    }

    /// Counts an accepted connection as opening. Returns whether it counts towards the limit of its address; nil if the
    /// connection was refused.
    private func begin(_ link: Link, _ address: IPAddress, _ isSecure: Bool, _ isTakenOver: Bool) -> Bool? {
        func refuse(_ cause: RefusalCause, _ reason: String, _ status: HTTPStatus = .serviceUnavailable) {
            refuseAtOnce(link, cause, address, reason, status, isSecure: isSecure, isTakenOver: isTakenOver)
        }
        guard ingress.pressure < .full else {
            refuse(.memoryLimit, Worker.shortOfMemory.reason)
            return nil
        }
        switch context.admission.begin(address, isProxy: isProxy(address)) {
        case .admitted(let isCounted):
            return isCounted
        case .refused(.perAddressLimit):
            let reason =
                "too many connections from this address are opening or ending; see server.max_connections_per_ip"
            refuse(.perAddressLimit, reason, .tooManyRequests)
        case .refused(let cause):
            let reason = "too many connections are opening; see server.max_connections"
            refuse(cause, reason)
        }
        return nil
    }

    /// Stops counting a connection as opening.
    func stopOpening(_ connection: Connection) {
        guard connection.flags.contains(.opening) else { return }
        context.admission.endOpening(
            connection.address, isCounted: connection.flags.contains(.openingCounted))
        connection.flags.subtract([.opening, .openingCounted])
    }

    /// Counts a connection that has its answer as ending instead of opening.
    func beginEnding(_ connection: Connection) {
        stopOpening(connection)
        guard !connection.flags.contains(.endingCounted),
            context.admission.beginEnding(connection.address, isProxy: isProxy(connection.address))
        else { return }
        connection.flags.insert(.endingCounted)
    }

    /// Whether a peer's address is that of a proxy instead of a client's.
    func isProxy(_ address: IPAddress) -> Bool { address == .none || configuration.isTrustedProxy(address) }
}
