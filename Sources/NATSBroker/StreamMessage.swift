import Base
import Broker
import BrokerSupport
import FoundationEssentials
import NIOCore

/// A batch of a channel as a stream keeps it, or as it is delivered.
struct StreamMessage {
    /// The header by which a message says which one it follows.
    static let expected = "Nats-Expected-Last-Subject-Sequence"

    /// The number in the stream; 0 if no stream keeps it.
    var seq: UInt64
    /// The number of the message before it in the channel, as the server says; nil if it does not.
    var previous: UInt64?
    /// The number of the message that its publisher took for the one before it.
    var claimed: UInt64?
    /// What is in it; nil if it is not in the documented form.
    var header: LiveHeader?
    var publications: [UInt8]
    /// The whole payload of a message that a stream was asked for, if it is not a batch.
    var text = ""

    var identity: BatchIdentity {
        var identity = BatchIdentity()
        identity.node = header?.node?.rawValue ?? 0
        identity.number = header?.number ?? 0
        return identity
    }

    var count: UInt64 { UInt64(clamping: header?.count ?? 0) }
    var byteCount: Int { publications.count + text.utf8.count }

    /// A message that is delivered as it is stored, or that no stream keeps.
    init?(live message: NATSMessage) {
        self.init(
            seq: message.header.number("Nats-Sequence", isLast: true) ?? 0, header: message.header,
            payload: message.payload)
        previous = message.header.number("Nats-Last-Sequence", isLast: true)
    }

    /// A message that a stream was asked for.
    init?(stored message: NATSMessage) {
        guard let seq = message.header.number("Nats-Sequence", isLast: true) else { return nil }
        self.init(seq: seq, header: message.header, payload: message.payload)
        keepText(message.payload)
    }

    /// A message in JetStream's JSON.
    init?(_ stored: JetStreamReply.Stored) {
        guard let seq = stored.seq else { return nil }
        let header = stored.hdrs.flatMap { Data(base64Encoded: $0) }.map { NATSHeader(ByteBuffer(bytes: $0)) }
        let payload = ByteBuffer(bytes: stored.data.flatMap { Data(base64Encoded: $0) } ?? Data())
        self.init(seq: seq, header: header ?? NATSHeader(), payload: payload)
        keepText(payload)
    }

    init(seq: UInt64, header: NATSHeader, payload: ByteBuffer) {
        var payload = payload
        self.seq = seq
        claimed = header.number("Nats-Expected-Last-Subject-Sequence")
        self.header = LiveHeader(from: &payload)
        publications = self.header == nil ? [] : Array(buffer: payload)
    }

    private mutating func keepText(_ payload: ByteBuffer) {
        if header == nil { text = String(decoding: payload.readableBytesView.prefix(1 << 20), as: UTF8.self) }
    }

    /// The same without what is published in it.
    var withoutContent: StreamMessage {
        var message = self
        message.publications = []
        message.text = ""
        return message
    }

    /// The batch in its place.
    func batch(_ channel: String, _ position: MessagePosition) -> DeliveredBatch {
        DeliveredBatch(
            channel: channel, position: position, numberedCount: header?.count ?? 0, node: header?.node,
            number: header?.number ?? 0, publications: publications)
    }
}

/// What a channel's numbering has come to.
struct ChannelTip: Equatable {
    /// The number of the channel's last message in its stream; 0 if there is none.
    var seq: UInt64
    /// The number of the channel's last publication.
    var position: MessagePosition
}

/// Which messages of a channel count.
enum StreamHistory {
    /// The messages that count, of some of a channel in their order; those in between may have been removed meanwhile.
    ///
    /// A message counts if it follows the one that its publisher took for the last. Clusters before 2.9.21 store two that
    /// both claim to follow one: then the second does not count, and its publisher sends it again. The first of them is
    /// taken as it is.
    static func counting(_ messages: [StreamMessage]) -> [StreamMessage] {
        messages.indices.filter { index in
            guard messages[index].header != nil else { return false }
            guard index > messages.startIndex else { return true }
            return messages[index].claimed.map { $0 >= messages[index - 1].seq } ?? false
        }.map { messages[$0] }
    }
}
