import Base
import WebSocket

/// A reference to a connection of this worker, for the duration of a call: its slot and the fields of its record.
///
/// It is valid until the slot is freed at the end of a turn; whatever outlives a call keeps a tag or a
/// `ConnectionReference` instead, and looks the connection up again (`Slab.find`). Only the owning worker's thread uses it.
@dynamicMemberLookup
struct Connection {
    let slot: Int
    private let record: UnsafeMutablePointer<ConnectionRecord>

    @inline(__always)
    init(slot: Int, record: UnsafeMutablePointer<ConnectionRecord>) {
        self.slot = slot
        self.record = record
    }

    /// A field of the record.
    subscript<Value>(dynamicMember field: WritableKeyPath<ConnectionRecord, Value>) -> Value {
        @inline(__always) get { record.pointee[keyPath: field] }
        @inline(__always) nonmutating _modify { yield &record.pointee[keyPath: field] }
    }

    /// A field of the record that does not change.
    subscript<Value>(dynamicMember field: KeyPath<ConnectionRecord, Value>) -> Value {
        @inline(__always) get { record.pointee[keyPath: field] }
    }

    var phase: LifeCycle.Phase {
        @inline(__always) get { record.pointee.life.phase }
    }

    /// Whether operators see the connection: a client that was never admitted is none.
    var isListed: Bool { self.flags.contains(.opened) && phase.isLive }

    /// Changes the phase.
    func advance(_ event: LifeCycle.Event) { record.pointee.life.advance(event) }

    /// The tag that epoll reports for this connection.
    var tag: UInt64 { UInt64(self.id.generation) << 32 | UInt64(truncatingIfNeeded: slot) }

    static let noPiece = UInt32.max
    static let noChannel = UInt32.max
}

/// A worker's state of one connection: a trivial record in its slab.
///
/// State that an idle connection doesn't need is behind pointers, which are nil while it is idle.
struct ConnectionRecord {
    let id: ConnectionID
    let link: Link
    var flags: Connection.Flags
    /// The code of the close frame that began the end; 1006 if there was none.
    var closeCode: UInt16
    var endpoint: UInt16
    var port: UInt16
    // Those of one byte together: an idle connection is little more than this record.
    var life: LifeCycle
    var cause: CloseCause
    /// The endpoint's protocol, and the negotiated permessage-deflate.
    var encoding: Encoding
    /// Messages that the queue policy dropped.
    var dropped: UInt32
    /// The client's address: that of the socket's peer, or the one that a trusted proxy reports.
    var address: IPAddress

    /// The state that only the present phase needs.
    var phaseState: Boxed<PhaseState>?
    /// The unfinished or held input; nil between messages.
    var input: Boxed<PartialInput>?
    /// The output that the socket did not take.
    var backlog: Unmanaged<Backlog>?
    /// The first and last of this turn's pieces in `Turn`; `noPiece` for none. The slab links free slots through the
    /// first.
    var firstPiece: UInt32
    var lastPiece: UInt32

    /// The user, and the channels of a `json` client; nil if there is neither.
    var session: Boxed<Session>?
    /// The channel of a `relay` client and the index in its subscriber list; `noChannel` for none.
    var channel: UInt32
    var channelPosition: UInt32
    /// The index in the worker's user agents; 0 for none.
    var userAgent: UInt32

    /// The time of the last input, in ticks of the worker's clock.
    var lastReceived: UInt32
    /// The time at which the WebSocket opened, in milliseconds since 1970; before that, the time at which the
    /// connection was accepted, in nanoseconds of the worker's clock.
    var connectedAt: Int64

    var messagesIn: UInt64
    var messagesOut: UInt64
    var bytesIn: UInt64
    var bytesOut: UInt64
    /// The messages left of `limits.messages_per_second`.
    var messageBucket: RateBucket
}

extension Connection {
    struct Flags: OptionSet {
        let rawValue: UInt32
        /// In the turn's list of connections to flush.
        static let dirty = Flags(rawValue: 1 << 0)
        /// epoll reports when the socket can take more.
        static let awaitsWritable = Flags(rawValue: 1 << 1)
        /// A ping was sent, and no input has come since.
        static let pinged = Flags(rawValue: 1 << 2)
        /// The connection has published to a channel whose home is another worker.
        static let publishedRemotely = Flags(rawValue: 1 << 3)
        /// The peer has shut down its side.
        static let peerShut = Flags(rawValue: 1 << 4)
        /// Counted among the open WebSockets (admission).
        static let admitted = Flags(rawValue: 1 << 5)
        /// A peer that does not take its pending output is reset instead of waited for.
        static let resetOnClose = Flags(rawValue: 1 << 6)
        /// Both close frames are exchanged: the peer sends nothing more.
        static let handshakeClosed = Flags(rawValue: 1 << 7)
        /// The WebSocket has been opened.
        static let opened = Flags(rawValue: 1 << 8)
        /// Input is left in the socket until the connection is admitted.
        static let holdsInput = Flags(rawValue: 1 << 9)
        /// Set while a publication is delivered: one of its messages is this connection's own and does not go back to
        /// it.
        static let excluded = Flags(rawValue: 1 << 10)
        /// Counted among the connections of its address (admission).
        static let addressCounted = Flags(rawValue: 1 << 11)
        /// Another worker or task answers a request: later input is read after that.
        static let awaitsAnswer = Flags(rawValue: 1 << 12)
        /// The connection's end is decided and follows in this turn.
        static let ending = Flags(rawValue: 1 << 13)
        /// In the worker's list of connections that continue with input that they hold.
        static let runnable = Flags(rawValue: 1 << 14)

        /// A mailbox for the connection's messages is full.
        static let congested = Flags(rawValue: 1 << 15)
        /// The connection is in the middle of a large message while too much memory is held for clients.
        static let starved = Flags(rawValue: 1 << 16)
        /// Too many answers wait for the peer to read them.
        static let unreadAnswers = Flags(rawValue: 1 << 17)

        /// The turn's pieces for the connection include missed messages.
        static let isOwed = Flags(rawValue: 1 << 18)

        /// Counted among the connections that are opening, and among those of its address (admission).
        static let opening = Flags(rawValue: 1 << 19)
        static let openingCounted = Flags(rawValue: 1 << 20)

        /// The connection's last input took a lot of work.
        static let heavy = Flags(rawValue: 1 << 21)

        /// Counted among the connections of its address that are ending (admission).
        static let endingCounted = Flags(rawValue: 1 << 22)

        /// The connection has TLS (`Slab.secureLinks`).
        static let secure = Flags(rawValue: 1 << 24)

        /// With any of these flags, nothing more is read from an open connection for now.
        static let waiting: Flags = [.awaitsAnswer, .ending, .congested, .starved, .unreadAnswers]
    }
}

/// The state of a connection that only one phase needs, and not always.
enum PhaseState {
    /// `handshake`: the bytes of an incomplete request head.
    case head([UInt8])
    /// `admitting`: the client that is admitted once everything is checked.
    indirect case admission(PendingOpen)
    /// `open`: the question that another worker is answering.
    case question(OpenQuestion)
    /// `open`: the channel of the messages that a broker may not have taken yet.
    case answering(channel: String)
    /// `fenced`: the reason of the close frame that is held back.
    case farewell(String)
}

extension Connection {
    /// Replaces the state of the phase, and frees the old one.
    func keep(_ state: PhaseState?) {
        if let old = self.phaseState { old.free() }
        self.phaseState = state.map { Boxed($0) }
    }

    var head: [UInt8]? {
        if case .head(let bytes)? = self.phaseState?.value { bytes } else { nil }
    }

    var pendingOpen: PendingOpen? {
        if case .admission(let pending)? = self.phaseState?.value { pending } else { nil }
    }

    var question: OpenQuestion? {
        if case .question(let question)? = self.phaseState?.value { question } else { nil }
    }

    var answeringChannelName: String? {
        if case .answering(let channel)? = self.phaseState?.value { channel } else { nil }
    }

    var farewell: String? {
        if case .farewell(let reason)? = self.phaseState?.value { reason } else { nil }
    }
}
