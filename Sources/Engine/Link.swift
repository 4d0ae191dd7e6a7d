import CLinux
import Glibc

/// The bytes of one connection both ways: a non-blocking stream socket. Nothing else touches the descriptor.
///
/// A trivial value of four bytes. Results of sends are a count of bytes, which may be fewer than asked, or a negative errno,
/// as io_uring(7) reports them as well.
struct Link {
    private let descriptor: Int32

    /// A link over a connected socket, which it owns until `close`.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    enum Input: Equatable {
        case bytes(Int)
        /// Nothing has come.
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

    /// Queues one piece in a ring, which must have room; `userData` comes back with the result.
    @inline(__always)
    func queue(_ bytes: UnsafeRawPointer, count: Int, in ring: SendRing, userData: UInt64) {
        ring.queue(descriptor: descriptor, bytes: bytes, count: count, userData: userData)
    }

    /// Whether a link whose send had this result, a negative errno, takes more later.
    static func mayTakeMore(after result: Int) -> Bool {
        let error = Int32(truncatingIfNeeded: -result)
        return error == EAGAIN || error == EINTR || error == ENOBUFS
    }

    /// Has an epoll instance report these events with a tag (epoll_ctl(2)); false where the kernel has no room for it.
    func watch(by epoll: Int32, for events: EPOLL_EVENTS, tag: UInt64) -> Bool {
        clinux_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, events.rawValue, tag) == 0
    }

    /// Changes the events that are reported.
    func rewatch(by epoll: Int32, for events: EPOLL_EVENTS, tag: UInt64) {
        _ = clinux_epoll_control(epoll, EPOLL_CTL_MOD, descriptor, events.rawValue, tag)
    }

    /// Says that nothing more is sent (shutdown(2)).
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the link; where `resets`, with a reset instead of what the peer has not taken yet.
    func close(resets: Bool = false) {
        if resets { _ = clinux_reset_on_close(descriptor) }
        Glibc.close(descriptor)
    }
}
