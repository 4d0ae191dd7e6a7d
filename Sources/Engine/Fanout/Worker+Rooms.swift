import CLinux
import Channels
import Settings
import WebSocket

/// Members and their questions, at a channel's home. The members' side is in `+Subscriptions`.
extension Worker {
    /// Adds a connection to a channel, or answers a member that asks for missed messages.
    ///
    /// Nil if the request waits for the broker.
    func join(_ request: JoinRequest, _ encoding: Encoding, _ channel: Channel, _ home: ChannelHome) -> JoinReply? {
        if waits(.join(request, encoding), channel, home) { return nil }
        if request.isSilent {
            distribute(channel)
            return JoinReply(request: request, outcome: .open)
        }
        let now = clinux_realtime_milliseconds()
        if !request.isMember {
            guard home.enter(request.name, at: now, &outbox.text) else {
                return JoinReply(request: request, outcome: .full)
            }
            markPublished(channel, at: nanoseconds)
            markShared(channel, home)
        }
        // Messages published before are not part of the new member's live stream, and a member that asks for missed
        // messages gets, before the answer, all messages up to the answer's number.
        distribute(channel)
        postAnswers()
        let isCounted = !request.isMember && channel.settings.isTracked
        return JoinReply(
            request: request, generation: isCounted ? configuration.generation : 0,
            outcome: home.place(since: request.since, at: now))
    }

    /// Removes a member from a channel.
    ///
    /// - Parameter generation: the configuration under which the member was counted.
    func left(
        _ name: String, _ channel: Channel, _ home: ChannelHome, isLost: Bool, countedUnder generation: UInt32
    ) {
        let now = clinux_realtime_milliseconds()
        home.leave(name, isLost: isLost, at: now, countedUnder: generation, &outbox.text)
        markPublished(channel, at: nanoseconds)
        markShared(channel, home)
        if let room = home.room { noteDeadline(room) }
    }

    /// Answers a member's question.
    func answer(_ question: Question, _ home: ChannelHome) {
        home.answer(question, at: clinux_realtime_milliseconds(), &outbox.text)
        outbox.text.withBytes { answer($0, to: question.connection) }
    }
}
