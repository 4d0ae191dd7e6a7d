import Channels
import WebSocket

extension Worker {
    /// Sends a message to a connection on any worker.
    func answer(_ payload: UnsafeRawBufferPointer, to connection: ConnectionReference) {
        guard Int(connection.worker) == index else {
            outbox.answers[Int(connection.worker)].append(payload, to: connection)
            outbox.hasAnswers = true
            return
        }
        guard let connection = slab.find(connection), connection.phase == .open
        else { return }
        sendMessage(payload, connection)
    }

    /// Queues one text message for one connection.
    func sendMessage(_ payload: UnsafeRawBufferPointer, _ connection: Connection) {
        connection.messagesOut &+= 1
        telemetry.statistics.messagesOut &+= 1
        send(.text, payload, connection)
    }

    /// Sends the collected answers to the other workers.
    func postAnswers() {
        guard outbox.hasAnswers else { return }
        outbox.hasAnswers = false
        for (worker, pending) in outbox.answers.enumerated() where !pending.isEmpty {
            post(pending.take(), to: worker)
        }
    }

    /// Tells a connection of another worker, after its answers, that no more follow.
    func finishAnswers(to connection: ConnectionReference) {
        guard Int(connection.worker) < outbox.answers.count else { return }
        outbox.answers[Int(connection.worker)].finish(connection)
        outbox.hasAnswers = true
    }

    /// Reads a connection's next request, after another worker has answered the earlier ones.
    func answered(_ connection: ConnectionReference) {
        guard let connection = slab.find(connection) else { return }
        if let question = connection.question {
            connection.keep(nil)
            if question.isRevoked { sendError(connection, .notJoined, Worker.notJoined, id: question.id) }
        }
        resume(connection, .awaitsAnswer)
    }

    /// Queues another worker's answers for their connections. The answer to a question is the last frame for a connection in `done`.
    func take(_ segment: Segment, _ connections: [ConnectionReference], done: [ConnectionReference]) {
        let number = outbox.turn.add(segment)
        var withheld: Set<Int> = []
        for connection in done where slab.find(connection)?.question?.isRevoked ?? false {
            if let last = connections.lastIndex(of: connection) { withheld.insert(last) }
        }
        var start = 0
        for (index, (connection, end)) in zip(connections, segment.frameEnds).enumerated() {
            defer { start = end }
            guard !withheld.contains(index) else { continue }
            guard let connection = slab.find(connection), connection.phase == .open
            else { continue }
            connection.messagesOut &+= 1
            telemetry.statistics.messagesOut &+= 1
            outbox.turn.push(number, start: start, end: end, to: connection)
        }
    }
}
