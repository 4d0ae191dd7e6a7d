import Glibc

/// One connection of a thread.
struct Connection: ~Copyable {
    /// Where it is in its life.
    enum State: UInt8 {
        case unopened
        /// TCP is connecting.
        case connecting
        /// The request is sent.
        case handshaking
        case open
        /// Our close frame is sent.
        case closing
        case ended

        /// Whether a handshake is in flight.
        var isOpening: Bool { self == .connecting || self == .handshaking }
    }

    var state = State.unopened
    /// Whether permessage-deflate was agreed on.
    var isCompressed = false
    /// Whether it stops reading after the handshake.
    var isStalled = false
    var descriptor: CInt = -1
    /// The events that epoll reports.
    var events: UInt32 = 0
    /// How many handshakes it has done.
    var handshakeCount = 0
    /// When it began to connect, or to close.
    var since: UInt64 = 0
    var reader = ServerFrameReader()
    /// What has arrived of the handshake's response.
    var head = KeptBytes()
    /// What the socket has not taken yet.
    var unsent = KeptBytes()
}
