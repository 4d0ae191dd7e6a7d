import Base
import Channels
import WebSocket

/// A connection's state beyond its record: its identity, and the channels of a `json` client. It is owned by the
/// record.
struct Session {
    var identity: Identity
    var memberships = Memberships()
    /// The errors left of `limits.errors_per_minute`.
    var errorBucket: RateBucket
    /// The tick at which the token expires; a new token changes it.
    var expiresAt: UInt32
    /// Whether the client has been asked for a newer token.
    var isAskedToRefresh = false
    /// `answeringHome`, in two bytes: a session with one membership is what an idle `json` client takes beside its record.
    private var answeringWorker = UInt16.max
    /// The channel that the last of these messages went to.
    var answeringChannel: UInt32 = 0

    init(identity: Identity, errorBucket: RateBucket, expiresAt: UInt32) {
        self.identity = identity
        self.errorBucket = errorBucket
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
