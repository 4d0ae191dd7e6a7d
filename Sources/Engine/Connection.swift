import WebSocket

/// What a worker knows of one connection: a trivial record in its slab. Only the owning worker's thread touches it.
///
/// What an idle connection doesn't need hangs off the pointers, which are nil then.
struct Connection {
    /// Where a connection stands in its life. Each phase leads only to later ones.
    enum Phase: UInt8 {
        /// The slot holds no connection.
        case free
        /// Waiting for the whole request head.
        case handshake
        /// The request is whole; whether it is let in is being found out elsewhere.
        case admitting
        /// The WebSocket is open both ways.
        case open
        /// The end has begun, by the peer's close or its mistake, while messages of its own are still on their way through
        /// another worker; our close frame follows when they have come back.
        case fenced
        /// Our close frame is queued or sent; the peer's is awaited and its messages are dropped.
        case closing
        /// Nothing follows what is queued: once it is sent, our side is shut down.
        case finishing
        /// Our side is shut down; input is dropped until the peer shuts down its own.
        case lingering
        /// Closed in this turn; the slot is freed at the turn's end.
        case dead
    }

    struct Flags: OptionSet {
        let rawValue: UInt32
        /// In the turn's list of connections to flush.
        static let dirty = Flags(rawValue: 1 << 0)
        /// epoll reports when the socket takes more.
        static let awaitsWritable = Flags(rawValue: 1 << 1)
        /// A ping is out and nothing has come since.
        static let pinged = Flags(rawValue: 1 << 2)
        /// Has published to a channel whose home is another worker.
        static let publishedAbroad = Flags(rawValue: 1 << 3)
        /// The peer has shut down its side.
        static let peerShut = Flags(rawValue: 1 << 4)
        /// Counted among the open WebSockets (admission).
        static let admitted = Flags(rawValue: 1 << 5)
        /// A peer that does not take what was sent to it is reset instead of waited for.
        static let resetOnClose = Flags(rawValue: 1 << 6)
        /// Both close frames are exchanged: the peer has nothing more to say.
        static let handshakeClosed = Flags(rawValue: 1 << 7)
        /// The WebSocket has been opened.
        static let opened = Flags(rawValue: 1 << 8)
        /// Input is left in the socket until the connection is let in.
        static let holdsInput = Flags(rawValue: 1 << 9)
        /// While a publication is handed out: one of its messages is this connection's own and does not go back to it.
        static let excluded = Flags(rawValue: 1 << 10)
        /// Counted among those of its address (admission).
        static let addressCounted = Flags(rawValue: 1 << 11)
        /// A request is being answered elsewhere: what follows it is read when that is done.
        static let awaitsAnswer = Flags(rawValue: 1 << 12)
        /// Its end is decided and follows in this turn.
        static let ending = Flags(rawValue: 1 << 13)
        /// In the worker's list of connections that go on with input they hold.
        static let runnable = Flags(rawValue: 1 << 14)

        /// What it sends has no room at the moment: in a mailbox that is full.
        static let congested = Flags(rawValue: 1 << 15)
        /// It is in the middle of a large message while too much is held for clients.
        static let starved = Flags(rawValue: 1 << 16)
        /// Too many answers wait for it to read them.
        static let unreadAnswers = Flags(rawValue: 1 << 17)

        /// Among the turn's pieces for it are messages that it missed.
        static let isOwed = Flags(rawValue: 1 << 18)

        /// Counted among the connections that are opening, and among those of its address (admission).
        static let opening = Flags(rawValue: 1 << 19)
        static let openingCounted = Flags(rawValue: 1 << 20)

        /// It had much to say when it was last heard.
        static let heavy = Flags(rawValue: 1 << 21)

        /// Any of these: nothing more is read from an open connection for now.
        static let waiting: Flags = [.awaitsAnswer, .ending, .congested, .starved, .unreadAnswers]
    }

    let link: Link
    /// Counts the connections this slot has held; 31 bits.
    var generation: UInt32
    var phase: Phase
    var flags: Flags
    var cause: CloseCause
    /// The code of the close frame that began the end; 1006 where there was none.
    var closeCode: UInt16
    /// The endpoint's protocol, and what permessage-deflate was agreed on.
    var encoding: Encoding
    var endpoint: UInt16
    var port: UInt16
    /// The client's address: the socket peer's, or what a trusted proxy says.
    var address: IPAddress

    /// Bytes of an incomplete request head.
    var head: UnsafeMutablePointer<HeadBuffer>?
    /// What it is in the middle of; nil between messages.
    var input: UnsafeMutablePointer<PartialInput>?
    /// What the socket did not take.
    var backlog: Unmanaged<Backlog>?
    /// First and last of this turn's pieces in `Turn`; `noPiece` for none. The slab links free slots through the first.
    var firstPiece: UInt32
    var lastPiece: UInt32

    /// Who it is and which channels a `json` client is in; nil where neither is known.
    var session: UnsafeMutablePointer<Session>?
    /// The channel of a `relay` client and the place in its subscriber list; `noChannel` for none.
    var channel: UInt32
    var channelPosition: UInt32
    /// Index into the worker's user agents; 0 for none.
    var userAgent: UInt32

    /// Ticks of the worker's clock.
    var lastReceived: UInt32
    /// When the WebSocket opened, in milliseconds since 1970; before, when the connection was accepted, in nanoseconds of the
    /// worker's clock.
    var connectedAt: Int64

    var messagesIn: UInt64
    var messagesOut: UInt64
    var bytesIn: UInt64
    var bytesOut: UInt64
    /// Messages that the queue policy dropped.
    var dropped: UInt32
    /// What is left of `limits.messages_per_second`, in messages, and the tick it was counted at.
    var tokens: Float
    var tokensAt: UInt32

    static let noPiece = UInt32.max
    static let noChannel = UInt32.max

    /// What epoll carries for this connection.
    func tag(slot: Int) -> UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// A request head that is cut by the end of a read. Owned by its connection's record.
struct HeadBuffer {
    var bytes: UnsafeMutableRawPointer
    var count: Int
}
