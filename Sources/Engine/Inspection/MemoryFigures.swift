/// The memory held for clients, in bytes, which `limits.memory` bounds: of one worker, or of several together.
package struct MemoryFigures: Sendable, Hashable {
    /// The limit; 0 if there is none.
    package var limit = 0
    /// The total: the kinds below, and `other`.
    package var used = 0
    /// Input of unfinished messages, input held to be read later, and unfinished handshakes.
    package var input = 0
    /// Messages on their way from one worker to another.
    package var mailboxes = 0
    /// Frames that are being sent or wait for slow connections.
    package var backlogs = 0
    /// The history of channels, the channels themselves included.
    package var history = 0
    /// Messages that wait for the broker, what is kept of those that have not come back from it, and what it has delivered
    /// and workers have not taken.
    package var broker = 0

    package init() {}

    /// The memory held that is of none of the kinds.
    package var other: Int { max(0, used - input - mailboxes - backlogs - history - broker) }

    /// Adds another worker's figures.
    package static func += (total: inout MemoryFigures, other: MemoryFigures) {
        total.limit += other.limit
        total.used += other.used
        total.input += other.input
        total.mailboxes += other.mailboxes
        total.backlogs += other.backlogs
        total.history += other.history
        total.broker += other.broker
    }
}
