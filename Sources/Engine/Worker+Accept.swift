import CLinux
import Glibc
import Synchronization
import WebSocket

extension Worker {
    /// The number of connections accepted from a listener in one turn, so that a storm does not starve existing
    /// connections.
    private static let acceptBatch = 64

    /// Starts accepting on these sockets; every worker watches all of them.
    func listen(_ sockets: [ListeningSocket]) {
        listeners = sockets
        watchListeners()
    }

    private func watchListeners() {
        for (number, listener) in listeners.enumerated() {
            // Only some of the sleeping workers are woken, not all (EPOLLEXCLUSIVE, epoll_ctl(2)).
            let events = EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue
            let tag = Worker.listenerTag | UInt64(number)
            _ = clinux_epoll_control(epoll, EPOLL_CTL_ADD, listener.descriptor, events, tag)
        }
    }

    /// Stops accepting for good; new clients of a passed listener wait in its backlog for the next process.
    func stopListening() {
        unwatchListeners()
        listeners = []
        acceptsAgainAt = nil
    }

    private func unwatchListeners() {
        for listener in listeners { _ = clinux_epoll_control(epoll, EPOLL_CTL_DEL, listener.descriptor, 0, 0) }
    }

    func resumeAccepting() {
        acceptsAgainAt = nil
        watchListeners()
    }

    /// Accepts the connections that wait at a listener and passes each to the worker with the fewest connections.
    func accept(from number: Int) {
        guard number < listeners.count else { return }
        let listener = listeners[number].descriptor
        for _ in 0..<Worker.acceptBatch {
            var peer = sockaddr_storage()
            let socket = clinux_accept(listener, &peer)
            if socket < 0 {
                switch errno {
                case EAGAIN: return
                case EINTR, ECONNABORTED, EPROTO: continue
                case EMFILE, ENFILE:
                    guard refuseForDescriptors(listener) else { return }
                    continue
                default:
                    pauseAccepting(errno)
                    return
                }
            }
            statistics.accepted &+= 1
            let (address, port) = IPAddress.parse(&peer)
            let target = leastLoaded()
            context.handles[target].load.add(1, ordering: .relaxed)
            if target == index {
                adopt(socket, address: address, port: port)
            } else {
                context.handles[target].mailbox.post(.adopt(descriptor: socket, address: address, port: port))
            }
        }
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

    /// Refuses a client when descriptors have run out: frees the reserved one to accept and answer it. False if
    /// accepting is paused.
    private func refuseForDescriptors(_ listener: Int32) -> Bool {
        let error = errno
        guard reserveDescriptor >= 0 else {
            pauseAccepting(error)
            return false
        }
        Glibc.close(reserveDescriptor)
        var peer = sockaddr_storage()
        let socket = clinux_accept(listener, &peer)
        if socket >= 0 {
            let reason = "this server is out of file descriptors"
            refuseAtOnce(Link(socket), .descriptorLimit, IPAddress.parse(&peer).0, reason)
        }
        reserveDescriptor = clinux_open_null()
        guard reserveDescriptor >= 0, socket >= 0 else {
            pauseAccepting(error)
            return false
        }
        return true
    }

    private func pauseAccepting(_ error: Int32) {
        context.report(.acceptFailed(errno: error))
        unwatchListeners()
        acceptsAgainAt = nanoseconds + 200_000_000
        if reserveDescriptor < 0 { reserveDescriptor = clinux_open_null() }
    }

    /// Refuses a client that gets no slot, without waiting for its request.
    private func refuseAtOnce(
        _ link: Link, _ cause: RefusalCause, _ address: IPAddress, _ reason: String,
        _ status: HTTPStatus = .serviceUnavailable
    ) {
        // Unread input would turn the close into a reset, which can overtake the response.
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { _ = link.receive(into: $0) }
        let answer = Handshake.response(Refusal(status, reason, fields: [Worker.retryAfter]))
        answer.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { _ = link.send(base, count: bytes.count) }
        }
        link.finishSending()
        link.close()
        count(refusal: cause, address, reason)
    }

    /// Makes an accepted socket a connection of this worker.
    func adopt(_ socket: Int32, address: IPAddress, port: UInt16) {
        let link = Link(socket)
        guard drain == nil else {
            handle.load.subtract(1, ordering: .relaxed)
            refuseAtOnce(link, .draining, address, "this server is shutting down")
            return
        }
        guard let isCounted = begin(link, address) else {
            handle.load.subtract(1, ordering: .relaxed)
            return
        }
        guard let connection = slab.allocate(link, address: address, port: port) else {
            context.admission.endOpening(address, isCounted: isCounted)
            handle.load.subtract(1, ordering: .relaxed)
            refuseAtOnce(link, .connectionLimit, address, "no room for another connection")
            return
        }
        connection.flags.insert(isCounted ? [.opening, .openingCounted] : .opening)
        guard link.watch(by: epoll, for: EPOLLIN, tag: connection.tag) else {
            end(connection, cause: .internalError)
            return
        }
        connection.lastReceived = now
        connection.connectedAt = Int64(nanoseconds)
        setDeadline(connection, now &+ ticks(configuration.handshakeTimeout))
    }

    /// Counts an accepted connection as opening. Returns whether it counts towards the limit of its address; nil if the
    /// connection was refused.
    private func begin(_ link: Link, _ address: IPAddress) -> Bool? {
        guard pressure < .full else {
            refuseAtOnce(link, .memoryLimit, address, Worker.shortOfMemory.reason)
            return nil
        }
        let isProxy = address == .none || configuration.isTrustedProxy(address)
        switch context.admission.begin(address, isProxy: isProxy) {
        case .admitted(let isCounted):
            return isCounted
        case .refused(.perAddressLimit):
            let reason = "too many connections from this address are opening; see server.max_connections_per_ip"
            refuseAtOnce(link, .perAddressLimit, address, reason, .tooManyRequests)
        case .refused(let cause):
            refuseAtOnce(link, cause, address, "too many connections are opening; see server.max_connections")
        }
        return nil
    }
}
