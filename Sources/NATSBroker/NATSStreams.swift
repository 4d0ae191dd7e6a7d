import Base
import Broker
import BrokerSupport
import NIOCore

/// The streams of a hub: made where they are missing, and asked.
final class NATSStreams {
    /// What is known of a stream on this connection.
    struct Stream {
        /// The time at which it was made: another one is another stream. Nil if the server does not say: to whoever asks
        /// for a stream that somebody else makes at the same moment, 2.9 says the year 1.
        var created: String?
        /// The numbers of its first and its last message then.
        var firstSequence: UInt64
        var lastSequence: UInt64
    }

    /// What a stream keeps, and how.
    struct Settings {
        var name: String
        var subjects: String
        var messageCount: Int
        /// In seconds; 0 is for ever.
        var life: Int64
        /// Where messages are published again when they are stored; nil is nowhere.
        var live: String?
    }

    /// What a stream has of a channel at a place.
    enum Found {
        case message(StreamMessage)
        case nothing
        /// There was no answer that says it.
        case unknown
    }

    private static let retryPause: TimeAmount = .milliseconds(250)
    /// The messages that are asked for one by one.
    private static let listCount = 16
    /// The time in seconds in which a message that is sent again is recognised by its identity.
    private static let duplicateWindow: Int64 = 30

    private unowned let core: NATSCore
    private var ready: [String: Stream] = [:]
    private var waiting: [String: [(Stream?) -> Void]] = [:]

    init(_ core: NATSCore) { self.core = core }

    /// Forgets what was known, as the connection has ended.
    func lost() {
        ready.removeAll()
        let waiting = waiting
        self.waiting.removeAll()
        for bodies in waiting.values { for body in bodies { body(nil) } }
    }

    /// Notes that nobody takes what is for a stream.
    func forget(_ name: String) { ready[name] = nil }

    func isReady(_ name: String) -> Bool { ready[name] != nil }

    /// Whether a message that was sent at a time is not recognised any more if it is sent again.
    func hasForgotten(since time: UInt64) -> Bool {
        NIODeadline.now().uptimeNanoseconds &- time > UInt64(Self.duplicateWindow) * 1_000_000_000
    }

    /// The stream that keeps channels with these limits, made if it is missing; nil if that failed for now.
    func ensure(_ stream: ChannelStream, _ body: @escaping (Stream?) -> Void) {
        ensure(
            Settings(
                name: stream.name, subjects: "\(stream.root).>",
                // There may be some that don't count, and whether one does is seen by the one before it.
                messageCount: isDoubtful ? 2 * stream.messageCount + 16 : stream.messageCount,
                life: stream.life,
                live: "\(stream.liveRoot).>"), body)
    }

    func ensure(_ settings: Settings, _ body: @escaping (Stream?) -> Void) {
        if let stream = ready[settings.name] { return body(stream) }
        guard let connection = core.link.ready else { return body(nil) }
        waiting[settings.name, default: []].append(body)
        guard waiting[settings.name]?.count == 1 else { return }
        make(settings, connection, "CREATE")
    }

    private func make(_ settings: Settings, _ connection: NATSConnection, _ verb: String) {
        connection.request("$JS.API.STREAM.\(verb).\(settings.name)", [UInt8](text(settings).utf8)) {
            [weak self] answer in
            guard let self, connection === core.link.ready else { return }
            switch answer {
            case .lost: return
            case .late:
                core.noteFault("\(connection.address): JetStream does not answer; its cluster may have no leader")
            case .nobody:
                core.noteFault(
                    "\(connection.address) has no JetStream for this user; add jetstream {} to its configuration, and "
                        + "permit $JS.API.> to the user")
            case .message(let message):
                guard let reply = JetStreamReply(message.payload) else { break }
                if let error = reply.error {
                    if error.errCode == 10_058, verb == "CREATE" { return make(settings, connection, "UPDATE") }
                    core.noteFault("\(connection.address): the stream \(settings.name) can't be made: \(error.text)")
                } else {
                    let created = reply.created.flatMap { $0.hasPrefix("0001-") ? nil : $0 }
                    let stream = Stream(
                        created: created, firstSequence: reply.state?.firstSeq ?? 0,
                        lastSequence: reply.state?.lastSeq ?? 0)
                    ready[settings.name] = stream
                    return answerWaiting(settings.name, stream)
                }
            }
            core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
                self?.answerWaiting(settings.name, nil)
            }
        }
    }

    private func answerWaiting(_ name: String, _ stream: Stream?) {
        for body in waiting.removeValue(forKey: name) ?? [] { body(stream) }
    }

    private func text(_ settings: Settings) -> String {
        let window = settings.life == 0 ? Self.duplicateWindow : min(Self.duplicateWindow, settings.life)
        let live = settings.live.map { ",\"republish\":{\"src\":\"\(settings.subjects)\",\"dest\":\"\($0)\"}" } ?? ""
        return "{\"name\":\"\(settings.name)\",\"subjects\":[\"\(settings.subjects)\"],\"retention\":\"limits\","
            + "\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_msg_size\":-1,"
            + "\"storage\":\"\(core.options.storesInFiles ? "file" : "memory")\",\"num_replicas\":\(core.options.replicas),"
            + "\"max_msgs_per_subject\":\(settings.messageCount),\"max_age\":\(settings.life * 1_000_000_000),"
            + "\"duplicate_window\":\(window * 1_000_000_000),\"allow_direct\":true\(live)}"
    }

    // MARK: Questions

    /// Whether a stream may have taken two messages that both claim to follow one.
    var isDoubtful: Bool { core.options.replicas > 1 && core.link.ready?.isBefore(2, 9, 21) != false }

    /// The last message of a subject.
    func last(_ stream: String, _ subject: String, _ body: @escaping (Found) -> Void) {
        guard let connection = core.link.ready else { return body(.unknown) }
        if core.options.replicas == 1 {
            connection.request("$JS.API.DIRECT.GET.\(stream).\(subject)") { body(Self.found($0, subject)) }
        } else {
            get(stream, subject, "{\"last_by_subj\":\"\(subject)\"}", body)
        }
    }

    /// Where a channel's numbering has come to, by the last message that counts, of which the number of the last one alone
    /// says nothing if that is in no known form, or may not count. Nothing that is kept may say it: then a numbering is to
    /// begin.
    ///
    /// - Parameter start: the place that the last message claims to follow; others before it are looked at if that is not
    ///   enough.
    func settle(_ stream: String, _ subject: String, from start: UInt64, _ body: @escaping (ChannelTip?) -> Void) {
        list(stream, subject, from: start) { [core, self] messages in
            guard let messages, let first = messages.first, let last = messages.last else { return body(nil) }
            let counting = StreamHistory.counting(messages)
            guard start <= 1 || counting.contains(where: { $0.seq > first.seq }) else {
                let earlier = messages.lazy.compactMap(\.claimed).min() ?? 0
                return settle(stream, subject, from: earlier < start ? earlier : 1, body)
            }
            let header = counting.last?.header
            let position = MessagePosition(epoch: header?.epoch ?? core.freshEpoch(), seq: header?.last ?? 0)
            body(ChannelTip(seq: last.seq, position: position))
        }
    }

    /// The messages of a subject from a place on, without what is published in them; nil if that can't be learnt now.
    private func list(
        _ stream: String, _ subject: String, from start: UInt64, _ found: [StreamMessage] = [],
        _ body: @escaping ([StreamMessage]?) -> Void
    ) {
        // A few are asked for one by one, which takes no consumer.
        guard start <= 1 || found.count >= Self.listCount else {
            return next(stream, subject, from: start) { [self] answer in
                switch answer {
                case .unknown: body(nil)
                case .nothing: body(found)
                case .message(let message):
                    list(stream, subject, from: message.seq + 1, found + [message.withoutContent], body)
                }
            }
        }
        guard let connection = core.link.ready else { return body(nil) }
        var messages = found
        StreamReader.read(
            connection, stream, subject, from: .sequence(start), within: TimeAmount(core.options.requestTimeout)
        ) { message, seq in
            messages.append(
                StreamMessage(seq: seq, header: message.header, payload: message.payload).withoutContent)
        } done: { isComplete in
            body(isComplete ? messages : nil)
        }
    }

    /// The same for a channel whose last message is known.
    func settle(
        _ stream: String, _ subject: String, _ last: StreamMessage, _ body: @escaping (ChannelTip?) -> Void
    ) {
        if let header = last.header, last.claimed != nil, !isDoubtful {
            return body(ChannelTip(seq: last.seq, position: MessagePosition(epoch: header.epoch, seq: header.last)))
        }
        settle(stream, subject, from: last.claimed ?? 1, body)
    }

    /// The first message of a subject at or after a place.
    func next(_ stream: String, _ subject: String, from seq: UInt64, _ body: @escaping (Found) -> Void) {
        get(stream, subject, "{\"seq\":\(seq),\"next_by_subj\":\"\(subject)\"}", body)
    }

    /// The message at a place, if it is one of a subject.
    func message(_ stream: String, _ subject: String, _ seq: UInt64, _ body: @escaping (Found) -> Void) {
        get(stream, subject, "{\"seq\":\(seq)}", body)
    }

    /// Asks for one message of a subject. With several copies only the leader knows for sure.
    private func get(_ stream: String, _ subject: String, _ question: String, _ body: @escaping (Found) -> Void) {
        guard let connection = core.link.ready else { return body(.unknown) }
        guard core.options.replicas > 1 else {
            connection.request("$JS.API.DIRECT.GET.\(stream)", [UInt8](question.utf8)) {
                body(Self.found($0, subject))
            }
            return
        }
        connection.request("$JS.API.STREAM.MSG.GET.\(stream)", [UInt8](question.utf8)) { answer in
            guard case .message(let message) = answer, let reply = JetStreamReply(message.payload) else {
                return body(.unknown)
            }
            if let error = reply.error {
                return body(error.code == 404 && error.errCode == 10_037 ? .nothing : .unknown)
            }
            guard let stored = reply.message, let message = StreamMessage(stored) else { return body(.unknown) }
            body(stored.subject == subject ? .message(message) : .nothing)
        }
    }

    private static func found(_ answer: NATSConnection.Answer, _ subject: String) -> Found {
        guard case .message(let message) = answer else { return .unknown }
        guard let stored = StreamMessage(stored: message) else { return message.status == 404 ? .nothing : .unknown }
        return message.header.last("Nats-Subject") == subject ? .message(stored) : .nothing
    }

    /// Removes one message.
    func delete(_ stream: String, _ seq: UInt64) {
        core.link.ready?.request(
            "$JS.API.STREAM.MSG.DELETE.\(stream)", [UInt8]("{\"seq\":\(seq),\"no_erase\":true}".utf8)
        ) { _ in }
    }

    /// Publishes to a stream, provided that the last message of the subject is still the one at a place.
    func store(
        _ subject: String, after seq: UInt64, identity: String? = nil, size: Int,
        _ write: @escaping (inout ByteBuffer) -> Void,
        _ body: @escaping (StreamAnswer) -> Void
    ) {
        guard let connection = core.link.ready else { return body(.unknown) }
        var header = [(StreamMessage.expected, "\(seq)")]
        if let identity { header.append(("Nats-Msg-Id", identity)) }
        connection.request(subject, header: header, size: size, write) { body(StreamAnswer($0)) }
    }

    func store(_ subject: String, after seq: UInt64, _ payload: [UInt8], _ body: @escaping (StreamAnswer) -> Void) {
        store(subject, after: seq, size: payload.count, { $0.writeBytes(payload) }, body)
    }
}
