import FoundationEssentials
import NIOCore

/// What JetStream says of a stream or of a consumer, as far as a reader has to know it.
struct StreamDescription: Decodable {
    struct Config: Decodable {
        var retention: String?
        var numReplicas: Int?
        var deliverSubject: String?
        var ackPolicy: String?
        var ackWait: Int64?
        var maxAckPending: Int?
        var maxDeliver: Int?
        var filterSubject: String?
        var filterSubjects: [String]?
        var maxBatch: Int?
        var maxBytes: Int?
        var maxExpires: Int64?
    }

    struct State: Decodable {
        var lastSeq: UInt64?
    }

    struct Place: Decodable {
        var streamSeq: UInt64?
    }

    var error: JetStreamReply.Failure?
    var created: String?
    var config: Config?
    var state: State?
    var numPending: Int?
    var numAckPending: Int?
    var ackFloor: Place?

    init?(_ text: ByteBuffer) {
        guard let description: Self = JSONDecoder.read(text) else { return nil }
        self = description
    }

    /// How often a consumer gives out again what is not acknowledged.
    var acknowledgementWait: Duration { .nanoseconds(config?.ackWait ?? 30_000_000_000) }

    /// The records that may be asked for at once, and are out at once; nil if there is no limit.
    var batchLimit: Int? { [config?.maxBatch, config?.maxAckPending].compactMap { $0 }.filter { $0 > 0 }.min() }

    /// The bytes that may be asked for at once; nil if there is no limit.
    var byteLimit: Int? { config?.maxBytes.flatMap { $0 > 0 ? $0 : nil } }

    /// How long a question may wait for records; nil if there is no limit.
    var waitLimit: Duration? { config?.maxExpires.flatMap { $0 > 0 ? .nanoseconds($0) : nil } }

    /// Why a consumer that was found is not one to read by; nil if it is.
    func unfitness(subject: String) -> String? {
        guard let config else { return "it does not say what it is" }
        if config.deliverSubject?.isEmpty == false { return "it is a push consumer, and a pull consumer is needed" }
        if config.ackPolicy != "explicit" {
            return "its ack_policy is \(config.ackPolicy ?? "none"), and explicit is needed"
        }
        if let most = config.maxDeliver, most > 0 {
            return "its max_deliver is \(most), after which a record is lost, and -1 is needed"
        }
        if let limit = waitLimit, limit < .milliseconds(100) {
            return "its max_expires is \(limit / .milliseconds(1)) ms, and at least 100 ms are needed"
        }
        let filters = config.filterSubjects ?? config.filterSubject.map { [$0] } ?? []
        let found = filters.filter { !$0.isEmpty }
        guard found == (subject.isEmpty ? [] : [subject]) else {
            return "it reads \(found.isEmpty ? "all subjects" : found.joined(separator: ", ")), and not "
                + (subject.isEmpty ? "all; set consume.subject" : "\(subject), as consume.subject says")
        }
        return nil
    }
}
