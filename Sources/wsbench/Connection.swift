import Glibc

/// One connection of a thread.
struct Connection: ~Copyable {
    /// The state of a connection.
    enum State: UInt8 {
        case unopened
        /// TCP is connecting.
        case connecting
        /// The request has been sent.
        case handshaking
        case open
        /// Our close frame has been sent.
        case closing
        case ended

        /// Whether a handshake is in flight.
        var isOpening: Bool { self == .connecting || self == .handshaking }
    }

    var state = State.unopened
    /// Whether permessage-deflate was negotiated.
    var isCompressed = false
    /// Whether the connection stops reading after the handshake.
    var isStalled = false
    var descriptor: CInt = -1
    /// The events that epoll reports.
    var events: UInt32 = 0
    /// The number of handshakes it has completed.
    var handshakeCount = 0
    /// The time at which it began to connect, or to close.
    var since: UInt64 = 0
    var reader = ServerFrameReader()
    /// The part of the handshake's response that has arrived.
    var head = KeptBytes()
    /// The bytes that the socket has not taken yet.
    var unsent = KeptBytes()
}
