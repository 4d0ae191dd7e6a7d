import Rooms
import WebSocket

/// What a connection has beyond its record: who it is, and the channels of a `json` client. Owned by the record.
struct Session {
    /// A place in a channel.
    struct Membership {
        enum State: UInt8 {
            /// The channel's home has been asked. The connection waits for the answer; only an operator or a reload can come
            /// between.
            case joining
            /// Likewise, and the client has been taken out since, of which the answer to its request will tell.
            case revoked
            case joined
        }

        var channel: UInt32
        /// The place among the channel's subscribers.
        var position: UInt32
        var state: State
        /// The configuration under which the home counted the connection; 0 where it didn't.
        var generation: UInt32 = 0
        /// The number of the message after which the live stream began, and how many messages the queue policy had dropped
        /// for the connection by then: while none has been dropped since, the stream has no gap.
        var startSeq: UInt64 = 0
        var droppedBefore: UInt32 = 0
    }

    var identity: Identity
    /// Ordered by the time of joining.
    var memberships: ContiguousArray<Membership> = []
    /// What is left of `limits.errors_per_minute`, and the tick it was counted at.
    var errorTokens: Float
    var errorTokensAt: UInt32
    /// The tick at which the token expires; a refreshed one moves it.
    var expiresAt: UInt32
    /// Whether the client has been asked for a newer token.
    var isAskedToRefresh = false
    /// The other worker that has still to answer messages with an id, where one has: no other worker, nor this one, is to
    /// answer before it, so that answers come in the order of the requests.
    var answeringHome: Int?
    /// The channel that the last of these messages went to.
    var answeringChannel: UInt32 = 0
}

/// A client that is let in once its token is verified and its channel's home has answered.
struct PendingOpen {
    var accept: String
    var endpoint: Int
    var address: IPAddress
    var compression: PermessageDeflate?
    var userAgent: String?
    var session: Session?
    /// What the client saw last of the endpoint's channel.
    var since: MessagePosition?
}
