import NIOCore

/// Reads the messages of a subject from a stream, by a consumer that lives as long as that takes.
final class StreamReader {
    enum Start {
        case sequence(UInt64)
        /// The last message of each subject.
        case lastOfEach
    }

    private let connection: NATSConnection
    private let stream: String
    private let each: (NATSMessage, UInt64) -> Void
    /// The number of the last message that is needed. Where more are stored and removed all the time, the server's own count of
    /// what is still to come is not always right, and may never be 0.
    private let last: UInt64
    private var done: ((Bool) -> Void)?
    private var subscription: UInt64 = 0
    private var consumer: String?
    private var count: UInt64 = 0
    private var countAtLook: UInt64 = 0
    private var isAtEnd = false

    private init(
        _ connection: NATSConnection, _ stream: String, through last: UInt64,
        _ each: @escaping (NATSMessage, UInt64) -> Void, _ done: @escaping (Bool) -> Void
    ) {
        self.connection = connection
        self.stream = stream
        self.last = last
        self.each = each
        self.done = done
    }

    /// Passes the messages to `each`, with their numbers, and then calls `done`: true if these were all.
    ///
    /// - Parameter last: the number of the last one that is needed; more may come with it.
    static func read(
        _ connection: NATSConnection, _ stream: String, _ subject: String, from start: Start,
        through last: UInt64 = .max, within time: TimeAmount, each: @escaping (NATSMessage, UInt64) -> Void,
        done: @escaping (Bool) -> Void
    ) {
        StreamReader(connection, stream, through: last, each, done).begin(subject, start, time)
    }

    private func begin(_ subject: String, _ start: Start, _ time: TimeAmount) {
        let own = connection.ownSubject()
        subscription = connection.subscribe(own) { [self] in received($0) }
        let policy =
            switch start {
            case .sequence(let seq): "\"by_start_sequence\",\"opt_start_seq\":\(max(1, seq))"
            case .lastOfEach: "\"last_per_subject\""
            }
        let question =
            "{\"stream_name\":\"\(stream)\",\"config\":{\"deliver_subject\":\"\(own)\",\"deliver_policy\":\(policy),"
            + "\"ack_policy\":\"none\",\"filter_subject\":\"\(subject)\",\"replay_policy\":\"instant\",\"max_deliver\":1,"
            + "\"mem_storage\":true,\"num_replicas\":1,\"inactive_threshold\":5000000000,\"flow_control\":true,"
            + "\"idle_heartbeat\":250000000}}"
        connection.request("$JS.API.CONSUMER.CREATE.\(stream)", [UInt8](question.utf8)) { [self] answer in
            guard case .message(let message) = answer, let reply = JetStreamReply(message.payload), reply.error == nil,
                let name = reply.name
            else { return finish(false) }
            consumer = name
            if isAtEnd || reply.numPending == 0 { finish(true) }
        }
        look(every: time)
    }

    private func received(_ message: NATSMessage) {
        guard let delivery = Delivery(message.reply) else {
            guard message.status != nil else { return }
            // The server asks whether it may go on.
            let stalled = message.header["Nats-Consumer-Stalled"] ?? ""
            let reply = message.reply.isEmpty ? stalled : message.reply
            if !reply.isEmpty { connection.publish(reply, []) }
            // Nothing comes any more: what was still to come has been removed meanwhile.
            if consumer != nil, message.header.number("Nats-Last-Consumer") == count { finish(true) }
            return
        }
        count += 1
        guard delivery.place == count else { return finish(false) }
        guard done != nil else { return }
        each(message, delivery.seq)
        guard delivery.pendingCount == 0 || delivery.seq >= last else { return }
        isAtEnd = true
        if consumer != nil { finish(true) }
    }

    /// Gives up if nothing has come since the last look.
    private func look(every time: TimeAmount) {
        connection.loop.assumeIsolated().scheduleTask(in: time) { [self] in
            guard done != nil else { return }
            if count == countAtLook { return finish(false) }
            countAtLook = count
            look(every: time)
        }
    }

    private func finish(_ isComplete: Bool) {
        guard let done else { return }
        self.done = nil
        connection.unsubscribe(subscription)
        if let consumer { connection.request("$JS.API.CONSUMER.DELETE.\(stream).\(consumer)") { _ in } }
        done(isComplete)
    }
}
