import FoundationEssentials
import NIOCore

/// The right to read a source, as the last message of a subject, which the server removes when it is old.
///
/// It is taken by a message that has to follow the one that was seen, and so by one node only.
final class NATSReaderLease {
    enum Outcome {
        /// It is this node's. Whether the one before gave it away, and what it left is given out at once.
        case own(isClean: Bool)
        /// It is the node's that is named.
        case others(String)
        /// The stream that keeps it is not there.
        case missing
        case refused(JetStreamReply.Failure)
        case noAnswer
    }

    /// What is there in place of a node.
    private static let clean = "/clean"
    private static let free = "/free"

    let stream: String
    private let subject: String
    /// The subjects of all groups.
    private let subjects: String
    private let identity: String
    /// The place of this node's message; nil if it is not known to have one.
    private var place: UInt64?
    private var isClean = false

    init(_ options: NATSStreamSource.Options, identity: String) {
        let name = NATSSubjects.escaped(options.stream)
        stream = "wsd_reader_\(name)"
        subject = "wsd.reader.\(name).\(NATSSubjects.escaped(options.group))"
        subjects = "wsd.reader.\(name).*"
        self.identity = identity
    }

    /// The settings of the stream that keeps it, as JSON.
    func settings(lease: Duration, replicas: Int) -> String {
        let life = lease / .nanoseconds(1)
        return "{\"name\":\"\(stream)\",\"subjects\":[\"\(subjects)\"],\"retention\":\"limits\","
            + "\"discard\":\"old\","
            + "\"storage\":\"memory\",\"num_replicas\":\(replicas),\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
            + "\"max_msg_size\":-1,\"max_msgs_per_subject\":1,\"max_age\":\(Int64(life)),"
            + "\"duplicate_window\":\(Int64(life))}"
    }

    /// Takes it or renews it.
    func keep(_ connection: NATSConnection, _ body: @escaping (Outcome) -> Void) {
        if let place { return store(connection, after: place, body) }
        look(connection, free: { [self] in store(connection, after: $0, body) }, otherwise: body)
    }

    /// Gives it away, if it is this node's. It is clean if whatever is left is given out at once.
    func release(_ connection: NATSConnection, isClean: Bool, _ body: @escaping () -> Void) {
        guard let place else { return body() }
        self.place = nil
        let word = isClean ? Self.clean : Self.free
        connection.request(
            subject, header: [(StreamMessage.expected, "\(place)")], size: word.utf8.count, { $0.writeString(word) }
        ) { _ in body() }
    }

    /// Asks who has it; passes the place that a message of this node has to follow.
    private func look(
        _ connection: NATSConnection, free: @escaping (UInt64) -> Void, otherwise: @escaping (Outcome) -> Void
    ) {
        let question = "{\"last_by_subj\":\"\(subject)\"}"
        connection.request("$JS.API.STREAM.MSG.GET.\(stream)", [UInt8](question.utf8)) { [self] answer in
            let message: NATSMessage
            switch answer {
            case .late, .lost: return otherwise(.noAnswer)
            case .nobody: return otherwise(.missing)
            case .message(let found): message = found
            }
            guard let reply = JetStreamReply(message.payload) else { return otherwise(.noAnswer) }
            if let error = reply.error {
                guard error.errCode == 10_037 else {
                    return otherwise(error.errCode == 10_059 ? .missing : .refused(error))
                }
                isClean = false
                return free(0)
            }
            guard let stored = reply.message, let seq = stored.seq else { return otherwise(.noAnswer) }
            let data = stored.data.flatMap { Data(base64Encoded: $0) } ?? Data()
            let text = String(decoding: data, as: UTF8.self)
            isClean = text == Self.clean
            if isClean || text == Self.free || text == identity { return free(seq) }
            otherwise(.others(String(text.prefix { $0 != "/" })))
        }
    }

    private func store(_ connection: NATSConnection, after seq: UInt64, _ body: @escaping (Outcome) -> Void) {
        let identity = identity
        connection.request(
            subject, header: [(StreamMessage.expected, "\(seq)")], size: identity.utf8.count,
            { $0.writeString(identity) }
        ) { [self] answer in
            place = nil
            switch StreamAnswer(answer) {
            case .stored(let seq):
                place = seq
                body(.own(isClean: isClean))
                isClean = false
            case .outrun: body(.others("another node"))
            case .refused(let failure): body(.refused(failure))
            case .nobody: body(.missing)
            case .inProcess, .unknown: body(.noAnswer)
            }
        }
    }
}
