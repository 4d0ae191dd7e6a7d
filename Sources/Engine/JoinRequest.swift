import Rooms

/// A connection asks a channel's home to let it in, or, where it is in, for what it missed.
struct JoinRequest: Sendable {
    var connection: ConnectionID
    /// Who is to be counted as present.
    var name: String
    /// Whether it is in the channel already.
    var isMember: Bool
    /// The request's id as it came; empty without one.
    var id: [UInt8]
    /// What the client saw last.
    var since: MessagePosition?
}

/// What the home says to it.
struct JoinReply: Sendable {
    enum Outcome: Sendable {
        /// `missed` holds, where `isRecovered`, all messages after `since`; the last of them is number `seq`.
        case joined(epoch: String, seq: UInt64, isRecovered: Bool, missed: HistorySlice?)
        case full
    }

    var request: JoinRequest
    /// The home's configuration where the connection is counted; else 0.
    var generation: UInt32 = 0
    var outcome: Outcome

    /// The same, but with nothing behind a number.
    func through(_ last: UInt64) -> JoinReply {
        guard case .joined(let epoch, let seq, let isRecovered, var missed) = outcome, seq > last else { return self }
        missed?.removeLast(Int(clamping: seq - last))
        var reply = self
        reply.outcome = .joined(epoch: epoch, seq: last, isRecovered: isRecovered, missed: missed)
        return reply
    }
}
