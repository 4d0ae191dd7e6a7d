package import Base
import Channels

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
    /// Whether the client's protocol has no requests: it is no member and gets no answer, and only waits to be let in until
    /// the channel is live.
    var isSilent = false
}

/// The home's reply to a join request.
struct JoinReply: Sendable {
    enum Outcome: Sendable {
        /// If `isRecovered`, `missed` has all messages after `since`, up to number `seq`.
        case joined(epoch: String, seq: UInt64, isRecovered: Bool, missed: HistorySlice?)
        case full
        /// A silent client is let in.
        case open
        /// The channel's broker could not be reached.
        case unavailable
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

/// A member's query to a channel's home.
struct Question: Sendable {
    enum Subject: Sendable {
        case presence
        /// - Parameters:
        ///   - before: asks only for messages with a smaller number; nil: the newest.
        ///   - limit: the maximum number of messages.
        case history(before: UInt64?, limit: Int)
    }

    var subject: Subject
    var connection: ConnectionReference
    /// The request's id as it was sent.
    var id: [UInt8]
}

/// A question that another worker is answering. A connection has one at most.
struct OpenQuestion {
    var channel: UInt32
    /// The request's id as it came.
    var id: [UInt8]
    /// Whether the connection has been taken out of the channel since: then the answer is not for it.
    var isRevoked = false
}

/// The result of publishing a message.
package struct Published: Sendable, Equatable {
    /// The number of connections that the message goes to.
    package var connections: Int
    /// The message's position, if the channel keeps history and the message is text.
    package var position: MessagePosition?
    /// The reason why the message was not published, or may not have been; nil if it was.
    package var refusal: String?
    /// Whether it would not be published at another time either.
    package var isFinal = false
}

/// The result of publishing a message of a batch, as seen by one worker.
struct Reached: Sendable {
    /// The message's index in the batch.
    var index: Int
    var connections: Int
    var position: MessagePosition?
    var refusal: String?
    var isFinal = false
}

/// The receipt for an operator's or backend's message: the task to tell how many connections the message goes to.
struct Receipt: Sendable {
    let replies: Replies<Reached>
    let index: Int
    /// The message's position; set at the channel's home.
    var position: MessagePosition?

    init(replies: Replies<Reached>, index: Int) {
        self.replies = replies
        self.index = index
    }

    func refuse(_ reason: String, isFinal: Bool = false) {
        replies.answer(Reached(index: index, connections: 0, position: nil, refusal: reason, isFinal: isFinal))
    }

    func answer(_ connections: Int) {
        replies.answer(Reached(index: index, connections: connections, position: position))
    }
}
