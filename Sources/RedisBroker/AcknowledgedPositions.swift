import Base

/// The positions of the last batches that a server has taken in channels that this node does not subscribe: those of the
/// last few thousand channels.
///
/// The publish script compares them with what the server has, so that a server that has lost messages which were
/// acknowledged to this node's publishers does not give their numbers again in the same epoch.
struct AcknowledgedPositions {
    /// Twice as many channels are known at most.
    private static let generationCount = 4_096

    private var recent: [Name: MessagePosition] = [:]
    private var older: [Name: MessagePosition] = [:]

    subscript(_ channel: Name) -> MessagePosition? { recent[channel] ?? older[channel] }

    mutating func note(_ position: MessagePosition, of channel: Name) {
        if recent.count >= Self.generationCount {
            older = recent
            recent = [:]
        }
        recent[channel] = position
    }
}
