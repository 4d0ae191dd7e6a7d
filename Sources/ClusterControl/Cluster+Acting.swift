package import Control
internal import FoundationEssentials

/// What changes something on all nodes.
extension Cluster {
    /// Closes connections on all nodes.
    package func kick(
        _ filter: ConnectionFilter, reason: CloseReason, by caller: Caller
    ) async throws(ControlError) -> Kick.Reply {
        let selection = try filter.selection()
        let question = Question.KickParameters(
            filter: filter, code: Int(reason.code), reason: reason.text, caller: fields(of: caller))
        try check(question)
        let others = try await others()
        let count = try await backend.kick(selection, reason: reason, by: caller)
        let answers = try await ask(Kick.name, question, of: others, returning: Kick.Reply.self)
        return Kick.Reply(
            connections: answers.replies.reduce(count) { $0 + $1.reply.connections }, silent: answers.silent)
    }

    /// Removes connections from a channel on all nodes.
    package func unsubscribe(
        _ filter: ConnectionFilter, channel: String, reason: String, by caller: Caller
    ) async throws(ControlError) -> Kick.Reply {
        let selection = try filter.selection()
        let question = Question.UnsubscribeParameters(
            filter: filter, channel: channel, reason: reason, caller: fields(of: caller))
        try check(question)
        let others = try await others()
        let count = try await backend.unsubscribe(selection, channel: channel, reason: reason, by: caller)
        let answers = try await ask(
            Question.UnsubscribeParameters.method, question, of: others, returning: Kick.Reply.self)
        return Kick.Reply(
            connections: answers.replies.reduce(count) { $0 + $1.reply.connections }, silent: answers.silent)
    }

    /// Sends a message to a user's connections or to all, on all nodes. A message to everybody in a channel is left to
    /// the broker, which carries it to all nodes anyway; then no node is asked.
    package func broadcast(
        _ message: BroadcastMessage, channel: String?, user: String?, by caller: Caller
    ) async throws(ControlError) -> PublishResult {
        guard channel == nil || user != nil else {
            return try await backend.broadcast(message, channel: channel, user: user, by: caller)
        }
        let question = Question.BroadcastParameters(
            message: message.isBinary ? nil : String(decoding: message.payload, as: UTF8.self),
            data: message.isBinary ? Data(message.payload).base64EncodedString() : nil,
            isPlainText: message.isPlainText, channel: channel, user: user, caller: fields(of: caller))
        try check(question)
        let others = try await others()
        var result = try await backend.broadcast(message, channel: channel, user: user, by: caller)
        let answers = try await ask(Broadcast.name, question, of: others, returning: PublishResult.self)
        result.recipients += answers.replies.reduce(0) { $0 + $1.reply.recipients }
        result.silent = answers.silent
        return result
    }

    private func fields(of caller: Caller) -> CallerFields { CallerFields(backend.fields(of: caller)) }
}
