import CLinux
import Glibc

/// The listening sockets of a worker. Every worker of a hub watches all of them.
final class Acceptor {
    private let epoll: Int32
    private var listeners: [ListeningSocket] = []
    /// A reserved descriptor, so that a connection can still be accepted, and refused, when descriptors run out.
    private var reserveDescriptor = clinux_open_null()
    /// The time at which accepting is tried again after a failure, in nanoseconds of the worker's clock; nil while it
    /// works.
    private(set) var acceptsAgainAt: UInt64?

    /// The tag by which epoll reports the first listener; those of the others follow it.
    static let tag: UInt64 = 1 << 63 | 1 << 62
    private static let pause: UInt64 = 200_000_000

    /// - Parameter epoll: the worker's epoll instance.
    init(epoll: Int32) { self.epoll = epoll }

    deinit { if reserveDescriptor >= 0 { Glibc.close(reserveDescriptor) } }

    /// Starts accepting on these sockets.
    func listen(_ sockets: [ListeningSocket]) {
        listeners = sockets
        watch()
    }

    /// Stops accepting for good; new clients of a passed listener wait in its backlog for the next process.
    func stop() {
        unwatch()
        listeners = []
        acceptsAgainAt = nil
    }

    /// Tries again later.
    func pause(at now: UInt64) {
        unwatch()
        acceptsAgainAt = now + Acceptor.pause
        if reserveDescriptor < 0 { reserveDescriptor = clinux_open_null() }
    }

    /// Accepts again, if the pause is over.
    func resume(at now: UInt64) {
        guard let acceptsAgainAt, now >= acceptsAgainAt else { return }
        self.acceptsAgainAt = nil
        watch()
    }

    private func watch() {
        for (number, listener) in listeners.enumerated() {
            // Only some of the sleeping workers are woken, not all (EPOLLEXCLUSIVE, epoll_ctl(2)).
            let events = EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue
            _ = clinux_epoll_control(
                epoll, EPOLL_CTL_ADD, listener.descriptor, events, Acceptor.tag | UInt64(number))
        }
    }

    private func unwatch() {
        for listener in listeners { _ = clinux_epoll_control(epoll, EPOLL_CTL_DEL, listener.descriptor, 0, 0) }
    }

    /// Accepts a connection from a listener (accept4(2)); a negative number if there is none or it fails, with `errno`.
    func accept(from number: Int, _ peer: inout sockaddr_storage) -> Int32 {
        guard number < listeners.count else {
            errno = EAGAIN
            return -1
        }
        return clinux_accept(listeners[number].descriptor, &peer)
    }

    /// Whether the clients of a listener begin with TLS.
    func isSecure(_ number: Int) -> Bool { listeners.indices.contains(number) && listeners[number].isSecure }

    /// Accepts a connection with the reserved descriptor, when there is no other; negative if that fails, too.
    func acceptWithReserve(from number: Int, _ peer: inout sockaddr_storage) -> Int32 {
        guard reserveDescriptor >= 0 else { return -1 }
        Glibc.close(reserveDescriptor)
        reserveDescriptor = -1
        return accept(from: number, &peer)
    }

    /// Reserves a descriptor again; false if there is none.
    func reserve() -> Bool {
        if reserveDescriptor < 0 { reserveDescriptor = clinux_open_null() }
        return reserveDescriptor >= 0
    }
}
