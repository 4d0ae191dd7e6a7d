package import Base
package import Broker
import CLinux
package import NIOCore

/// The text before the publications in a message of a channel: `last:count:epoch:node:number:`.
package struct LiveHeader: Equatable {
    package var last: UInt64
    package var count: Int
    package var epoch: String
    package var node: NodeID?
    package var number: UInt64

    /// The largest number of a publication: up to it programs that count in doubles are right, and beyond it a sum would
    /// have no room.
    private static let largest: UInt64 = 1 << 53

    /// Takes the header off a message; nil if it has none, or counts more publications than the rest has bytes for. (A probe
    /// counts as one, whatever it holds.)
    package init?(from message: inout ByteBuffer) {
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
                last <= Self.largest, last >= count, let size = Int(exactly: count),
                size <= max(1, (bytes.count - position) / PublicationWriter.headerByteCount)
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

    package init(last: UInt64, count: Int, epoch: String, node: NodeID?, number: UInt64) {
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
package struct BatchIdentity: Equatable {
    /// 0 for another program.
    package var node: UInt64 = 0
    package var number: UInt64 = 0

    package init(_ batch: DeliveredBatch) {
        node = batch.node?.rawValue ?? 0
        number = batch.number
    }

    /// An identity from its text, `node:number`.
    package init(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return }
        node = NodeID(text[..<colon])?.rawValue ?? 0
        number = UInt64(text[text.index(after: colon)...]) ?? 0
    }

    package init() {}
}

extension DeliveredBatch {
    /// A message of a channel; nil if it is damaged.
    package init?(channel: String, message: ByteBuffer) {
        var message = message
        guard let header = LiveHeader(from: &message) else { return nil }
        self.init(
            channel: channel, position: MessagePosition(epoch: header.epoch, seq: header.last),
            numberedCount: header.count, node: header.node, number: header.number,
            publications: Array(buffer: message))
    }

    /// The time of the first publication, in milliseconds since 1970; nil if there is none.
    package var time: Int64? {
        guard publications.count >= PublicationWriter.headerByteCount else { return nil }
        return publications[1..<9].reduce(0) { $0 << 8 | Int64($1) }
    }
}

extension [DeliveredBatch] {
    /// Those that are not older than a history may be.
    package func fresh(_ limits: HistoryLimits) -> [DeliveredBatch] {
        guard !isEmpty else { return [] }
        let oldest = clinux_realtime_milliseconds() &- limits.age
        return filter { ($0.time ?? .max) >= oldest }
    }
}

extension BrokerStatistics {
    package mutating func note(delivered batch: DeliveredBatch) {
        delivered += 1
        deliveredMessages &+= UInt64(clamping: batch.numberedCount)
        deliveredBytes += UInt64(batch.publications.count)
    }

    /// Notes how long a batch took that has come in just now.
    package mutating func noteLag(of batch: DeliveredBatch) {
        guard let time = batch.time else { return }
        let lag = Swift.max(0, clinux_realtime_milliseconds() &- time)
        lags.record(nanoseconds: UInt64(lag) &* 1_000_000)
    }
}
