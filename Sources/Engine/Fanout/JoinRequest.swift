import Rooms

/// A connection's request to a channel's home to join, or, from a member, for the messages that it missed.
struct JoinRequest: Sendable {
    var connection: ConnectionReference
    /// The user to count as present.
    var name: String
    /// Whether the connection is in the channel already.
    var isMember: Bool
    /// The request's id as it was sent; empty without one.
    var id: [UInt8]
    /// The position of the last message that the client has seen.
    var since: MessagePosition?
}

/// The home's reply to a join request.
struct JoinReply: Sendable {
    enum Outcome: Sendable {
        /// If `isRecovered`, `missed` has all messages after `since`, up to number `seq`.
        case joined(epoch: String, seq: UInt64, isRecovered: Bool, missed: HistorySlice?)
        case full
    }

    var request: JoinRequest
    /// The generation of the home's configuration if the home counts the connection; 0 otherwise.
    var generation: UInt32 = 0
    var outcome: Outcome

    /// The same reply without the messages after a number.
    func through(_ last: UInt64) -> JoinReply {
        guard case .joined(let epoch, let seq, let isRecovered, var missed) = outcome, seq > last else { return self }
        missed?.removeLast(Int(clamping: seq - last))
        var reply = self
        reply.outcome = .joined(epoch: epoch, seq: last, isRecovered: isRecovered, missed: missed)
        return reply
    }
}
