import Base
import Broker
import Settings

extension SharedChannel {
    /// A batch of this node's publications.
    struct Batch {
        enum State: Equatable { case waiting, sent, accepted }

        /// A publication's answers: to its publisher, if the request has an id.
        struct Entry {
            var sender: ConnectionReference?
            var senderProtocol: ClientProtocol?
            /// The time of the publication, in milliseconds since 1970.
            var time: Int64
            var idCount: UInt32
            var isNumbered: Bool
        }

        var state = State.waiting
        /// The number of the batch, once it is sent.
        var number: UInt64 = 0
        /// Whether it comes back: it was sent while the channel was subscribed.
        var comesBack = false
        /// Whether the requests have been acknowledged.
        var isAcknowledged = false
        var position: MessagePosition?
        var writer = PublicationWriter()
        var entries: [Entry] = []
        /// The ids of the requests, one after the other.
        var ids: [UInt8] = []
        /// The receipts, each with the index of its publication.
        var receipts: [(index: Int, receipt: Receipt)] = []
        /// The time at which the first publication came, in nanoseconds of the monotonic clock.
        var begunAt: UInt64
        /// The connections that are told when the batch is acknowledged, and when it has come back or will not.
        var acknowledgementFences: [ConnectionReference] = []
        var fences: [ConnectionReference] = []
        /// The questions about the history that are answered when the batch has come back or will not.
        var questions: [Question] = []

        /// The size in bytes: until the broker has taken the batch, it counts towards `broker.queue_limit`.
        var byteCount: Int { writer.bytes.count + ids.count + entries.count * MemoryLayout<Entry>.stride }

        /// Frees what is needed only until the broker has taken the batch and its requests have been acknowledged.
        mutating func shrink() {
            writer.discardBytes()
            ids = []
        }
    }
}

extension SharedChannel.Batch {
    /// Passes each request that has an id to `body`, with the time of its publication, and its position if the batch has
    /// one.
    func forEachRequest(
        _ body: (ConnectionReference, _ id: UnsafeRawBufferPointer, _ time: Int64, MessagePosition?) -> Void
    ) {
        ids.withUnsafeBytes { ids in
            var start = 0
            var seq = position.map { $0.seq &- UInt64(clamping: writer.numberedCount) } ?? 0
            for entry in entries {
                if entry.isNumbered { seq &+= 1 }
                let end = start + Int(entry.idCount)
                if end > start, let sender = entry.sender {
                    body(
                        sender, UnsafeRawBufferPointer(rebasing: ids[start..<end]), entry.time,
                        position.map { MessagePosition(epoch: $0.epoch, seq: seq) })
                }
                start = end
            }
        }
    }

    /// The receipts, each with the position of its publication if that is numbered.
    var positionedReceipts: [Receipt] {
        guard let position else { return receipts.map(\.receipt) }
        var seq = position.seq &- UInt64(clamping: writer.numberedCount)
        var next = 0
        return receipts.map { index, receipt in
            while next <= index {
                if entries[next].isNumbered { seq &+= 1 }
                next += 1
            }
            var receipt = receipt
            if entries[index].isNumbered { receipt.position = MessagePosition(epoch: position.epoch, seq: seq) }
            return receipt
        }
    }
}
