import Base
import Broker
import Channels

/// What a broker says, as far as it makes sense: other programs may write to it, and clients get its numbers.

extension MessagePosition {
    /// More messages than any channel will ever have.
    private static let largestSeq: UInt64 = 1 << 62 - 1

    /// The position with an epoch and a number that clients may get.
    var sound: MessagePosition {
        MessagePosition(epoch: Epoch.isOne(epoch) ? epoch : "0", seq: min(seq, Self.largestSeq))
    }
}

extension DeliveredBatch {
    /// The batch without its publications if they are damaged, or have other numbers than the batch claims.
    var sound: DeliveredBatch {
        var batch = self
        batch.position = position.sound
        batch.numberedCount = min(max(numberedCount, 0), Int(clamping: batch.position.seq))
        if batch.numberedCount != PublicationReader.numberedCount(in: publications) { batch.publications = [] }
        return batch
    }
}

extension [DeliveredBatch] {
    /// The sound batches with numbers up to a position, in its numbering.
    func sound(until position: MessagePosition) -> [DeliveredBatch] {
        lazy.map(\.sound).filter {
            $0.numberedCount > 0 && $0.position.epoch == position.epoch && $0.position.seq <= position.seq
        }
    }
}
