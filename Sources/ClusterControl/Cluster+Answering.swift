internal import Control
internal import Operations
internal import Varlink

/// The answers to other nodes' questions, by the backend of this node.
extension Cluster {
    /// The answer to a question, whatever is in it.
    func answer(to message: [UInt8], _ head: ClusterMessage.Head) async -> [UInt8] {
        do {
            guard head.version == ClusterMessage.version else {
                throw VarlinkError.cluster("OtherVersion", ["version": .int(Int64(ClusterMessage.version))])
            }
            let answer = try await carryOut(try VarlinkCall(message: message), head)
            guard answer.count <= limits.messageByteCount else {
                throw VarlinkError.cluster(
                    "AnswerTooLarge",
                    ["bytes": .int(Int64(answer.count)), "limit": .int(Int64(limits.messageByteCount))])
            }
            return answer
        } catch {
            let error =
                switch error {
                case let error as VarlinkError: error
                case let error as ControlError: error.varlinkError(interface: "io.wsd.Cluster")
                default: VarlinkError.cluster("Failed", ["reason": .string("\(error)")])
                }
            return (try? ClusterMessage.answer(head.id, error)) ?? []
        }
    }

    /// Does what a question asks for, and encodes the answer.
    private func carryOut(_ call: VarlinkCall, _ head: ClusterMessage.Head) async throws -> [UInt8] {
        func caller(_ fields: CallerFields) -> Caller { .node(name: head.node ?? "?", caller: fields.fields) }
        switch call.method {
        case Kick.name:
            let question = try call.parameters(as: Question.KickParameters.self)
            let count = try await backend.kick(
                question.filter.selectionToAct(), reason: CloseReason(code: question.code, text: question.reason),
                by: caller(question.caller))
            return try ClusterMessage.answer(head.id, Kick.Reply(connections: count))
        case Question.UnsubscribeParameters.method:
            let question = try call.parameters(as: Question.UnsubscribeParameters.self)
            let count = try await backend.unsubscribe(
                question.filter.selectionToAct(), channel: question.channel, reason: question.reason,
                by: caller(question.caller))
            return try ClusterMessage.answer(head.id, Kick.Reply(connections: count))
        case Broadcast.name:
            let question = try call.parameters(as: Question.BroadcastParameters.self)
            // A message to a channel goes through the broker, and would come once for each node.
            guard question.channel == nil || question.user != nil else {
                throw VarlinkError.invalidParameter("channel")
            }
            let result = try await backend.broadcast(
                BroadcastMessage(question), channel: question.channel, user: question.user,
                by: caller(question.caller))
            return try ClusterMessage.answer(head.id, PublishResult(recipients: result.recipients))
        case List.name:
            let question = try call.parameters(as: List.Parameters.self)
            let selection = try (question.filter ?? ConnectionFilter()).selection()
            return try await fitting(head, question.limit, atMost: List.replyLimit) { limit in
                try await ownConnections(matching: selection, after: question.after, limit: limit)
            }
        case Show.name:
            let id = try call.parameters(as: Question.ShowParameters.self).id
            return try ClusterMessage.answer(head.id, Question.ShowReply(connection: await backend.connection(id: id)))
        case Why.name:
            let question = try call.parameters(as: Why.Parameters.self)
            let selection = try question.filter?.selection()
            return try await fitting(head, question.limit, atMost: Why.replyLimit) { limit in
                Why.Reply(events: await backend.endings(matching: selection, limit: limit))
            }
        case ListChannels.name:
            let question = try call.parameters(as: ListChannels.Parameters.self)
            return try await fitting(head, question.limit, atMost: ListChannels.replyLimit) { limit in
                await backend.channels(pattern: question.pattern, after: question.after, limit: limit)
            }
        case Question.Figures.method:
            _ = try call.parameters(as: NoParameters.self)
            return try ClusterMessage.answer(head.id, await measure())
        default: throw VarlinkError.methodNotFound(call.method)
        }
    }

    /// The connections of this node from a position on: as many as asked for, if there are so many.
    func ownConnections(
        matching selection: ConnectionSelection, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage {
        var page = ConnectionPage(connections: [], next: cursor)
        // A hub looks at so many connections and no further, so that its pages may be short or empty.
        let end = ContinuousClock.now + limits.patience / 4
        repeat {
            let part = try await backend.connections(
                matching: selection, after: page.next, limit: limit - page.connections.count)
            page.connections += part.connections
            page.next = part.next
        } while page.next != nil && page.connections.count < limit && ContinuousClock.now < end
        return page
    }

    /// Encodes the answer with a list, which is made shorter until it fits into a message.
    private func fitting(
        _ head: ClusterMessage.Head, _ limit: Int?, atMost most: Int,
        _ list: (_ limit: Int) async throws -> some Encodable
    ) async throws -> [UInt8] {
        var limit = limit ?? most
        guard (1...most).contains(limit) else { throw VarlinkError.invalidParameter("limit") }
        while true {
            let answer = try ClusterMessage.answer(head.id, try await list(limit))
            guard answer.count > limits.messageByteCount, limit > 1 else { return answer }
            limit /= 2
        }
    }
}

extension ConnectionFilter {
    /// The selection of a question that changes something, which must say which connections are meant.
    fileprivate func selectionToAct() throws(ControlError) -> ConnectionSelection {
        guard all || hasCriteria else { throw .nothingSelected }
        return try selection()
    }
}

extension BroadcastMessage {
    fileprivate init(_ question: Question.BroadcastParameters) throws {
        switch (question.message, question.data) {
        case (let text?, nil): self = question.isPlainText ? Self(plainText: text) : Self(text: text)
        case (nil, let base64?):
            guard let message = BroadcastMessage(base64: base64) else { throw VarlinkError.invalidParameter("data") }
            self = message
        default: throw VarlinkError.invalidParameter("message")
        }
    }
}
