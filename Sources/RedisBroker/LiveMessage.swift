import Base
import Broker
import NIOCore

/// The text before the publications in a message of a channel: `last:count:epoch:node:number:`.
struct LiveHeader: Equatable {
    var last: UInt64
    var count: Int
    var epoch: String
    var node: NodeID?
    var number: UInt64

    /// Takes the header off a message; nil if it has none.
    init?(from message: inout ByteBuffer) {
        let header: (LiveHeader, Int)? = message.withUnsafeReadableBytes { bytes in
            var position = 0
            func field() -> UnsafeRawBufferPointer? {
                let start = position
                while position < bytes.count, position - start <= 64 {
                    if bytes[position] == UInt8(ascii: ":") {
                        position += 1
                        return UnsafeRawBufferPointer(rebasing: bytes[start..<(position - 1)])
                    }
                    position += 1
                }
                return nil
            }
            guard let last = field().flatMap(Self.number), let count = field().flatMap(Self.number),
                let epoch = field(), let node = field(), let number = field().flatMap(Self.number),
                last >= count, let size = Int(exactly: count)
            else { return nil }
            let header = LiveHeader(
                last: last, count: size, epoch: String(decoding: epoch, as: UTF8.self),
                node: NodeID(String(decoding: node, as: UTF8.self)), number: number)
            return (header, position)
        }
        guard let (header, count) = header else { return nil }
        message.moveReaderIndex(forwardBy: count)
        self = header
    }

    private init(last: UInt64, count: Int, epoch: String, node: NodeID?, number: UInt64) {
        self.last = last
        self.count = count
        self.epoch = epoch
        self.node = node
        self.number = number
    }

    private static func number(_ digits: UnsafeRawBufferPointer) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 19 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            number = number &* 10 &+ UInt64(digit &- 0x30)
        }
        return number
    }
}

/// The identity of a batch: the node that published it, and its number there.
struct BatchIdentity: Equatable {
    /// 0 for another program.
    var node: UInt64 = 0
    var number: UInt64 = 0

    init(_ batch: DeliveredBatch) {
        node = batch.node?.rawValue ?? 0
        number = batch.number
    }

    /// An identity from its text, `node:number`.
    init(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return }
        node = NodeID(text[..<colon])?.rawValue ?? 0
        number = UInt64(text[text.index(after: colon)...]) ?? 0
    }

    init() {}
}

extension DeliveredBatch {
    /// A message of a channel; nil if it is damaged.
    init?(channel: String, message: ByteBuffer) {
        var message = message
        guard let header = LiveHeader(from: &message) else { return nil }
        self.init(
            channel: channel, position: BrokerPosition(epoch: header.epoch, seq: header.last),
            numberedCount: header.count, node: header.node, number: header.number,
            publications: Array(buffer: message))
    }

    /// An entry of a channel's history, as Redis sends those of a stream; nil if it is damaged.
    init?(channel: String, epoch: String, entry: RESPValue) {
        guard let parts = entry.elements, parts.count == 2, let id = parts[0].text, let dash = id.firstIndex(of: "-"),
            let last = UInt64(id[..<dash]), let count = parts[1]["n"]?.count.flatMap(Int.init(exactly:)),
            count <= last, let bytes = parts[1]["d"]?.bytes
        else { return nil }
        let identity = BatchIdentity(parts[1]["o"]?.text ?? "")
        self.init(
            channel: channel, position: BrokerPosition(epoch: epoch, seq: last), numberedCount: count,
            node: identity.node == 0 ? nil : NodeID(rawValue: identity.node), number: identity.number,
            publications: Array(buffer: bytes))
    }

    /// The time of the first publication, in milliseconds since 1970; nil if there is none.
    var time: Int64? {
        guard publications.count >= PublicationWriter.headerByteCount else { return nil }
        return publications[1..<9].reduce(0) { $0 << 8 | Int64($1) }
    }
}
