import FoundationEssentials
import NIOCore

extension JSONDecoder {
    /// What a server says, with names such as `last_seq` for `lastSeq`; nil if it is something else.
    static func read<Value: Decodable>(_ text: ByteBuffer) -> Value? {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try? decoder.decode(Value.self, from: Data(text.readableBytesView))
    }
}

/// What a server says of itself when a client connects, as far as it matters.
struct NATSServerInfo: Decodable, Equatable {
    var version: String?
    var headers: Bool?
    var maxPayload: Int?
    var tlsRequired: Bool?
    var tlsAvailable: Bool?
    var nonce: String?
    var connectUrls: [String]?
    /// Whether the server is about to end.
    var ldm: Bool?

    init() {}

    init?(_ text: ByteBuffer) {
        guard let info: Self = JSONDecoder.read(text) else { return nil }
        self = info
    }
}

/// An answer of JetStream's interface, as far as it matters.
struct JetStreamReply: Decodable {
    struct Failure: Decodable {
        var code: Int?
        var errCode: Int?
        var description: String?
    }

    struct State: Decodable {
        var firstSeq: UInt64?
        var lastSeq: UInt64?
    }

    struct Stored: Decodable {
        var subject: String?
        var seq: UInt64?
        var hdrs: String?
        var data: String?
    }

    var error: Failure?
    var created: String?
    var state: State?
    var numPending: UInt64?
    var name: String?
    var message: Stored?
    var seq: UInt64?
    var duplicate: Bool?

    init?(_ text: ByteBuffer) {
        guard let reply: Self = JSONDecoder.read(text) else { return nil }
        self = reply
    }
}

/// What became of a publication to a stream.
enum StreamAnswer {
    /// It has this place in the stream; it may have had it before.
    case stored(UInt64)
    /// Another message came first.
    case outrun
    case refused(JetStreamReply.Failure)
    /// No stream takes the subject, or its servers have no leader.
    case nobody
    /// Its identity is known, and not yet whether it is taken.
    case inProcess
    /// There was no answer in time, or the connection ended.
    case unknown

    init(_ answer: NATSConnection.Answer) {
        switch answer {
        case .lost, .late: self = .unknown
        case .nobody: self = .nobody
        case .message(let message):
            if let seq = Self.plainSequence(message.payload) {
                self = .stored(seq)
                return
            }
            guard let reply = JetStreamReply(message.payload) else {
                self = .refused(JetStreamReply.Failure(description: "an answer that is not JetStream's"))
                return
            }
            if let error = reply.error {
                switch error.errCode {
                case 10_071, 10_164: self = .outrun
                case 10_158: self = .inProcess
                default: self = .refused(error)
                }
            } else if let seq = reply.seq, seq > 0 {
                self = .stored(seq)
            } else if reply.duplicate == true {
                self = .inProcess
            } else {
                self = .refused(JetStreamReply.Failure(description: "an answer without a number"))
            }
        }
    }
}

extension StreamAnswer {
    /// The number in the answer that nearly all are, `{"stream":"NAME", "seq":12}`; nil for any other.
    private static func plainSequence(_ payload: ByteBuffer) -> UInt64? {
        let view = payload.readableBytesView
        guard view.starts(with: "{\"stream\":\"".utf8), view.last == UInt8(ascii: "}"),
            let colon = view.lastIndex(of: UInt8(ascii: ":")), view[..<colon].suffix(5).elementsEqual("\"seq\"".utf8)
        else { return nil }
        let digits = view[(colon + 1)...].dropLast().drop { $0 == 0x20 }
        guard !digits.isEmpty, digits.count <= 19, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return digits.reduce(0) { $0 &* 10 &+ UInt64($1 &- 0x30) }
    }
}

extension JetStreamReply.Failure {
    /// What the server said, and the way out where there is one.
    var text: String {
        let said = "\(description ?? "an error without words") (\(errCode ?? code ?? 0))"
        let wayOut: String? =
            switch errCode {
            case 10_039, 10_076: "enable JetStream for the account of this user"
            case 10_023, 10_028, 10_047, 10_048, 10_052, 10_077:
                "give JetStream more room, by max_mem or max_file in its server's jetstream {}"
            case 10_074, 10_005, 10_006:
                "a stream can't have more copies than the cluster has servers; lower broker.nats_replicas, or add servers"
            case 10_058, 10_065:
                "another program has taken the name or the subjects; set another broker.prefix, or remove its stream"
            default: nil
            }
        return wayOut.map { "\(said); \($0)" } ?? said
    }

    /// Whether it may pass by itself.
    var isTransient: Bool {
        switch errCode {
        case 10_058, 10_065, 10_074: false
        default: true
        }
    }
}
