import Base
import Rooms
import WebSocket

/// A connection's state beyond its record: its identity, and the channels of a `json` client. It is owned by the
/// record.
struct Session {
    /// A connection's membership in a channel.
    struct Membership {
        enum State {
            /// The request was sent to the channel's home. The connection waits for the answer; only an operator or a
            /// reload can change the state meanwhile.
            case joining
            /// As `joining`, but the client has been removed in the meantime; the answer to its request will tell it.
            case revoked
            case joined
        }

        var channel: UInt32
        /// The index among the channel's subscribers, or one of the two values below. A byte more would cost each member
        /// 16 bytes.
        var position: UInt32
        private static let joiningPosition = UInt32.max
        private static let revokedPosition = UInt32.max - 1
        /// The generation of the configuration under which the home counted the connection; 0 if it didn't.
        var generation: UInt32 = 0
        /// The number of the message after which the live stream began, and the number of messages that the queue
        /// policy had dropped for the connection by then. As long as none has been dropped since, the stream has no
        /// gap.
        var droppedBefore: UInt32 = 0
        var startSeq: UInt64 = 0

        /// A membership whose request was sent to the channel's home.
        init(joining channel: UInt32) {
            self.channel = channel
            position = Membership.joiningPosition
        }

        /// A membership that the channel's home has admitted.
        init(channel: UInt32, position: UInt32, generation: UInt32, startSeq: UInt64, droppedBefore: UInt32) {
            self.channel = channel
            self.position = position
            self.generation = generation
            self.startSeq = startSeq
            self.droppedBefore = droppedBefore
        }

        var state: State {
            switch position {
            case Membership.joiningPosition: .joining
            case Membership.revokedPosition: .revoked
            default: .joined
            }
        }

        /// The client is removed from the channel while the answer to its request is awaited.
        mutating func revoke() { position = Membership.revokedPosition }
    }

    var identity: Identity
    /// The memberships in the order of joining.
    var memberships: ContiguousArray<Membership> = []
    /// The errors left of `limits.errors_per_minute`, and the tick at which they were counted.
    var errorTokens: Float
    var errorTokensAt: UInt32
    /// The tick at which the token expires; a new token changes it.
    var expiresAt: UInt32
    /// Whether the client has been asked for a newer token.
    var isAskedToRefresh = false
    /// `answeringHome`, in two bytes: a session with one membership is what an idle `json` client takes beside its record.
    private var answeringWorker = UInt16.max
    /// The channel that the last of these messages went to.
    var answeringChannel: UInt32 = 0

    init(identity: Identity, errorTokens: Float, errorTokensAt: UInt32, expiresAt: UInt32) {
        self.identity = identity
        self.errorTokens = errorTokens
        self.errorTokensAt = errorTokensAt
        self.expiresAt = expiresAt
    }

    /// The other worker that has not yet answered messages with an id; nil without one. No other worker, nor this one,
    /// may answer before it, so that answers come in the order of the requests.
    var answeringHome: Int? {
        get { answeringWorker == .max ? nil : Int(answeringWorker) }
        set { answeringWorker = newValue.map { UInt16(clamping: $0) } ?? .max }
    }
}

/// A client that is admitted once its token is verified and its channel's home has answered.
struct PendingOpen {
    var accept: String
    var endpoint: Int
    var address: IPAddress
    var compression: PermessageDeflate?
    var userAgent: String?
    var session: Session?
    /// The position of the last message of the endpoint's channel that the client has seen.
    var since: MessagePosition?
}
