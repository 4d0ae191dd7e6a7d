import CLinux
import Rooms
import WebSocket

/// Members and their questions, at a channel's home. The members' side is in `+Subscriptions`.
extension Worker {
    /// Lets a connection in, or tells a member what it asks for.
    func join(_ request: JoinRequest, _ channel: Channel, _ home: ChannelHome) -> JoinReply {
        let now = clinux_realtime_milliseconds()
        if !request.isMember {
            guard home.enter(request.name, at: now, &text) else { return JoinReply(request: request, outcome: .full) }
            markPublished(channel, at: nanoseconds)
        }
        // What was published before is not for the newcomer's live stream; and a member that asks for what it missed hears
        // all that has a smaller number than its answer before it.
        distribute(channel)
        postAnswers()
        let isCounted = !request.isMember && channel.settings.isTracked
        return JoinReply(
            request: request, generation: isCounted ? configuration.generation : 0,
            outcome: home.place(since: request.since, at: now))
    }

    /// A member is gone.
    ///
    /// - Parameter generation: the configuration under which it was counted.
    func left(
        _ name: String, _ channel: Channel, _ home: ChannelHome, isLost: Bool, countedUnder generation: UInt32
    ) {
        let now = clinux_realtime_milliseconds()
        home.leave(name, isLost: isLost, at: now, countedUnder: generation, &text)
        markPublished(channel, at: nanoseconds)
        if let room = home.room { noteDeadline(room) }
    }

    /// Answers a member that wants to know something.
    func answer(_ question: Question, _ home: ChannelHome) {
        home.answer(question, at: clinux_realtime_milliseconds(), &text)
        text.withBytes { answer($0, to: question.connection) }
    }
}
