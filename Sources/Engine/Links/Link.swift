import CLinux
import Glibc

/// The transport of one connection: a non-blocking stream socket. Nothing else touches the descriptor.
///
/// It is a trivial value of four bytes. The result of a send is a number of bytes, which may be smaller than requested,
/// or a negative errno, as io_uring(7) reports them too.
struct Link {
    private let descriptor: Int32

    /// A link over a connected socket, which it owns until `close`.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The descriptor, for handing the connection to another process; whoever takes it must not use the link any more.
    var handedOver: Int32 { descriptor }

    enum Input: Equatable {
        case bytes(Int)
        /// No bytes have arrived.
        case none
        /// The peer has shut down its side.
        case end
        /// The connection is lost.
        case lost
    }

    /// Reads once (recv(2)).
    @inline(__always)
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Input {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        return errno == EAGAIN || errno == EINTR ? .none : .lost
    }

    /// Sends one piece (send(2)).
    @inline(__always)
    func send(_ bytes: UnsafeRawPointer, count: Int) -> Int {
        let sent = clinux_send(descriptor, bytes, count)
        return sent < 0 ? -Int(errno) : sent
    }

    /// Sends several pieces in one call (sendmsg(2)).
    @inline(__always)
    func send(_ pieces: UnsafeMutableBufferPointer<iovec>) -> Int {
        guard let first = pieces.baseAddress else { return 0 }
        let sent = clinux_send_vector(descriptor, first, pieces.count)
        return sent < 0 ? -Int(errno) : sent
    }

    /// Queues one piece in a ring, which must have room; the result is reported with `userData`.
    @inline(__always)
    func queue(_ bytes: UnsafeRawPointer, count: Int, in ring: SendRing, userData: UInt64) {
        ring.queue(descriptor: descriptor, bytes: bytes, count: count, userData: userData)
    }

    /// Whether a link can take more later, after a send with this result, a negative errno.
    static func mayTakeMore(after result: Int) -> Bool {
        let error = Int32(truncatingIfNeeded: -result)
        return error == EAGAIN || error == EINTR || error == ENOBUFS
    }

    /// Makes an epoll instance report these events with a tag (epoll_ctl(2)); false if the kernel has no room for it.
    func watch(by epoll: Int32, for events: EPOLL_EVENTS, tag: UInt64) -> Bool {
        clinux_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, events.rawValue, tag) == 0
    }

    /// Changes the events that are reported.
    func rewatch(by epoll: Int32, for events: EPOLL_EVENTS, tag: UInt64) {
        _ = clinux_epoll_control(epoll, EPOLL_CTL_MOD, descriptor, events.rawValue, tag)
    }

    /// Shuts down our side (shutdown(2)).
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the link; if `resets`, with a reset, which discards the bytes that the peer has not taken yet.
    func close(resets: Bool = false) {
        if resets { _ = clinux_reset_on_close(descriptor) }
        Glibc.close(descriptor)
    }
}
