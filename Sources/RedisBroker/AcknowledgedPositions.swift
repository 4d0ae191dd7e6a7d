import Base

/// The positions of the last batches that the servers have taken from this node: in the channels of the last few thousand
/// that it published to.
///
/// The publish script compares them with what the server has, so that a server that has lost messages which were
/// acknowledged to this node's publishers does not give their numbers again in the same epoch. They are those of all
/// servers, as a channel may be on another one after a failure.
final class AcknowledgedPositions {
    /// Twice as many channels are known at most.
    private static let generationCount = 4_096

    private var recent: [Name: MessagePosition] = [:]
    private var older: [Name: MessagePosition] = [:]

    subscript(_ channel: Name) -> MessagePosition? { recent[channel] ?? older[channel] }

    func note(_ position: MessagePosition, of channel: Name) {
        let last = self[channel].flatMap { $0.epoch == position.epoch && $0.seq > position.seq ? $0 : nil } ?? position
        if recent.count >= Self.generationCount, recent[channel] == nil {
            older = recent
            recent = [:]
        }
        recent[channel] = last
    }
}
